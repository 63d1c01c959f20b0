"""Fills a hub's database: a process of its own with the hub's settings, `python -m benchmarks.fill WHAT ARGUMENTS`.

What is filled goes through the product's own services and models, quickly: without waiting for the disk, and with the
scheduler not running.
"""
