"""The network, its loss and the Lightning job."""
