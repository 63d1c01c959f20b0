"""Entry of the tiny-gpt recipe: says that it lives, listens for SIGTERM, then loads and runs the training."""

import sys

# Before any other import, for numpy and autograd take a while: whoever launched the run sees at once that it started.
print("INFO tiny-gpt is starting", flush=True)


def main() -> int:
    """Run the training; returns the exit code."""
    from tiny_gpt.stopping import StopRequest

    stop = StopRequest()
    stop.listen()

    import os

    # One thread unless the operator says otherwise, set before numpy is loaded: sums then do not depend on how many
    # cores a node has, so a resumed run repeats the numbers exactly, and the server keeps the other cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from tiny_gpt.main import main as train

    return train(stop)


if __name__ == "__main__":
    sys.exit(main())
