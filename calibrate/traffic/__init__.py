"""Traffic in histograms: posts a day, and bands by capacity."""
