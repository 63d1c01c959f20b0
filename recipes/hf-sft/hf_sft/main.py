"""From environment to exit code: every way a run can end, in plain words on its last log line."""

import contextlib
import json
import os
import traceback
from pathlib import Path

from hf_sft.devices import show_gpus
from hf_sft.errors import Diverged, Stopped, UnusableInput
from hf_sft.launcher import find_node, run_processes, torchrun_command
from hf_sft.reporting import log
from hf_sft.settings import read_settings
from hf_sft.stopping import StopRequest


def main(stop: StopRequest, *, script: str) -> int:
    """Train as the environment describes, in this process or in several that torchrun starts from `script`.

    Returns the exit code: 0 done or stopped, 1 failed, 2 unusable input.
    """
    is_worker = "LOCAL_RANK" in os.environ
    try:
        settings = read_settings(os.environ)
        if not is_worker:
            show_gpus(settings, os.environ)
            node = find_node(settings, os.environ)
            if node is not None or settings.processes_per_node > 1:
                count = settings.processes_per_node
                return run_processes(torchrun_command(script, count, node), count, stop)
        # Imported after the settings are known to be good: torch and transformers take seconds.
        from hf_sft.training import train

        train(settings, stop)
    except Stopped:
        log("INFO", "Stopped on request before the first step; there is nothing to save")
    except Exception as error:  # noqa: BLE001 - whatever it is, the last log line must say why the run failed
        return _failed(*_explain(error))
    if is_worker:
        _leave_others()
    return 0


def _explain(error: Exception) -> tuple[int, str]:
    if isinstance(error, UnusableInput):
        return 2, f"This run cannot start: {error}"
    if isinstance(error, Diverged):
        return 1, f"Training diverged: {error}"
    if isinstance(error, ImportError):
        return 1, f"A library of this recipe is missing ({error}); run `make hf-sft` on the hub's machine"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return 1, "Out of memory: lower batch_size or sequence_length, or switch on gradient_checkpointing"
    traceback.print_exception(error)
    return 1, f"Unexpected failure, {type(error).__name__}: {error}"


def _failed(exit_code: int, message: str) -> int:
    """Say why; of several processes the first that fails, through the file that the launcher reads at the end."""
    failure_file = os.environ.get("HF_SFT_FAILURE_FILE")
    if failure_file is None:
        log("ERROR", message)
    else:
        with contextlib.suppress(FileExistsError), Path(failure_file).open("x", encoding="utf-8") as file:
            json.dump({"exit_code": exit_code, "message": message}, file)
    return exit_code


def _leave_others() -> None:
    """Tell the launcher that this process is done, and leave the group of processes where torchrun made one.

    After a good end alone: one that failed would wait for others that are within a step.
    """
    if "HF_SFT_DONE_FILE" in os.environ:
        Path(f"{os.environ['HF_SFT_DONE_FILE']}-{os.environ['LOCAL_RANK']}").touch()
    import torch.distributed  # loaded by then

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
