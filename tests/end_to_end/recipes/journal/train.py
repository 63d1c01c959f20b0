"""Trains nothing: every step it prints a line and a metric, and writes the same into a journal that outlives it.

The journal of a run lies beside the attempts' folders. Whoever finds another trainer of the same run alive writes that
down as well.
"""

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

SAVE_EVERY = 20

config = json.loads(Path(os.environ["TRAINHUB_CONFIG"]).read_text())
output = Path(os.environ["TRAINHUB_OUTPUT_DIR"])
given = config["model_parameters"]
journals = output.parents[2] / "journals"
journals.mkdir(exist_ok=True)
journal = (journals / f"{config['run']['id']}.jsonl").open("a")


def write(**entry: object) -> None:
    """Append to the journal, down to the disk."""
    journal.write(json.dumps({"attempt": config["run"]["attempt"], **entry}) + "\n")
    journal.flush()
    os.fsync(journal.fileno())


def save(step: int) -> None:
    """Save a checkpoint, which is there whole or not at all."""
    place = output / "checkpoints"
    place.mkdir(exist_ok=True)
    (output / ".new").write_text(json.dumps({"step": step}))
    (output / ".new").rename(place / f"step-{step:06d}.json")
    write(saved=step)


def main() -> int:
    """Step until the end, a request to stop, or the planned accident."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        write(started=os.getpid(), is_second=True)
        return 9
    source = config.get("resume_from")
    step = json.loads(Path(source).read_text())["step"] if source else 0
    write(started=os.getpid(), after=step)
    while step < given["steps"] and not stop:
        time.sleep(given["pace"])
        step += 1
        write(step=step)
        print(f"INFO step {step}", flush=True)
        print(json.dumps({"step": step, "loss": 1 / step, "progress": step / given["steps"]}), flush=True)
        if step == given["fail_at"]:
            return 3
        if step % SAVE_EVERY == 0:
            save(step)
        if step == given["die_at"] and config["run"]["attempt"] == 1:
            write(dying=step)
            os.kill(os.getpid(), signal.SIGKILL)
    save(step)
    write(ended=step)
    return 0


if __name__ == "__main__":
    sys.exit(main())
