"""Checks of a whole installation, each with a word on what to do: `manage.py doctor`, the page and /health/details."""
