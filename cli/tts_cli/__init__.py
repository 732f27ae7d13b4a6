"""The command line of the toolkit."""
