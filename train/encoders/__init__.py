"""Encoders: a pretrained backbone with its normalisation and pooling inside, so that plain inputs go in and one
feature vector comes out. Loading weights is in train.encoders.sources."""
