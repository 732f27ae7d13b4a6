"""Sweeps: many settings of one backbone, measured with the same noise."""
