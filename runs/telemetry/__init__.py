"""Logs and metrics: appending, folding and reading packed rows; the only code that touches the tables of telemetry.

Writing: `append` (ingest calls), `fold` (inbox to chunks), `newest` (the newest value of each metric). Reading:
`log_pages` with `log_ranges`, `series` with `thinning`. Bytes: `packing`, `points`.
"""
