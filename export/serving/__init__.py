"""A release behind a socket: the Open Inference Protocol, dynamic batching, metrics."""
