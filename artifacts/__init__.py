"""What runs produce: checkpoints and other files, and the tags on them."""
