"""Lower precisions of the exported model, as ONNX files of their own; each is another model, with its own digest."""
