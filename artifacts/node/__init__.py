"""How runners hand over artifacts."""
