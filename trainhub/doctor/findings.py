"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad it is; also the exit code of `manage.py doctor`."""

    OK = 0
    WARNING = 1  # works, but will hurt some day
    PROBLEM = 2  # something does not work


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, what was seen, and what to do unless it is well."""

    about: str
    level: Level
    seen: str
    remedy: str = ""

    @property
    def word(self) -> str:
        """The level as people read it."""
        return self.level.name.lower()


def well(about: str, seen: str) -> Finding:
    """Return a finding that needs nobody."""
    return Finding(about, Level.OK, seen)


def warning(about: str, seen: str, remedy: str) -> Finding:
    """Return a finding that somebody should see to."""
    return Finding(about, Level.WARNING, seen, remedy)


def problem(about: str, seen: str, remedy: str) -> Finding:
    """Return a finding that somebody must see to."""
    return Finding(about, Level.PROBLEM, seen, remedy)
