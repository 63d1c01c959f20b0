"""Runs that differ in whatever a list looks at, and the ways in which a list may be answered."""

import pytest

from tests.factories import new_run
from tests.runs.lists.reading import NAN, set_metric

LOSSES = [3.0, 1.0, NAN, 2.0, 1.0, None, 0.5, None, 2.0]  # of the runs, oldest first; None: no such metric
RATES = [1e-3, 1e-4, 1e-5, 1e-3, 1e-4, 1e-5, 1e-3, 1e-4, 1e-5]
WAYS = {"few": (500, 500), "peek": (0, 500), "walk": (0, 0), "short peek": (0, 3)}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Make every list be answered in one way, whatever is quickest."""
    few, window = WAYS[request.param]
    monkeypatch.setattr("runs.listing.FEW", few)
    monkeypatch.setattr("runs.listing.WINDOW", window)
    monkeypatch.setattr("runs.parts.WINDOW", window)
    return request.param


@pytest.fixture
def nine(project):
    """Nine runs with ties and gaps in whatever a list may be ordered by; r0 is the oldest."""
    statuses = ["completed", "queued", "completed", "cancelled", "queued", "failed", "queued", "completed", "queued"]
    runs = [
        new_run(project, name=f"r{number}", status=status, priority=number % 3, hyperparameters={"rate": rate})
        for number, (status, rate) in enumerate(zip(statuses, RATES, strict=True))
    ]
    [set_metric(run, "loss", loss) for run, loss in zip(runs, LOSSES, strict=True) if loss is not None]
    return runs
