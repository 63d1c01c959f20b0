"""Backup of a whole installation while it works, and restoring it into an empty one."""
