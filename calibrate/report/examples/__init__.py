"""Posts of the golden set on the page: those around the thresholds, and those that the model got most wrong."""
