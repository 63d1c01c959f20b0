"""The model registry: names, versions and aliases of checkpoints, and what they say about a release."""
