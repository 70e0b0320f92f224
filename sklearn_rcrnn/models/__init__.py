"""Fitted models in files: saving, loading, shipped weights, averaging, ONNX."""

# What `rcrnn train`, `rcrnn tune` and the documentation start from unless told otherwise.
DEFAULT_START = "rare-events"
# The name of no start: random weights.
NO_START = "none"
