"""Graph, ONNX, scoring, releases and their verification."""
