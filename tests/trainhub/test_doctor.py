"""The doctor: each check finds what it is for, says what to do, and a check that fails stops none of the others."""

import http.server
import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from artifacts.ownership import installation_uid
from artifacts.storage import store
from runs import executor_use
from runs.executors.base import MissingExecutor
from runs.models import Attempt
from tests.factories import new_attempt, new_run
from tests.trainhub.test_health import beat
from trainhub.backup.manifest import Manifest, write_manifest
from trainhub.doctor import database, folders, report, setup, web, work
from trainhub.doctor.findings import Level

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def stores_not_asked_yet():
    asked = folders._said_by_stores, folders._foreign_stores
    for one in asked:
        one.cache_clear()
    yield
    for one in asked:
        one.cache_clear()


def levels(check):
    return [finding.level for finding in check()]


def only(check):
    (finding,) = check()
    return finding


def test_every_finding_that_is_not_well_says_what_to_do(settings):
    settings.ALLOWED_HOSTS = ["*"]
    settings.DEFAULT_RECIPE = "none"
    findings = report.all_checks()

    assert [one for one in findings if one.level and not one.remedy] == []
    assert {one.level for one in findings} == set(Level)


def test_a_check_that_fails_is_a_problem_and_stops_nothing(monkeypatch):
    def broken_check():
        raise KeyError("unforeseen")

    monkeypatch.setattr(report, "QUICK", (broken_check, setup.versions))

    assert [(one.about, one.word) for one in report.quick_checks()] == [("broken check", "problem"), ("versions", "ok")]


@pytest.mark.parametrize(
    ("bind", "is_https", "level"),
    [("127.0.0.1", False, 0), ("127.0.0.1", True, 0), ("0.0.0.0", False, 1), ("0.0.0.0", True, 1)],
)
def test_what_crosses_the_network_is_encrypted(settings, bind, is_https, level):
    settings.BIND, settings.IS_HTTPS = bind, is_https

    assert levels(setup.address) == [level]


@pytest.mark.parametrize(("key", "level"), [("x" * 60, 2), ("short", 2), ("0123456789" * 6, 0)])
def test_a_key_that_can_be_guessed_is_a_problem(settings, key, level):
    settings.SECRET_KEY = key

    assert levels(setup.secret_key) == [level]


def test_threads_that_waiting_requests_may_take_all_are_a_problem(settings):
    settings.MAX_WAITING_REQUESTS = 6

    found = only(setup.web_threads)

    assert (found.word, "at least 14" in found.remedy) == ("problem", True)


@pytest.mark.parametrize(("age", "level"), [(timedelta(hours=1), 0), (timedelta(days=3), 1), (None, 2)])
def test_an_old_backup_is_noticed(settings, tmp_path, age, level):
    settings.BACKUPS = str(tmp_path)
    (tmp_path / "monday").mkdir()
    if age is not None:
        write_manifest(tmp_path / "monday", Manifest(timezone.now() - age, "0.1.0", "sqlite", [], {}, 0, 0, 0))

    assert levels(setup.backups) == [level]


def test_a_broken_backup_is_a_problem(settings, tmp_path):
    settings.BACKUPS = str(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")

    assert levels(setup.backups) == [2]


def test_a_store_of_another_installation_is_a_problem(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    assert levels(folders.store_owner) == [0]
    folders._foreign_stores.cache_clear()
    store().write_mark("hub_0000000000another")

    found = only(folders.store_owner)

    assert (found.word, f"put {installation_uid()} into" in found.remedy) == ("problem", True)


@pytest.mark.parametrize(("mode", "level"), [(0o700, 0), (0o750, 2), (0o705, 2)])
def test_a_data_folder_that_others_can_read_is_a_problem(settings, tmp_path, mode, level):
    tmp_path.chmod(mode)
    settings.DATA_DIR = tmp_path

    assert levels(folders.data_folder) == [level]


def test_a_secret_that_others_can_read_is_a_problem(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    (tmp_path / "secrets").mkdir()
    key = tmp_path / "secrets" / "secret_key"
    key.touch(0o644)

    found = only(folders.secret_files)

    assert (found.word, found.remedy) == ("problem", f"chmod 600 {key}")


def test_a_disk_over_the_network_and_a_full_one_are_noticed(monkeypatch):
    monkeypatch.setattr(folders, "file_system_of", lambda _: "nfs4")
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: type("Room", (), {"free": 2**20, "total": 2**40}))

    kind, room, *_ = folders.disk()

    assert (kind.level > 0, room.word) == (True, "problem")


def test_the_kind_of_a_disk_is_that_of_the_nearest_mount():
    assert folders.file_system_of(Path("/proc/self")) == "proc"


def test_what_a_store_says_is_a_problem(monkeypatch):
    monkeypatch.setattr(folders, "store_problems", lambda: ["The bucket is gone."])

    assert [(one.word, one.seen) for one in folders.store()] == [("problem", "The bucket is gone.")]


def test_the_database_of_the_tests_is_well():
    checks = (database.reachable, database.schema, database.clock, database.connections)

    assert [one for check in checks for one in check() if one.level] == []


def test_a_scheduler_that_is_missing_slow_old_or_elsewhere_is_noticed():
    assert levels(work.schedulers) == [2]
    mine = beat()
    assert levels(work.schedulers) == [0]
    mine.pass_seconds = 30
    mine.save()
    assert "30.0 s" in only(work.schedulers).seen
    mine.pass_seconds, mine.version = 0.1, "0.0.9"
    mine.save()
    assert levels(work.schedulers) == [1]
    mine.delete()
    beat()
    beat(host="there")
    assert "several machines" in only(work.schedulers).seen


def test_what_an_executor_says_is_a_problem(monkeypatch):
    monkeypatch.setattr(executor_use, "executors", lambda: {"gpu": MissingExecutor("gpu")})

    assert [(one.about, one.word, one.seen) for one in work.executor_problems()] == [
        ("executor gpu", "problem", "There is no executor gpu any more.")
    ]


def test_a_broken_recipe_is_noticed(settings, tmp_path):
    broken = tmp_path / "mine"
    broken.mkdir()
    (broken / "recipe.toml").write_text("title =")
    settings.RECIPE_FOLDERS = [*settings.RECIPE_FOLDERS, tmp_path]

    assert [one.word for one in work.recipe_folders()] == ["warning"]


def test_silent_nodes_skewed_clocks_and_gpus_without_samples_are_noticed(project):
    attempt = new_attempt(new_run(project))
    long_ago = timezone.now() - timedelta(minutes=5)
    assert [levels(check) for check in (work.silent_nodes, work.node_clocks, work.gpu_samples)] == [[0], [], []]

    Attempt.objects.filter(pk=attempt.pk).update(
        heartbeat_at=long_ago, started_at=long_ago, clock_skew_seconds=-90.0, gpu_count=1, host="node7"
    )

    found = [only(check) for check in (work.silent_nodes, work.node_clocks, work.gpu_samples)]
    assert [one.word for one in found] == ["warning"] * 3
    assert all("node7" in one.seen for one in found)
    assert "-90 s" in found[1].seen


def test_an_address_where_nobody_answers_is_a_problem(settings):
    settings.PUBLIC_URL = "http://127.0.0.1:1"

    assert levels(web.people) == [2]


class SomethingElse(http.server.BaseHTTPRequestHandler):
    """Answers, but is no hub."""

    def do_GET(self):
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


def test_another_program_at_the_address_is_a_problem(settings):
    with http.server.HTTPServer(("127.0.0.1", 0), SomethingElse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.NODE_URL = f"http://127.0.0.1:{server.server_port}"

        found = only(web.runners)
        server.shutdown()

    assert (found.word, "answers 404" in found.seen) == ("problem", True)


def test_the_command_prints_a_table_and_ends_with_the_worst_level(capsys):
    with pytest.raises(SystemExit) as ended:
        call_command("doctor")

    text = capsys.readouterr().out
    assert ended.value.code == 2
    assert "PROBLEM  scheduler" in text
    assert "→ Start manage.py scheduler, or make up." in text


def test_the_command_prints_json(capsys, monkeypatch):
    monkeypatch.setattr(report, "QUICK", (setup.versions,))
    monkeypatch.setattr(report, "SLOW", ())

    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json")

    told = json.loads(capsys.readouterr().out)
    assert (ended.value.code, told["level"], told["checks"][0]["about"]) == (0, "ok", "versions")


def test_stores_are_asked_once_in_a_while(monkeypatch):
    asked = []
    monkeypatch.setattr(folders, "store_problems", lambda: asked.append(1) or [])
    moment = iter([0.0, 29.9, 30.1])
    monkeypatch.setattr(folders.time, "monotonic", lambda: next(moment))

    assert [levels(folders.store) for _ in range(3)] == [[0]] * 3
    assert len(asked) == 2


def test_a_broken_file_of_executors_is_among_the_quick_checks_once(settings):
    Path(settings.DATA_DIR, "executors.toml").write_text(
        '[executors.here]\nkind = "local"\n[executors.cluster]\nkind = "slurm"\npartitoin = "gpu"\n'
    )
    try:
        found = [one for one in report.all_checks() if "partitoin" in one.seen]
        assert [(one.about, one.word) for one in found] == [("executors' file", "problem")]
        assert found[0] in report.quick_checks()
    finally:
        Path(settings.DATA_DIR, "executors.toml").unlink()
