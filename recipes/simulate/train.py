"""Entry of the simulate recipe: says at once what it is, then pretends to train."""

import sys

# Before any other import, so that the log is alive within milliseconds.
print("INFO Simulation: no model is trained, all numbers are made up", flush=True)


def main() -> int:
    """Run the simulation; returns the exit code."""
    from simulation import main as simulate

    return simulate()


if __name__ == "__main__":
    sys.exit(main())
