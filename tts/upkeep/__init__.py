"""Looking after finished and unfinished folders: what they hold, whether it is whole, repair and merging."""
