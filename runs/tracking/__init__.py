"""What tracking clients do to runs: make external ones, write tags and parameters, send metrics, tell how they end."""
