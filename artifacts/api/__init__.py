"""REST API of artifacts."""
