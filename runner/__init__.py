"""The runner: a small supervisor beside the trainer on the node. Standard library only."""
