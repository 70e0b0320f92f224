"""Fitted models in files: saving, loading, shipped weights, averaging, ONNX."""
