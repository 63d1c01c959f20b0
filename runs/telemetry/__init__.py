"""Logs and metrics: appending, folding, reading and removing packed rows; the only code that touches their tables.

Writing: `append` (ingest calls), `fold` (inbox to chunks), `newest` (the newest value of each metric). Reading:
`log_pages` with `log_ranges`, `series` with `thinning`. Removing: `removal`, and `removed` for readers beside it.
Bytes: `packing`, `points`.
"""
