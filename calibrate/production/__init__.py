"""What a calibration would change against the model and thresholds that serve today. No promise rests on it."""
