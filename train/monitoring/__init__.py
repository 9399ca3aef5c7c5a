"""What a run says of itself: metrics, curves, throughput."""
