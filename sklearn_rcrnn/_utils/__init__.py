"""Helpers that several subpackages need: files, optional packages, text, threads."""
