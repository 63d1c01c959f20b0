"""Wiring: settings, URLs, errors, the API's common pieces, health."""

__version__ = "0.1.0"
