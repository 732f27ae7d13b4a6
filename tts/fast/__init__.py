"""The fast sampler's pieces: the same model and the same search in less work."""
