"""Runs one filler with arguments given as JSON and prints what it returns as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def main() -> None:
    """Set Django up, fill, print."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trainhub.settings")
    import django

    django.setup()
    # Models can only be imported once Django is set up.
    from benchmarks.fill import rows, telemetry, tracked

    fillers: dict[str, Callable[..., Any]] = {
        "attempts": rows.make_attempts,
        "runs": rows.make_runs,
        "lines": telemetry.make_lines,
        "metrics": telemetry.make_metrics,
        "points": telemetry.make_points,
        "tracked": tracked.make_tracked,
    }
    print(json.dumps(fillers[sys.argv[1]](**json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
