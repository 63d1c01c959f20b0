"""Checkpoints and other results: whole or absent."""

import hashlib
import os

import pytest

from runner.manifest import Candidate, Changed, find_candidates, find_step, list_files, make_offer, read_blocks

SAVE = """
import os, time
def save(name, parts):
    for part, data in parts.items():
        path = os.path.join(os.path.dirname(name), ".tmp", part)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "wb").write(data)
    os.rename(os.path.join(os.path.dirname(name), ".tmp"), name)
"""


def test_a_checkpoint_arrives_whole_while_the_trainer_goes_on(bench):
    trainer = SAVE + 'save("checkpoints/step-500", {"a/model.bin": b"m" * 3_000_000, "b.json": b"{}"})\ntime.sleep(120)'
    hub = bench.prepare(trainer=trainer)
    bench.start()
    hub.wait(lambda: hub.artifacts and hub.artifact("checkpoints/step-500")["state"] == "verified")
    offer = hub.artifact("checkpoints/step-500")
    assert (offer["type"], offer["name"], offer["step"], offer["is_directory"]) == (
        *("checkpoint", "Checkpoint @ step 500", 500),
        True,
    )
    assert offer["files"] == [
        {"name": "a/model.bin", "size_bytes": 3_000_000, "sha256": hashlib.sha256(b"m" * 3_000_000).hexdigest()},
        {"name": "b.json", "size_bytes": 2, "sha256": hashlib.sha256(b"{}").hexdigest()},
    ]
    assert hub.bytes["art0", 0] == b"m" * 3_000_000


RESULTS = (
    SAVE
    + """
save("checkpoints/step-1", {"model": b"1"})
open("checkpoints/last.pt", "wb").write(b"2")
os.makedirs("checkpoints/tmp-step-2"); open("checkpoints/tmp-step-2/x", "w").write("half")
open("checkpoints/step-3.tmp", "w").write("half")
os.symlink("/etc/passwd", "checkpoints/step-4")
os.mkdir("checkpoints/step-5")
os.makedirs("evaluations"); open("evaluations/eval-10.json", "w").write("{}"); open("evaluations/notes.txt", "w")
os.makedirs("tensorboard/run"); open("tensorboard/run/events", "w").write("e")
os.makedirs("config"); open("config/train.toml", "w").write("c")
open("other", "w").write("o")
"""
)


def test_results_are_found_by_their_place(bench):
    hub = bench.prepare(trainer=RESULTS)
    assert bench.run() == 0
    assert {
        source: (offer["type"], offer["step"], offer["is_directory"]) for source, offer in hub.artifacts.items()
    } == {
        "checkpoints/step-1": ("checkpoint", 1, True),
        "checkpoints/last.pt": ("checkpoint", None, False),
        "evaluations/eval-10.json": ("evaluation", 10, False),
        "config/train.toml": ("config", None, False),
        "tensorboard": ("tensorboard", None, True),
    }
    assert {offer["state"] for offer in hub.artifacts.values()} == {"verified"}


def test_only_verified_copies_are_deleted_at_the_end(bench):
    hub = bench.prepare(trainer=RESULTS)
    hub.failures = [("POST artifacts", 400, {"code": "invalid", "detail": "No such thing."})]
    assert bench.run() == 0
    assert len(hub.artifacts) == 4
    assert hub.lines(2) == ["checkpoints/last.pt could not be stored: No such thing."]
    left = sorted(path.relative_to(bench.output).as_posix() for path in bench.output.rglob("*") if path.is_file())
    assert left == [
        *("checkpoints/last.pt", "checkpoints/step-3.tmp", "checkpoints/step-4", "checkpoints/tmp-step-2/x"),
        *("evaluations/notes.txt", "other"),
    ]


def test_the_end_waits_until_the_hub_has_verified_what_it_got(bench):
    hub = bench.prepare(trainer=SAVE + 'save("checkpoints/step-1", {"model": b"1"})')
    complete = {"id": "art0", "state": "complete", "missing": []}
    hub.failures = [("POST artifacts/art0/complete", 200, complete)] * 2
    assert bench.run() == 0
    assert hub.calls.count("POST artifacts/art0/complete") == 3
    assert hub.calls.index("POST exit") > max(i for i, call in enumerate(hub.calls) if call.endswith("/complete"))
    assert not (bench.output / "checkpoints" / "step-1").exists()


def test_a_store_that_is_away_is_told_once_and_so_is_its_return(bench):
    hub = bench.prepare(trainer=SAVE + 'save("checkpoints/step-1", {"model": b"1"})')
    away = {"code": "store_unavailable", "detail": "The object store answered 403 InvalidAccessKeyId."}
    hub.failures = [("POST artifacts", 503, away)] * 3
    assert bench.run() == 0
    told = [line for line in hub.lines(2) if "rtifacts" in line]
    assert told == [
        f"Artifacts cannot be stored now; the runner keeps trying: {away['detail']}",
        "Artifacts are stored again.",
    ]
    assert hub.artifact("checkpoints/step-1")["state"] == "verified"


def test_a_marker_file_makes_a_directory_whole(bench):
    trainer = """
        import os
        for name in ("epoch-1", "epoch-2"):
            os.makedirs(f"models/{name}")
            open(f"models/{name}/weights", "w").write(name)
        open("models/epoch-1/DONE", "w")
        """
    hub = bench.prepare(trainer=trainer, checkpoint_pattern="models/epoch-*", complete_marker="DONE")
    assert bench.run() == 0
    assert list(hub.artifacts) == ["models/epoch-1"]


@pytest.mark.parametrize(
    "failures",
    [
        [("POST artifacts", 507, {"code": "disk_full", "detail": ""})],
        [("PUT .*", 503, {"code": "unavailable", "detail": ""})],
        [("PUT .*", 507, {"code": "disk_full", "detail": ""})],
        [("POST artifacts/.*/complete", 500, {"code": "error", "detail": ""})],
    ],
)
def test_an_upload_goes_on_when_the_hub_can(bench, failures):
    hub = bench.prepare(trainer=SAVE + 'save("checkpoints/step-1", {"a": b"a", "b": b"b"})')
    hub.failures = failures
    assert bench.run() == 0
    assert hub.artifact("checkpoints/step-1")["state"] == "verified"


def test_lost_answers_of_an_upload_cost_nothing(bench):
    hub = bench.prepare(trainer=SAVE + 'save("checkpoints/step-1", {"a": b"a" * 2_000_000})')
    hub.lost_answers = {"POST artifacts": 1, "PUT .*": 1, "POST artifacts/.*/complete": 1}
    assert bench.run() == 0
    assert hub.artifact("checkpoints/step-1")["state"] == "verified"


def test_an_upload_does_not_delay_logs(bench):
    trainer = (
        SAVE
        + 'save("checkpoints/step-1", {"a": b"a"})\nprint("saved")\ntime.sleep(1.5)\nprint("later")\ntime.sleep(120)'
    )
    hub = bench.prepare(trainer=trainer)
    hub.refuse["PUT .*"] = (503, {"code": "unavailable", "detail": ""})
    bench.start()
    hub.wait(lambda: "later" in hub.lines(0))
    assert hub.artifact("checkpoints/step-1")["state"] == "writing"


def test_a_file_that_changes_while_it_is_read_is_not_offered(tmp_path):
    (tmp_path / "model").write_bytes(b"one")
    candidate = Candidate("checkpoint", "model", False, False)
    found = list_files(tmp_path, candidate)
    (tmp_path / "model").write_bytes(b"other")
    with pytest.raises(Changed):
        make_offer(tmp_path, candidate, found)


def test_a_file_that_shrank_is_not_sent(tmp_path):
    (tmp_path / "model").write_bytes(b"short")
    with pytest.raises(Changed):
        list(read_blocks(tmp_path / "model", 6))


def test_links_inside_a_checkpoint_are_left_out(tmp_path):
    (tmp_path / "step-1").mkdir()
    (tmp_path / "step-1" / "real").write_bytes(b"r")
    (tmp_path / "step-1" / "link").symlink_to("/etc/passwd")
    (tmp_path / "step-1" / "folder").symlink_to("/etc")
    os.mkfifo(tmp_path / "step-1" / "pipe")
    found = list_files(tmp_path, Candidate("checkpoint", "step-1", True, False))
    assert [file.name for file in found] == ["real"]


def test_a_link_in_the_pattern_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "step-1").mkdir()
    (tmp_path / "checkpoints").symlink_to(tmp_path / "elsewhere")
    assert list(find_candidates(tmp_path, "checkpoints/*", "", has_ended=True)) == []


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("step-500", 500),
        ("epoch=3-step=70.ckpt", 70),
        ("last", None),
        ("x" + "9" * 19, None),
        ("0012", 12),
        ("٣", None),
    ],
)
def test_the_step_is_the_last_number_in_the_name(name, step):
    assert find_step(name) == step
