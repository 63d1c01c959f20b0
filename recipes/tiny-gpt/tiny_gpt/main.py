"""From environment to exit code: every way a run can end, in plain words on its last log line."""

import os
import traceback

from tiny_gpt.errors import Diverged, UnusableInput
from tiny_gpt.memory import keep_freed_memory
from tiny_gpt.reporting import log
from tiny_gpt.settings import read_settings
from tiny_gpt.stopping import StopRequest


def main(stop: StopRequest) -> int:
    """Train as the environment describes; returns the exit code: 0 done or stopped, 1 failed, 2 unusable input."""
    try:
        settings = read_settings(os.environ)
        # Imported after the settings are known to be good: numpy and autograd take a tenth of a second.
        from tiny_gpt.training import train

        keep_freed_memory()
        train(settings, stop)
    except UnusableInput as error:
        return _failed(2, f"This run cannot start: {error}")
    except Diverged as error:
        return _failed(1, f"Training diverged: {error}")
    except MemoryError:
        return _failed(1, "Out of memory: lower batch_size, context_length or n_embd")
    except ImportError as error:
        return _failed(1, f"A library of this recipe is missing ({error}); install its requirements.txt")
    except Exception as error:  # noqa: BLE001 - whatever it is, the last log line must say why the run failed
        traceback.print_exc()
        return _failed(1, f"Unexpected failure, {type(error).__name__}: {error}")
    return 0


def _failed(exit_code: int, message: str) -> int:
    log("ERROR", message)
    return exit_code
