"""Scores of items by an exported model or a checkpoint."""
