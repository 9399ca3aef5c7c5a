"""Tests by betting: labels with weights or clusters, and auditors."""
