"""From a fitted detector to events: detections, windows, streams, files."""
