"""Where attempts run. No Django here."""
