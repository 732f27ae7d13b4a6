"""Data for scorers: digits, image folders, token stores and pairs."""
