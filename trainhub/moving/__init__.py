"""Moving an installation from one database into another, empty one: `move.py` does it, the others are its parts."""
