"""Which metrics of a run stand in one chart: training and validation of one name, and one measure of all GPUs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from runs.telemetry.timeline import SYSTEM_PREFIX

GENERAL, SYSTEM = "Metrics", "System"  # sections of what has no prefix, and of what the runner measures
# Words that tell which data a metric is of, in the order that lines of a chart have.
_ROLES = ("train", "training", "val", "valid", "validation", "dev", "eval", "evaluation", "test")
_WORDS = "|".join(_ROLES)
_BEFORE = re.compile(rf"({_WORDS})[/_.\-](.+)", re.IGNORECASE)
_AFTER = re.compile(rf"(.+?)[/_.\-]({_WORDS})", re.IGNORECASE)
_PACE = re.compile(r"(.+)_(?:step|epoch)", re.IGNORECASE)  # Lightning logs train_loss_step and train_loss_epoch
# What is measured, of which node of several, and of which of its GPUs.
_MEASURED = re.compile(rf"{SYSTEM_PREFIX}(?:node\.(?P<node>\d+)\.)?(?:gpu\.(?P<gpu>\d+)\.)?(?P<name>.*)", re.DOTALL)
_MEAN_UTILIZATION = "gpu_utilization"
_SYSTEM_TITLES = {
    _MEAN_UTILIZATION: "GPU utilisation, mean",
    "cpu_utilization": "CPU utilisation",
    "memory_bytes": "Memory",
}
_GPU_TITLES = {
    "utilization": "GPU utilisation",
    "memory_bytes": "GPU memory",
    "power_watts": "GPU power",
    "temperature_celsius": "GPU temperature",
}
_UNITS = {"utilization": "percent", "_bytes": "bytes", "_watts": "W", "_celsius": "°C", "_seconds": "s"}
_Natural = list[tuple[int, int, str]]
_SYSTEM_ORDER = [*_GPU_TITLES.values(), *_SYSTEM_TITLES.values()]


@dataclass(frozen=True, slots=True)
class Line:
    """One metric in a panel; `label` is what the legend says."""

    key: str
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart. `unit` is percent (of 0 to 1), bytes, a sign such as W, or empty.

    `is_system`: measured by the runner, whose steps count samples, so that it is drawn over time.
    """

    section: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    is_system: bool


def group_metrics(keys: Iterable[str]) -> list[Panel]:
    """Return the panels of all metrics, each metric in one of them, in the order that a page shows them.

    First what has no prefix, losses ahead, then each prefix up to a slash that several panels share, then what the
    runner measures. Numbers in names are ordered as numbers.
    """
    found: dict[_Place, list[Line]] = {}
    for key in sorted(set(keys)):
        found.setdefault(_place(key), []).append(_line_of(key))
    sizes = Counter(place.section for place in found)
    lonely = [place for place in found if sizes[place.section] == 1 and place.section not in {GENERAL, SYSTEM}]
    for place in lonely:  # layer.0/norm, layer.1/norm …: a section for each would be a page of headings
        found.setdefault(place._replace(section=GENERAL), []).extend(found.pop(place))
    return sorted((_make_panel(place, lines) for place, lines in found.items()), key=_order)


def split_role(key: str) -> tuple[str, str]:
    """Return the name of a metric without the word that tells its data, and that word in lower case, or "".

    `val_loss`, `val/loss`, `loss/val` and `loss_val` are all `loss` of `val`.
    """
    if match := _BEFORE.fullmatch(key):
        role, base = match.groups()
    elif match := _AFTER.fullmatch(key):
        base, role = match.groups()
    else:
        head, slash, last = key.rpartition("/")
        inner = _BEFORE.fullmatch(last) if slash else None
        if inner is None:
            return key, ""
        role, base = inner[1], head + slash + inner[2]
    pace = _PACE.fullmatch(base)
    return (pace[1] if pace else base), role.lower()


class _Place(NamedTuple):
    """What the metrics of one panel share; the name is in lower case."""

    is_system: bool
    section: str
    name: str


def _place(key: str) -> _Place:
    if match := _MEASURED.fullmatch(key):
        return _Place(is_system=True, section=SYSTEM, name=f"gpu {match['name']}" if match["gpu"] else match["name"])
    if key == _MEAN_UTILIZATION:
        return _Place(is_system=True, section=SYSTEM, name=key)
    base, _ = split_role(key)
    section, slash, _ = base.partition("/")
    return _Place(is_system=False, section=section if slash and section else GENERAL, name=base.lower())


def _line_of(key: str) -> Line:
    match = _MEASURED.fullmatch(key)
    named = (("Node", "node"), ("GPU", "gpu"))
    label = " ".join(f"{word} {match[group]}" for word, group in named if match[group]) if match else ""
    return Line(key, label or key)


def _make_panel(place: _Place, lines: list[Line]) -> Panel:
    lines.sort(key=lambda line: (_role_order(line.key), _natural(line.key)))
    key = lines[0].key
    if not place.is_system:
        title = key if len(lines) == 1 else split_role(key)[0]
        return Panel(place.section, title, "", tuple(lines), is_system=False)
    unit = next((unit for ending, unit in _UNITS.items() if key.endswith(ending)), "")
    return Panel(place.section, _system_title(key), unit, tuple(lines), is_system=True)


def _system_title(key: str) -> str:
    match = _MEASURED.fullmatch(key)
    if match and match["gpu"]:
        return _GPU_TITLES.get(match["name"], f"GPU {match['name']}")
    name = match["name"] if match else key
    return _SYSTEM_TITLES.get(name, name)


def _role_order(key: str) -> int:
    """Training first, which a name without a word is taken for."""
    role = split_role(key)[1]
    return _ROLES.index(role) if role else 0


def _order(panel: Panel) -> tuple[int, _Natural, int, _Natural]:
    if panel.is_system:
        known = panel.title in _SYSTEM_ORDER
        return 2, [], _SYSTEM_ORDER.index(panel.title) if known else len(_SYSTEM_ORDER), _natural(panel.title)
    is_loss = "loss" in panel.title.lower()
    return int(panel.section != GENERAL), _natural(panel.section), int(not is_loss), _natural(panel.title)


def _natural(text: str) -> _Natural:
    """Return what orders `layer.10` after `layer.9`."""
    parts = re.split(r"([0-9]{1,18})", text.lower())
    return [(0, int(part), "") if index % 2 else (1, 0, part) for index, part in enumerate(parts)]
