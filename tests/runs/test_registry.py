"""The executors of an installation: built from the file, and anew when it changes."""

import os

import pytest
from django.core.management import call_command

from runs import registry
from runs.checks import check_executors
from runs.executors.base import ExecutorError
from runs.registry import configuration_problems, default_executor, executors

CLUSTER = '[executors.cluster]\nkind = "slurm"\nnodes = 3\ngpus = 24\n'
LOCAL = '[executors.local]\nkind = "local"\nslots = 7\n'


@pytest.fixture
def declare(settings, tmp_path, monkeypatch):
    """Return a function that writes the file of the executors."""
    monkeypatch.setattr(registry, "_loaded", None)
    settings.EXECUTORS_FILE = tmp_path / "executors.toml"

    def write(text):
        settings.EXECUTORS_FILE.write_text(text)

    return write


def test_without_a_file_this_machine_is_the_executor(settings, monkeypatch):
    monkeypatch.setattr(registry, "_loaded", None)
    settings.LOCAL_SLOTS, settings.LOCAL_GPUS = 3, 2

    assert list(executors()) == ["local"]
    assert (executors()["local"].capacity().slots, executors()["local"].capacity().gpus) == (3, 2)
    assert (default_executor(), configuration_problems()) == ("local", [])


def test_a_file_in_the_data_folder_counts_without_any_setting(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_loaded", None)
    settings.DATA_DIR = tmp_path
    (tmp_path / "executors.toml").write_text(LOCAL)

    assert executors()["local"].capacity().slots == 7


def test_a_changed_file_is_read_again_and_what_stayed_stays_the_same_object(declare):
    declare(LOCAL)
    before = executors()["local"]
    declare(f'default = "cluster"\n{LOCAL}{CLUSTER}')

    assert list(executors()) == ["local", "cluster"]
    assert executors()["local"] is before
    assert (executors()["cluster"].kind, default_executor()) == ("slurm", "cluster")


def test_a_file_that_did_not_change_is_not_read_again(declare, monkeypatch):
    declare(LOCAL)
    executors()
    monkeypatch.setattr(registry, "read_configuration", lambda path: pytest.fail("it was read"))

    assert list(executors()) == ["local"]


def test_a_broken_executor_says_why_and_the_others_work(declare):
    declare(f"{LOCAL}{CLUSTER}partitoin = 3\n")

    assert executors()["local"].capacity().slots == 7
    assert executors()["cluster"].problems() == configuration_problems()
    assert "executors.cluster.partitoin is not known" in configuration_problems()[0]
    assert executors()["cluster"].kind == "slurm"
    with pytest.raises(ExecutorError, match="partitoin"):
        executors()["cluster"].cancel("a handle")


def test_an_executor_that_breaks_goes_on_as_it_was_and_starts_nothing(declare, monkeypatch):
    declare(f"{LOCAL}{CLUSTER}")
    before, asked = executors()["cluster"], []
    monkeypatch.setattr(before, "poll", lambda handles: asked.append("poll") or {})
    monkeypatch.setattr(before, "cancel", lambda handle, hard=False: asked.append(handle))
    for mistake in ("partitoin = 3", "partitoin = 45"):
        declare(f"{LOCAL}{CLUSTER}{mistake}\n")
        broken = executors()["cluster"]

        broken.poll({"one": "a handle"}), broken.cancel("a handle")

        assert broken.capacity().gpus == 24
        assert "executors.cluster.partitoin is not known" in broken.problems()[0]
        with pytest.raises(ExecutorError, match="cluster cannot be used"):
            broken.submit(None)
    assert asked == ["poll", "a handle"] * 2

    declare(f"{LOCAL}{CLUSTER}slots = 9\n")
    mended = executors()["cluster"]
    assert mended.capacity().slots == 9
    assert mended.problems() != broken.problems()


def test_a_file_that_breaks_leaves_what_was_there_and_says_so(declare):
    declare(f"{LOCAL}{CLUSTER}")
    before = executors()
    declare("[executors")

    assert [executors()[name] is before[name] for name in ("local", "cluster")] == [True, True]
    assert "executors.toml is not TOML" in configuration_problems()[0]


def test_a_file_that_is_broken_from_the_start_is_the_problem_of_this_machine(declare):
    declare("[executors")

    assert list(executors()) == ["local"]
    assert "executors.toml is not TOML" in executors()["local"].problems()[0]


def test_a_file_that_was_named_and_is_not_there_is_a_problem(declare):
    assert executors()["local"].problems() == ["executors.toml cannot be read: No such file or directory."]


def test_a_file_that_is_mended_with_its_old_time_counts(declare, settings):
    declare(LOCAL)
    executors()
    times = (settings.EXECUTORS_FILE.stat().st_atime, settings.EXECUTORS_FILE.stat().st_mtime)
    declare(f"{LOCAL}{CLUSTER}")
    os.utime(settings.EXECUTORS_FILE, times)

    assert "cluster" in executors()


def test_problems_are_logged_once_for_each_reading(declare, caplog):
    declare(f"{LOCAL}slotz = 3\n")

    executors(), executors()

    assert [record.message for record in caplog.records].count(configuration_problems()[0]) == 1


def test_manage_check_warns_of_what_is_wrong_and_does_not_fail(declare, capsys):
    declare(f"{LOCAL}slotz = 3\n")

    assert [message.id for message in check_executors(None)] == ["trainhub.W001"]
    call_command("check")
    assert "executors.local.slotz is not known" in capsys.readouterr().err
