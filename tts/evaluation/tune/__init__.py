"""Finding the settings that suit a model and its scorer, within a time, and confirming what they gain."""
