"""Management commands of artifacts."""
