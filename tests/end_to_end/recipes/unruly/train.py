"""A trainer for tests: starts daemons that do not want to end, then stays, finishes or fails."""

import json
import os
import signal
import subprocess
import sys
import time

DAEMON = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def start_daemons(count: int, place: str) -> None:
    """Start one in a session of its own, one forked twice, and one forked twice without any environment."""
    command = [sys.executable, "-c", DAEMON, place]
    subprocess.Popen(command, start_new_session=True)
    for environment in (None, {})[: count - 1]:
        if os.fork() == 0:
            subprocess.Popen(command, start_new_session=True, env=environment)
            os._exit(0)
        os.wait()


def main() -> int:
    """Return the exit code."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(os.environ["TRAINHUB_CONFIG"]) as file:
        parameters = json.load(file)["model_parameters"]
    then = parameters["then"]
    start_daemons(parameters["daemons"], os.environ["TRAINHUB_OUTPUT_DIR"])
    print("INFO daemons are up", flush=True)
    if then == "stay":
        time.sleep(600)
    if then == "fail":
        print("Traceback (most recent call last):\nValueError: the data ran out", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
