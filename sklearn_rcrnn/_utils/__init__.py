"""Small things that several rooms need: files, optional packages, text, threads."""
