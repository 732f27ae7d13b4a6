"""Long runs: plans of items, shards, locks, and processes that share, stop and resume the work."""
