"""Why a release can be believed: who vouches for it, what it is made of, and that looking at it does no harm.

Stands below export.release, which calls it; nothing here knows a manifest, a policy or a threshold.
"""
