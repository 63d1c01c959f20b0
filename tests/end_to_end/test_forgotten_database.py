"""After a move, the old database started by mistake takes nothing from the store."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.hub import Hub

UID = """
from artifacts.models import Installation
print(*Installation.objects.values_list("uid", flat=True), "uids")
"""


def test_the_uid_of_the_installation_goes_along_and_leaves_the_old_database(prepared: Hub, tmp_path: Path) -> None:
    hub = prepared.copy(tmp_path / "hub")
    uid = hub.manage("shell", "--command", "from artifacts.ownership import *; print(installation_uid())").split()[-1]
    target = f"sqlite:///{tmp_path / 'new.sqlite3'}"

    hub.manage("move_database", "--to", target)

    assert uid not in hub.manage("shell", "--command", UID).split()
    hub.environment["DATABASE_URL"] = target
    assert uid in hub.manage("shell", "--command", UID).split()
    hub.stop()
