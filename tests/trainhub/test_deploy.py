"""The files in deploy/ are what systemd and Prometheus take, and the alerts are about figures that exist."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from trainhub import gauges

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])
GUIDE = (ROOT / "docs" / "operations.md").read_text()
SETTING = re.compile(r"TRAINHUB_[A-Z_]+[A-Z]")


def need_systemd() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("systemd-analyze is missing")
    return str(found)


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """The units with the programs where this checkout has them, and an instance of the template."""
    folder = tmp_path_factory.mktemp("units")
    for unit in UNITS:
        name = unit.name.replace("@.", "@8001.")
        (folder / name).write_text(unit.read_text().replace("/opt/trainhub", str(ROOT)))
    return folder


def test_systemd_understands_every_unit(units):
    command = [need_systemd(), "verify", *map(str, sorted(units.iterdir()))]

    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["trainhub.service", "trainhub-scheduler.service"])
def test_a_restart_of_what_starts_local_runs_leaves_them_alone(name):
    assert "\nKillMode=process\n" in (DEPLOY / name).read_text()


def test_the_port_of_an_instance_and_the_time_of_migrations_go_before_the_file_of_settings():
    starts = {
        name: re.findall(r"^ExecStart=/usr/bin/env (.*?) /opt", (DEPLOY / name).read_text(), re.MULTILINE)
        for name in ("trainhub-web@.service", "trainhub-prepare.service")
    }

    assert starts["trainhub-web@.service"] == ["TRAINHUB_PORT=%i"]
    assert starts["trainhub-prepare.service"] == ["TRAINHUB_DB_STATEMENT_TIMEOUT=0 TRAINHUB_DB_IDLE_TIMEOUT=0"]


@pytest.mark.django_db
def test_alerts_are_about_figures_that_exist():
    rules = [
        rule
        for group in yaml.safe_load((DEPLOY / "trainhub-alerts.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    named = {name for rule in rules for name in re.findall(r"trainhub_\w+", rule["expr"])}
    families = list(gauges.registry().collect())
    there = {f"{family.name}{suffix}" for family in families for suffix in ("", "_count", "_sum", "_bucket")}

    assert len(rules) >= 5
    assert named - there == set()
    assert all(rule["alert"] and rule["annotations"]["summary"] for rule in rules)


def test_prometheus_is_told_where_the_figures_are():
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]

    assert job["metrics_path"] == "/health/metrics"
    assert "credentials_file" in job["authorization"]


def test_the_guide_has_every_setting_and_none_that_does_not_exist():
    sources = [*(ROOT / "trainhub").rglob("*.py"), *(ROOT / "runs").rglob("*.py"), *(ROOT / "artifacts").rglob("*.py")]
    read = {
        name
        for path in sources
        for name in re.findall(
            r"""(?:env\.\w+|folders|environ\.get|environ\[)\(?["'](TRAINHUB_\w+)["']""", path.read_text()
        )
    }
    guides = GUIDE + (ROOT / "docs" / "postgresql.md").read_text()
    table = set(re.findall(r"^\| `(TRAINHUB_\w+)` \|", guides, re.MULTILINE))

    assert read - table == set()
    assert {name for name in table if name not in "".join(path.read_text() for path in sources)} == set()


@pytest.mark.parametrize("path", sorted(DEPLOY.iterdir()), ids=lambda path: path.name)
def test_every_file_is_named_in_the_guide(path):
    assert path.name in GUIDE
