"""Measurements of a real hub: `make bench`. What they mean and what was seen: docs/benchmarks.md."""
