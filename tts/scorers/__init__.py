"""Scorers: the paper's network and how it is trained, and scorers that need no training."""
