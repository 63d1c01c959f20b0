"""Where a run comes from and what goes on from it: project, runs, checkpoints, releases, as a tree and as a picture."""
