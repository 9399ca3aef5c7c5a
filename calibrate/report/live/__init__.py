"""Figures at every threshold that the page offers: computed here, so that the page only looks them up."""
