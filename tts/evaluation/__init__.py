"""Judging generated images: features of real and generated sets, and distances between them."""
