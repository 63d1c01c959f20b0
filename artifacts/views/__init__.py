"""Pages of artifacts: list, one with its tags and previews, downloads, lineage, and resuming from a checkpoint."""
