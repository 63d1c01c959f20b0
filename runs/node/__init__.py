"""The endpoints that runners call."""
