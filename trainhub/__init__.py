"""Wiring: settings, URLs, errors, the API's common pieces, health."""
