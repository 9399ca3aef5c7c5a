"""TensorRT: what it takes and refuses of a model, the engines that it builds, and what runs them."""
