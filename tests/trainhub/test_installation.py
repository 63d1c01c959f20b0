"""A new installation: its folders, its secrets, and what Django's own checks say of it."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from trainhub.installation import prepare_data_folder, read_or_make_secret

ROOT = Path(__file__).resolve().parents[2]


def manage(data: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRAINHUB_", "DATABASE_"))}
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    ours = {**kept, "TRAINHUB_DATA": str(data), **environment}
    return subprocess.run(command, env=ours, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_deployment_check_is_clean_with_https(tmp_path):
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", TRAINHUB_URL="https://hub.example.org")

    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues (0 silenced)" in done.stdout


def test_migrations_are_complete(tmp_path):
    done = manage(tmp_path, "makemigrations", "--check", "--dry-run")

    assert done.returncode == 0, done.stdout


def test_two_installations_have_different_secrets_that_only_their_user_reads(tmp_path):
    keys = [tmp_path / name / "secrets" / "secret_key" for name in ("one", "two")]
    for key in keys:
        manage(key.parents[1], "check")

    first, second = (key.read_text() for key in keys)

    assert first != second
    assert min(len(first), len(second)) >= 50
    assert [mode(key) for key in keys] == [0o600, 0o600]


def test_the_secret_stays(tmp_path):
    made = read_or_make_secret(tmp_path / "secret_key")

    assert read_or_make_secret(tmp_path / "secret_key") == made
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


@pytest.mark.parametrize("content", ["", "short", " " * 80, "\n"])
def test_an_empty_or_short_secret_is_refused(tmp_path, content):
    (tmp_path / "secret_key").write_text(content)

    with pytest.raises(ValueError, match="no usable secret"):
        read_or_make_secret(tmp_path / "secret_key")


def test_the_folders_are_for_their_user_alone(tmp_path):
    prepare_data_folder(tmp_path / "data")

    folders = [tmp_path / "data", *(tmp_path / "data").iterdir()]

    assert len(folders) == 5
    assert {mode(folder) for folder in folders} == {0o700}


def test_there_is_no_account_with_a_password(tmp_path):
    manage(tmp_path, "migrate", "--verbosity", "0")
    manage(tmp_path, "token")

    code = "from django.contrib.auth.models import User; print([u.has_usable_password() for u in User.objects.all()])"

    assert manage(tmp_path, "shell", "--no-imports", "-c", code).stdout.strip() == "[False]"


def test_the_token_command_prints_the_token_and_nothing_else(tmp_path):
    manage(tmp_path, "migrate", "--verbosity", "0")

    done = manage(tmp_path, "token")

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.strip()) == 64
    assert done.stdout.strip().isalnum()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATABASE_URL", "postgresl://hub:hunter2@db/hub", "DATABASE_URL must begin with sqlite: or postgresql:"),
        ("DATABASE_URL", "hunter2", "DATABASE_URL must begin with sqlite: or postgresql:"),
        ("DATABASE_URL", "postgresql://hub:hunter2/@db/hub", "DATABASE_URL cannot be understood."),
        ("DATABASE_URL", "postgresql://hub@db:hunter2/hub", "DATABASE_URL cannot be understood."),
        ("TRAINHUB_STORE", "s3:hunter2", "TRAINHUB_STORE must be 'file' or of the form s3://bucket/prefix."),
        ("TRAINHUB_S3", "hunter2", "TRAINHUB_S3 must be of the form s3://bucket/prefix."),
        ("TRAINHUB_PORT", "hunter2", "TRAINHUB_PORT must be a number."),
    ],
)
def test_a_setting_that_cannot_be_is_named_and_never_shown(tmp_path, name, value, said):
    done = manage(tmp_path, "check", **{name: value})

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"A setting is wrong: {said}")
    assert "hunter2" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_help_of_make_lists_every_target_that_has_a_description():
    described = re.findall(r"^([^\s:#]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)

    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)

    listed = {line.split()[0] for line in done.stdout.splitlines() if line}
    assert {"s3", "bench-s3", "check"} <= set(described) <= listed
