"""The served graph: its contract, its ONNX file, its decisions, and the proof that it computes what was trained."""
