"""The network: pooled evidence, fusion, a logit a policy. Pure torch; what trains it is in the other rooms."""
