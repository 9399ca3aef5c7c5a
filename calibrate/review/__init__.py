"""The page of a calibration, served on this machine: choices are kept, thresholds are signed."""
