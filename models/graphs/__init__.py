"""The detectors as ONNX graphs."""
