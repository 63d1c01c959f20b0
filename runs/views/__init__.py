"""Pages of runs, one module for each kind."""
