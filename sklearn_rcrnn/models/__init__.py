"""Fitted models in files: saving, loading, shipped weights, averaging, ONNX."""

# What `rcrnn train`, `rcrnn tune` and the documentation start from unless told otherwise.
DEFAULT_START = "general"
# The name of no start: random weights.
NO_START = "none"

# The file of a model that says what it is. Here, so that models can be listed without
# scikit-learn and PyTorch, which take seconds to import.
DESCRIPTION = "model.json"
