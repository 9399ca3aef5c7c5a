"""Policies, items, labels, golden sets and media: what everything else stands on."""
