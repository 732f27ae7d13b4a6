"""Ways to spend more computation on an image than one plain pass."""
