"""The kernel's out-of-memory counter, wherever the control groups keep it."""

import pytest

from runner import memory


@pytest.mark.parametrize(
    ("membership", "path", "text"),
    [
        ("0::/jobs/7", "jobs/7/memory.events", "low 0\noom 4\noom_kill 3\n"),
        ("0::/jobs/7", "unified/jobs/7/memory.events", "oom_kill 3\n"),
        ("4:memory:/jobs/7", "memory/jobs/7/memory.oom_control", "under_oom 0\noom_kill 3\n"),
        ("4:cpu,memory:/elsewhere", "memory/memory.oom_control", "oom_kill 3\n"),
    ],
)
def test_the_counter_of_the_own_group_is_read(tmp_path, monkeypatch, membership, path, text):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text)
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_read_memberships", lambda: [membership])
    assert memory.count_oom_kills() == 3


def test_without_groups_the_machine_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_read_memberships", list)
    assert memory.count_oom_kills() is not None
