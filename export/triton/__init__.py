"""A release as a model repository of Triton, written from a verified one: no release holds its ONNX twice."""
