"""Tests by counting: a simple random sample in order of its scores."""
