"""A trainer that saves one checkpoint and says what it was resumed from."""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

MIB = 1024 * 1024


def digest(folder: Path) -> str:
    """Return one hash over the names and bytes of all files."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def save(folder: Path, mib: int) -> None:
    """Write what no compression makes smaller, beside a file with an odd name and an empty one."""
    unfinished = folder.with_name(f"tmp-{folder.name}")
    (unfinished / "nested").mkdir(parents=True)
    (unfinished / "nested" / "état 😀 (1) %41+b.json").write_text("{}")
    (unfinished / "empty").touch()
    block = random.Random(mib).randbytes(MIB)
    with (unfinished / "weights.bin").open("wb") as file:
        for number in range(mib):
            file.write(number.to_bytes(8, "big") + block[8:])
    unfinished.rename(folder)


def main() -> int:
    """Save, and wait or end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    parameters = json.loads(Path(os.environ["TRAINHUB_CONFIG"]).read_text())["model_parameters"]
    if "TRAINHUB_RESUME_FROM" in os.environ:
        print("INFO resumed from", digest(Path(os.environ["TRAINHUB_RESUME_FROM"])), flush=True)
    folder = Path(os.environ["TRAINHUB_OUTPUT_DIR"], "checkpoints", "step-1")
    folder.parent.mkdir(exist_ok=True)
    save(folder, parameters["mib"])
    print("INFO saved", digest(folder), flush=True)
    if parameters["then"] == "stay":
        while True:
            print(json.dumps({"step": int(time.monotonic() * 10), "loss": 1.0}), flush=True)
            time.sleep(0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
