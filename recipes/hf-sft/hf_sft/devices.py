"""Which devices and numbers a training uses."""

from collections.abc import MutableMapping
from dataclasses import dataclass

from hf_sft.errors import UnusableInput
from hf_sft.settings import Settings


@dataclass(frozen=True)
class Device:
    """`is_cpu`: train without GPUs. `is_bfloat16`: matrix products in bfloat16 instead of float32."""

    is_cpu: bool
    is_bfloat16: bool


def show_gpus(settings: Settings, environment: MutableMapping[str, str]) -> None:
    """Leave as many GPUs visible as there are processes, none for a run without; before torch is loaded."""
    count = settings.processes_per_node if settings.gpus_per_node else 0
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in range(count)] if visible is None else visible.split(",")[:count]
    environment["CUDA_VISIBLE_DEVICES"] = ",".join(names)


def choose_device(settings: Settings) -> Device:
    """Return what to train on: GPUs when the run asks for some, else the CPU.

    Raises: UnusableInput when GPUs are asked for and not there, or bfloat16 and the GPU has none.
    """
    import torch  # takes seconds

    wanted = settings.model.precision
    if not settings.gpus_per_node:
        return Device(is_cpu=True, is_bfloat16=wanted == "bfloat16")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found < settings.processes_per_node:
        raise UnusableInput(
            f"{settings.processes_per_node} GPUs are needed and torch {torch.__version__} sees {found}; a run that "
            "asks for none (gpus_per_node 0) trains on the CPU"
        )
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if wanted == "bfloat16" and not has_bfloat16:
        raise UnusableInput("this GPU has no bfloat16; choose precision auto or float32")
    return Device(is_cpu=False, is_bfloat16=has_bfloat16 and wanted != "float32")
