"""Entry of the hf-sft recipe: says that it lives, listens for SIGTERM, then starts the training or its processes."""

import os
import sys

# Before any other import, for torch takes seconds: whoever launched the run sees at once that it started.
if "LOCAL_RANK" not in os.environ:
    print("INFO hf-sft is starting", flush=True)


def main() -> int:
    """Run the training; returns the exit code."""
    from hf_sft.stopping import StopRequest

    stop = StopRequest(os.environ.get("HF_SFT_STOP_FILE"))
    stop.listen()

    from hf_sft.main import main as run

    return run(stop, script=__file__)


def leave(exit_code: int) -> None:
    """End this process; one of several without the interpreter's own end.

    What had to be written and said is, by then. Threads of gloo and nccl live on as long as a model refers to their
    group; one that still holds a tensor while the interpreter ends aborts the process, and a good run would fail.
    """
    if "LOCAL_RANK" in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    sys.exit(exit_code)


if __name__ == "__main__":
    leave(main())
