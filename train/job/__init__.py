"""The Lightning job around network, loss and optimiser: its trainer, checkpoints, processes and end."""
