"""Long runs: plans of items, shards, claims, and processes that share, stop and resume the work."""
