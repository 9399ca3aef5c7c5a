"""Signing operating points: people vouch for thresholds, which are certified again from the data before that."""
