"""The sentences that a guarantee rests on. Every operating point lists its own; the catalogue has their words."""

from calibrate.words import said

SAMPLE = said("assumption.sample")
KNOWN = said("assumption.known")
RIGHT = said("assumption.right")
FRESH = said("assumption.fresh")
SAME = said("assumption.same")
SERVED = said("assumption.served")
RECENT = said("assumption.recent")
FALLING = said("assumption.falling")
PILOT = said("assumption.pilot")
DESIGN = said("assumption.design")
CLUSTERS = said("assumption.clusters")
ALL_DESIGN = said("assumption.all_design")
SUBSET = said("assumption.subset")
ALIKE = said("assumption.alike")
FIXED = said("assumption.fixed")
GROWING = said("assumption.growing")
ARRIVALS = said("assumption.arrivals")
STEADY = said("assumption.steady")
COUNTED = said("assumption.counted")
