"""Synthetic posts for the demo and for benchmarks: drawn photos, filmed clips, captions, simulated labels.

Four policies, each of which needs something else: text in the picture, change between frames, the caption alone, or
picture and caption together. All of it comes from a seed; nothing is downloaded, nothing shows a real person.
"""

from data.generated.posts import generate_posts

__all__ = ["generate_posts"]
