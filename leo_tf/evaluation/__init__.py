"""Statistics of results, whatever the problem."""
