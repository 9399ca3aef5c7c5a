"""What a step is given: parts of a split, their order, and the loaders that read them."""
