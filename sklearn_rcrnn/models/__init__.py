"""Fitted models in files: saving, loading, shipped weights, averaging, ONNX."""

# The model that `rcrnn train` and `rcrnn tune` start from by default.
DEFAULT_START = "general"
# The name that asks for random weights instead of a model to start from.
NO_START = "none"

# The file that describes a model. Its name is here so that models can be listed without importing
# scikit-learn and PyTorch, which takes seconds.
DESCRIPTION = "model.json"
