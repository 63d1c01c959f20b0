"""Runs: their life, their scheduler, their telemetry."""
