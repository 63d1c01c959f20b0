"""The runner against a hub made of the standard library's HTTP server; real processes throughout."""
