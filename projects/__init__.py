"""Projects, their members, and API tokens."""
