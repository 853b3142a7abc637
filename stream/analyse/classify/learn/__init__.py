"""How a classifier comes from labelled voxels: families, calibration, ONNX."""
