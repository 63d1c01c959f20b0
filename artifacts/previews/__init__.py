"""What pages show of the files of artifacts: a bounded number of bytes, as text and tables that are escaped."""
