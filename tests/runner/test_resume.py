"""What a run is resumed from: fetched, checked, or refused."""

import hashlib
import json

import pytest

SHOW = """
import json, os
path = os.environ["TRAINHUB_RESUME_FROM"]
config = json.load(open(os.environ["TRAINHUB_CONFIG"]))
paths = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
names = sorted(os.path.relpath(found, path) for found in paths)
print(json.dumps([os.path.basename(path), config["resume_from"] == path, names]))
"""
FILES = [b"w" * 2_500_000, b"{}"]


def resume(names, **changes):
    """Return a resume source for FILES under these names."""
    files = [
        {"name": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in zip(names, FILES, strict=False)
    ]
    return {"artifact": "ckpt_1", "name": "step-100", "step": 100, "is_directory": True, "files": files} | changes


def prepare(bench, source, trainer=SHOW):
    hub = bench.prepare(trainer=trainer, resume=source)
    hub.resume_files = list(FILES)
    return hub


def test_a_directory_is_restored(bench):
    hub = prepare(bench, resume(["a/model.bin", "state.json"]))
    assert bench.run() == 0
    assert json.loads(hub.lines(0)[0]) == ["step-100", True, ["a/model.bin", "state.json"]]
    assert (bench.path / "resume" / "step-100" / "a" / "model.bin").read_bytes() == FILES[0]


def test_a_single_file_is_restored_as_a_file(bench):
    hub = prepare(bench, resume(["step-100.pt"], name="step-100.pt", is_directory=False))
    assert bench.run() == 0
    assert hub.lines(0) == ['["step-100.pt", true, []]']
    assert (bench.path / "resume" / "step-100.pt").read_bytes() == FILES[0]


def test_the_hub_hears_of_the_preparation(bench):
    hub = prepare(bench, resume(["model"]))
    assert bench.run() == 0
    assert hub.beats[0]["phase"] == "preparing"


@pytest.mark.parametrize("damaged", [b"v" + FILES[0][1:], FILES[0][:-1], FILES[0] + b"x", b""])
def test_a_damaged_file_starts_no_trainer_and_is_named(bench, damaged):
    hub = prepare(bench, resume(["model.bin", "state.json"]))
    hub.resume_files[0] = damaged
    assert bench.run() == 0
    assert hub.exits[0]["problem"] == "resume_damaged"
    assert "model.bin" in hub.exits[0]["message"]
    assert not hub.started


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a//b", "a/../../b", "a\\b", "", ".", "a/\0", "a\nb"])
def test_a_name_that_leads_elsewhere_is_refused(bench, name):
    hub = prepare(bench, resume([name]))
    assert bench.run() == 0
    assert hub.exits[0]["problem"] == "resume_damaged"
    assert "GET resume/files/0" not in hub.calls


def test_a_download_goes_on_when_the_hub_can(bench):
    hub = prepare(bench, resume(["model.bin"]))
    hub.failures = [("GET .*", 503, {"code": "unavailable", "detail": ""})]
    hub.lost_answers = {"GET .*": 1}
    assert bench.run() == 0
    assert hub.exits[0]["exit_code"] == 0


@pytest.mark.parametrize("source", [{"files": 5}, {"name": None}, {"is_directory": False, "files": []}])
def test_a_source_that_makes_no_sense_starts_no_trainer(bench, source):
    hub = prepare(bench, resume(["model.bin"], **source))
    assert bench.run() == 0
    assert hub.exits[0]["problem"] in ("resume_damaged", "workspace_failed")
    assert not hub.started


def test_a_checkpoint_that_the_hub_does_not_give_is_no_damage(bench):
    hub = prepare(bench, resume(["model.bin"]))
    hub.refuse["GET .*"] = (404, {"code": "not_found", "detail": "Gone."})
    assert bench.run() == 0
    assert hub.exits[0]["problem"] == "workspace_failed"
    assert "Gone." in hub.exits[0]["message"]
