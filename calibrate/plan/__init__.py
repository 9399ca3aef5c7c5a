"""How many labels a target takes, above which floor, in which design."""
