"""Logs and metrics: appending, folding and reading packed rows; the only code that touches the tables of telemetry.

Writing: `append` (ingest calls), `fold` (inbox to `chunks`, those to `sections`), `newest` (the newest value of each
metric). Reading logs: `log_pages` with `log_ranges`. Reading metrics: `series` with `lineage` and `timeline` (which
runs and attempts), `shelf` (what is stored), `series_plan` and `assembly` (one series), `thinning`. Bytes: `packing`,
`point_packing`, `points`.
"""
