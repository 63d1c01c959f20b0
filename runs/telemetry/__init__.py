"""Logs and metrics: appending, folding, reading and removing packed rows; the only code that touches their tables.

Writing: `append` (ingest calls; logs by `log_chunks`, `line_packing`, `log_tally`), `fold` (inbox to `chunks`, those to
`sections`; what clients sent again goes by `repeats`), `newest` (the newest value of each metric). Reading logs:
`log_pages` and `log_search`, over `log_blocks`, `log_marks` and `log_ranges`. Reading metrics: `series` with `lineage`
and `timeline` (which runs and attempts), `shelf` (what is stored), `series_plan` and `assembly` (one series),
`thinning`; `history` (every point of one, page by page). Removing: `removal`, and `removed` for readers beside it.
Bytes: `packing` (the inbox), `point_packing`, `points`.
"""
