"""Template tags of artifacts."""
