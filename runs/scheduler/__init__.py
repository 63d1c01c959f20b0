"""Starts waiting runs and watches live ones."""
