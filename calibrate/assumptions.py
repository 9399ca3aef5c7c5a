"""The sentences that a guarantee rests on. Every operating point lists its own."""

SAMPLE = (
    "The labelled items are a simple random sample of the posts that the threshold will decide on, drawn "
    "independently of one another; near-duplicates and posts of one creator are not independent."
)
KNOWN = "Whether a label is known depends neither on the post's score nor on whether it violates."
RIGHT = "The known labels are right: a labelling error counts as if it were the truth."
FRESH = "These labels had no part in training the model, and no earlier threshold was chosen on them."
SAME = "The scores come from the model and runtime that will serve, and traffic stays as it was when sampled."
SERVED = "The scores come from the model and runtime that will serve."
RECENT = (
    "The recent items are a simple random sample of the traffic to come, drawn independently of these and labelled "
    "by the same rules; in it the odds of violating differ, and violating and other posts score as before."
)
FALLING = "Precision does not rise again as the threshold falls (checked by nothing; look at the curve)."
PILOT = "The pilot shares no items with these labels; it only plans where the test spends its confidence."
DESIGN = (
    "Items came into the sample independently of one another, or in fixed numbers out of strata, each with its "
    "stated inclusion probability. No post of the population above a tested threshold had a smaller one than the "
    "next sampled post below it, if they hardly rise as scores fall, or else than the smallest in the sample."
)
CLUSTERS = (
    "Clusters came into the sample independently of one another; no cluster of the population weighs more than the "
    "heaviest in the sample."
)
ALL_DESIGN = (
    "Items came into the sample independently of one another, or in fixed numbers out of strata, each with its "
    "stated inclusion probability; no post of the population had a smaller one than the smallest in the sample."
)
SUBSET = (
    "The items that people labelled are a random subset of all of them: whether a label is known depends neither on "
    "the score, nor on the auditor's verdict, nor on whether the post violates. A post that people were unsure of "
    "counts as one that they were not asked about."
)
ALIKE = (
    "The auditor was asked about items alike, whether people labelled them or not, and was not told what they said. "
    "Nothing is assumed of how often it is right."
)
FIXED = "The thresholds tested were fixed by the pilot's scores; no shape of the precision curve is assumed."
GROWING = "Every look at this growing set used the same pilot and the same settings; all answers hold together."
