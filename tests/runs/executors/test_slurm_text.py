"""Slurm without a cluster: the batch script, the operator's rules, and what is made of Slurm's words."""

import errno
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest

from runs.executors import folders
from runs.executors.base import ExecutorError, SubmitRefused, SubmitRequest
from runs.executors.slurm import SlurmExecutor
from runs.executors.slurm_commands import Refreshed, SlurmCommands
from runs.executors.slurm_rules import SlurmRules
from runs.executors.slurm_script import Places, write_script
from runs.executors.slurm_words import ENDINGS, QUEUED, RUNNING, expand_nodes, explain, read_jobs, usable_partitions

PLACES = Places(Path("/shared/attempts"), "/usr/bin/python3", Path("/shared/trainhub"))
RULES = SlurmRules(
    partitions=("gpu", "long"),
    qos=("normal",),
    memory_mb_per_gpu=64_000,
    cpus_per_node=8,
    max_time_limit_minutes=600,
    extra=("--exclusive",),
)


def request(**values):
    given = {"hub_url": "http://hub;rm -rf /", "token": "7" * 64, "folder": Path("/ignored"), **values}
    return SubmitRequest(name="att_one", **given)


def directives(rules=RULES, **values):
    script = write_script(request(**values), rules=rules, places=PLACES)
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]


# --- The script -------------------------------------------------------------------------------------
def test_the_whole_script():
    script = write_script(request(nodes=2, gpus_per_node=4, time_limit_minutes=30), rules=RULES, places=PLACES)

    assert script == (
        """#!/bin/bash
#SBATCH --job-name=att_one
#SBATCH --chdir=/shared/attempts/att_one
#SBATCH --output=/shared/attempts/att_one/slurm.log
#SBATCH --open-mode=append
#SBATCH --no-requeue
#SBATCH --export=NONE
#SBATCH --propagate=NONE
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-gpu=64000M
#SBATCH --time=30
#SBATCH --signal=B:TERM@90
#SBATCH --partition=gpu
#SBATCH --qos=normal
#SBATCH --exclusive

# The environment is the service account's on the node. Steps that the runner starts shall have the runner's.
export SLURM_EXPORT_ENV=ALL
export PYTHONPATH=/shared/trainhub
exec /usr/bin/python3 -P -s -S -m runner /shared/attempts/att_one
"""
    )


def test_a_choice_among_the_allowed_ones_is_taken():
    assert "--partition=long" in directives(choices={"partition": "long"})


@pytest.mark.parametrize(
    "choices",
    [
        {"partition": "secret"},
        {"partition": "long\n#SBATCH --uid=0"},
        {"account": "other"},
        {"qos": "high"},
        {"reservation": "night"},
        {"constraint": "a100"},
    ],
)
def test_any_other_choice_is_refused(choices):
    with pytest.raises(SubmitRefused):
        directives(choices=choices)


@pytest.mark.parametrize(("asked", "given"), [(None, "--time=600"), (1, "--time=1"), (600, "--time=600")])
def test_the_time_limit_is_the_one_asked_for_within_the_operators(asked, given):
    assert given in directives(time_limit_minutes=asked)


@pytest.mark.parametrize("asked", [601, -5])
def test_a_time_limit_beyond_the_operators_is_refused(asked):
    with pytest.raises(SubmitRefused):
        directives(time_limit_minutes=asked)


def test_without_a_limit_slurm_is_asked_for_a_warning_all_the_same():
    found = directives(SlurmRules(), grace_seconds=120)
    assert not [one for one in found if one.startswith("--time")]
    assert "--signal=B:TERM@180" in found


def test_rules_of_a_recipe_replace_the_others():
    rules = SlurmRules(partitions=("gpu",), recipes={"tiny-gpt": {"partitions": ("cpu",), "cpus_per_node": 2}})
    assert "--partition=cpu" in directives(rules.for_recipe("tiny-gpt"))
    assert "--partition=gpu" in directives(rules.for_recipe("hf-sft"))


@pytest.mark.parametrize(
    ("usual", "own"), [("memory_mb_per_node", "memory_mb_per_gpu"), ("memory_mb_per_gpu", "memory_mb_per_node")]
)
def test_the_one_memory_of_a_recipe_replaces_the_other(usual, own):
    rules = SlurmRules(**{usual: 1000}, recipes={"hf-sft": {own: 2000}, "tiny-gpt": {"cpus_per_node": 2}})
    found = rules.for_recipe("hf-sft")
    assert (getattr(found, usual), getattr(found, own)) == (None, 2000)
    assert getattr(rules.for_recipe("tiny-gpt"), usual) == 1000


@pytest.mark.parametrize("name", ["../x", "a\n#SBATCH --uid=0", "", "a b", "a%x"])
def test_a_name_that_is_no_uid_comes_into_no_script(name):
    wrong = SubmitRequest(name=name, folder=Path("/x"), hub_url="", token="")
    with pytest.raises(SubmitRefused):
        write_script(wrong, rules=RULES, places=PLACES)


@pytest.mark.parametrize("path", ["/shared/%x", "/a b", "relative", "/a;b", "/a$(b)", "/a\nb", "/é"])
def test_a_path_that_would_need_quoting_is_refused(path):
    with pytest.raises(ValueError, match="absolute path"):
        SlurmExecutor(folder=Path(path), slots=1, nodes=1, gpus=0)


# --- Rules ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "values",
    [
        {"partitions": ("a b",)},
        {"partitions": ("a\nb",)},
        {"partitions": ("a", "a")},
        {"partitions": "gpu"},
        {"constraints": ("a100;rm",)},
        {"extra": ("--job-name=x",)},
        {"extra": ("--exp=ALL",)},
        {"extra": ("-Jx",)},
        {"extra": ("--mem=1 --uid=0",)},
        {"cpus_per_node": 0},
        {"cpus_per_node": True},
        {"memory_mb_per_node": 1, "memory_mb_per_gpu": 1},
        {"time_limit_minutes": 20, "max_time_limit_minutes": 10},
        {"recipes": {"tiny-gpt": {"colour": 1}}},
        {"recipes": {"tiny-gpt": {"partitions": ("a b",)}}},
    ],
)
def test_rules_that_slurm_cannot_be_given_are_refused(values):
    with pytest.raises(ValueError, match=r"\w"):
        SlurmRules(**values)


def test_users_choose_where_there_are_two_values():
    (choice,) = RULES.choices()
    assert (choice.name, choice.values, choice.default) == ("partition", ("gpu", "long"), "gpu")


# --- Words ------------------------------------------------------------------------------------------
def one(line):
    (job,) = read_jobs(line).values()
    return job.describe()


@pytest.mark.parametrize("word", sorted(QUEUED))
def test_words_for_waiting(word):
    assert one(f"7|att_one|{word}|Priority|N/A|").state == "queued"


@pytest.mark.parametrize("word", sorted(RUNNING))
def test_words_for_running(word):
    assert one(f"7|att_one|{word}|None|N/A|n1").state == "running"


@pytest.mark.parametrize(("word", "ending"), sorted(ENDINGS.items()))
def test_words_for_the_end(word, ending):
    found = one(f"7|att_one|{word}|None|2026-01-01T00:00:00|n1")
    assert (found.state, found.ending, found.engine, found.ends_at) == ("ended", ending, word, None)


@pytest.mark.parametrize("word", ["COMPLETING", "LEVITATING", "POWER_UP_NODE"])
def test_a_word_that_is_not_understood_ends_nothing(word):
    assert one(f"7|att_one|{word}|None|N/A|").state == "unknown"


def test_a_running_job_has_nodes_and_an_end():
    found = one("7|att_one|RUNNING|None|2026-03-04T05:06:07|n[1-2]")
    assert found.nodes == ("n1", "n2")
    assert found.ends_at == datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_accounting_names_who_cancelled():
    assert one("7|att_one|CANCELLED by 1000|None|Unknown|None assigned").ending == "cancelled"


def test_a_job_that_slurm_itself_gave_up_was_refused():
    assert one("7|att_one|FAILED|BadConstraints|N/A|").ending == "refused"


def test_of_two_jobs_of_a_name_the_one_that_is_alive_counts():
    answer = "8|att_one|COMPLETED|None|N/A|n1\n7|att_one|RUNNING|None|N/A|n2\n9|att_two|FAILED|None|N/A|\n"
    assert read_jobs(answer)["att_one"].job == 7


@pytest.mark.parametrize("answer", ["slurm_load_jobs error", "<html>\n<body>", "7,att_one,RUNNING"])
def test_an_answer_that_is_none_is_an_error(answer):
    with pytest.raises(ExecutorError):
        read_jobs(answer)


def test_no_answer_is_no_job():
    assert read_jobs("\n") == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("(null)", []),
        ("n1", ["n1"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("gpu[08-10,12],login", ["gpu08", "gpu09", "gpu10", "gpu12", "login"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
    ],
)
def test_lists_of_nodes(text, names):
    assert list(expand_nodes(text)) == names


@pytest.mark.parametrize(
    ("reason", "beginning"),
    [
        ("Resources", "Resources: It waits for nodes"),
        ("ReqNodeNotAvail, UnavailableNodes:n1", "ReqNodeNotAvail: A node that it needs"),
        ("SomethingNew", "SomethingNew"),
        ("None", "Slurm has not looked"),
    ],
)
def test_reasons_are_explained(reason, beginning):
    assert explain(reason).startswith(beginning)


def test_partitions_with_a_node_that_can_be_used():
    answer = "main|up|down*\nmain|up|drained\ngpu|up|idle*\ngpu|up|down\nodd|up|inval\n"
    assert usable_partitions(answer) == {"main": False, "gpu": True, "odd": False}


def test_partitions_that_take_jobs():
    answer = "shut|drain|idle\noff|inactive|idle\nlow|down|idle\n"
    assert usable_partitions(answer) == {"shut": False, "off": False, "low": True}


# --- Programs that misbehave --------------------------------------------------------------------------
def programs(folder, **scripts):
    for name in ("sbatch", "squeue", "scancel", "sinfo", *({"sacct"} & scripts.keys())):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{scripts.get(name, 'exit 0')}\n")
        path.chmod(0o755)
    return folder


def executor(folder, **scripts):
    return SlurmExecutor(
        folder=folder, slots=1, nodes=1, gpus=0, programs=programs(folder, **scripts), poll_seconds=0, name="fake"
    )


@pytest.mark.parametrize(
    "script",
    [
        "echo garbage",
        "exit 1",
        "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1",
    ],
)
def test_a_poll_without_a_usable_answer_is_an_error_and_ends_nothing(tmp_path, script):
    with pytest.raises(ExecutorError):
        executor(tmp_path, squeue=script).poll({"asked": "att_one:7"})


def test_a_slow_poll_does_not_hold_up_its_caller(tmp_path):
    slow = executor(tmp_path, squeue="exec sleep 60")
    began = time.monotonic()

    with pytest.raises(ExecutorError, match="not answered yet"):
        slow.poll({"asked": "att_one:7"})

    assert time.monotonic() - began < 20


def test_an_empty_answer_is_looked_at_again_before_the_job_has_ended(tmp_path, monkeypatch):
    empty = executor(tmp_path)
    assert empty.poll({"asked": "att_one:7"})["asked"].state == "unknown"

    monkeypatch.setattr("runs.executors.slurm.SECOND_LOOK_SECONDS", 0)
    assert empty.poll({"asked": "att_one:7"})["asked"].state == "ended"


def test_the_second_look_is_another_answer_and_not_the_same_one_later(tmp_path, monkeypatch):
    empty = executor(tmp_path)
    empty._jobs = Refreshed(empty._ask_for_jobs, seconds=3600)
    clock = time.monotonic()
    assert empty.poll({"asked": "att_one:7"})["asked"].state == "unknown"

    monkeypatch.setattr("runs.executors.slurm.time.monotonic", lambda: clock + 60)
    assert empty.poll({"asked": "att_one:7"})["asked"].state == "unknown"

    empty._jobs.forget()
    assert empty.poll({"asked": "att_one:7"})["asked"].state == "ended"


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_job_that_ended_before_its_runner_began_is_told_from_others(tmp_path, has_begun):
    failed = executor(tmp_path, squeue="echo '7|att_one|FAILED|NonZeroExitCode|2026-01-01T00:00:00|n1'")
    if has_begun:
        (tmp_path / "att_one").mkdir()
        (tmp_path / "att_one" / "runner.json").write_text("{}")

    assert failed.poll({"asked": "att_one:7"})["asked"].has_begun is has_begun


def test_one_call_asks_for_all(tmp_path):
    asking = executor(tmp_path, squeue=f'echo "$@" >> {tmp_path}/calls')
    asking.poll({str(number): f"att_{number}:7" for number in range(300)})

    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.count("att_") == 300


POLICY = "Job violates accounting/QOS policy (job submit limit, the size of the job or its time)"


@pytest.mark.parametrize(
    ("sentence", "error"),
    [
        ("Requested node configuration is not available", SubmitRefused),
        ("Invalid account or account/partition combination specified", SubmitRefused),
        ("Unable to contact slurm controller (connect failure)", ExecutorError),
        ("Socket timed out on send/recv operation", ExecutorError),
        ("Requested partition configuration not available now", ExecutorError),
        ("Required partition not available (inactive or drain)", ExecutorError),
        (f"{POLICY}", ExecutorError),
        (f"QOSMaxSubmitJobPerUserLimit' >&2; echo 'sbatch: error: {POLICY}", ExecutorError),
        (f"AssocGrpSubmitJobsLimit' >&2; echo 'sbatch: error: {POLICY}", ExecutorError),
        (f"QOSMaxWallDurationPerJobLimit' >&2; echo 'sbatch: error: {POLICY}", SubmitRefused),
        ("The moon is in the wrong house", ExecutorError),
    ],
)
def test_a_refusal_is_told_from_an_engine_that_cannot_be_asked(tmp_path, sentence, error):
    refusing = executor(tmp_path, sbatch=f"echo 'sbatch: error: Batch job submission failed: {sentence}' >&2; exit 1")
    with pytest.raises(error, match=sentence.rpartition("error: ")[2].split("(")[0].strip()):
        refusing.submit(request())


def test_an_answer_of_sbatch_that_is_no_number_is_an_error(tmp_path):
    with pytest.raises(ExecutorError, match="not understood"):
        executor(tmp_path, sbatch="echo Submitted").submit(request())


def test_after_a_silence_nobody_asks_again_at_once(tmp_path):
    calls = SlurmCommands(
        programs=programs(tmp_path, squeue=f"echo x >> {tmp_path}/calls; echo 'Unable to contact' >&2; exit 1"),
        slurm_conf=None,
    )
    for _ in range(3):
        with pytest.raises(ExecutorError, match="Unable to contact"):
            calls.call("squeue")

    assert (tmp_path / "calls").read_text() == "x\n"


def test_a_silence_of_accounting_is_not_one_of_the_controller(tmp_path):
    script = f"echo x >> {tmp_path}/calls; echo 'Unable to contact slurmdbd' >&2; exit 1"
    calls = SlurmCommands(programs=programs(tmp_path, sacct=script, squeue="echo fine"), slurm_conf=None)
    for _ in range(2):
        with pytest.raises(ExecutorError, match="slurmdbd"):
            calls.call("sacct")
        assert calls.call("squeue") == "fine\n"

    assert (tmp_path / "calls").read_text() == "x\n"


def test_a_call_that_hangs_is_ended(tmp_path):
    calls = SlurmCommands(programs=programs(tmp_path, squeue="exec sleep 60"), slurm_conf=None)
    with pytest.raises(ExecutorError, match="did not answer within"):
        calls.call("squeue", seconds=0.1)


@pytest.mark.parametrize(
    ("scripts", "problem"),
    [
        ({"sinfo": "echo 'main|up|idle'"}, None),
        ({"sinfo": "echo 'main|up|down*'"}, "All nodes of Slurm are down or drained"),
        ({"sinfo": "echo 'main|drain|idle'"}, "All nodes of Slurm are down or drained"),
        ({"sinfo": "echo 'Unable to contact slurm controller' >&2; exit 1"}, "Slurm does not answer"),
    ],
)
def test_problems(tmp_path, scripts, problem):
    found = executor(tmp_path, **scripts).problems()
    assert [one.startswith(problem or "") for one in found] == ([True] if problem else [])


def test_a_partition_that_is_closed_is_a_problem_of_those_who_go_there(tmp_path):
    asked = {"programs": programs(tmp_path, sinfo="echo 'gpu|drain|idle'; echo 'main|up|idle'"), "folder": tmp_path}
    for partition, count in (("gpu", 1), ("main", 0)):
        found = SlurmExecutor(slots=1, nodes=1, gpus=0, rules=SlurmRules(partitions=(partition,)), **asked).problems()
        assert len(found) == count


def test_a_full_disk_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MIN_FREE_BYTES", 2**80)
    assert executor(tmp_path, sinfo="echo 'main|up|idle'").problems() == [folders.NEARLY_FULL]


def test_a_folder_that_cannot_be_read_hides_nobody_else(tmp_path, monkeypatch):
    line = "|2026-01-01T00:00:00|n1"
    ended = executor(tmp_path, squeue=f"echo '7|att_one|FAILED|None{line}'; echo '8|att_two|RUNNING|None{line}'")
    monkeypatch.setattr(Path, "exists", Mock(side_effect=OSError(errno.ESTALE, "Stale file handle")))

    states = ended.poll({"one": "att_one:7", "two": "att_two:8"})

    assert [(states[uid].state, states[uid].has_begun) for uid in ("one", "two")] == [
        ("ended", True),
        ("running", True),
    ]


def test_missing_programs_are_a_problem(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "sbatch" in SlurmExecutor(folder=tmp_path, slots=1, nodes=1, gpus=0).problems()[0]


def test_accounting_tells_how_a_job_ended_that_the_controller_forgot(tmp_path):
    told = executor(tmp_path, sacct="echo '7|att_one|NODE_FAIL|None|2026-01-01T00:00:00|n1'")
    found = told.poll({"asked": "att_one:7"})["asked"]
    assert (found.state, found.ending) == ("ended", "node_failed")


def test_what_accounting_calls_alive_may_be_its_mistake(tmp_path):
    told = executor(tmp_path, sacct="echo '7|att_one|RUNNING|None|Unknown|n1'")
    assert told.poll({"asked": "att_one:7"})["asked"].state == "unknown"


def test_accounting_that_is_switched_off_is_asked_once(tmp_path):
    script = f"echo x >> {tmp_path}/calls; echo 'Slurm accounting storage is disabled' >&2; exit 1"
    told = executor(tmp_path, sacct=script)
    for _ in range(3):
        assert told.poll({"asked": "att_one:7"})["asked"].state == "unknown"
    assert (tmp_path / "calls").read_text() == "x\n"


# --- Answers that are kept for a while ------------------------------------------------------------------
def test_an_answer_is_used_again_until_it_is_old():
    asked = []
    answer = Refreshed(lambda: asked.append(1) or len(asked), seconds=3600)

    assert [answer.get(), answer.get()] == [1, 1]
    answer.forget()
    assert answer.get() == 2


def test_what_was_asked_before_a_change_does_not_count():
    going, answers = threading.Event(), iter(["old", "new"])

    def ask():
        word = next(answers)
        if word == "old":
            going.wait(20)
        return word

    answer = Refreshed(ask, seconds=3600, patience=0.05)
    with pytest.raises(ExecutorError):
        answer.get()
    answer.forget()
    going.set()
    answer._patience = 20

    assert answer.get() == "new"


def test_an_error_is_raised_again_until_it_is_old():
    answer = Refreshed(lambda: {}["missing"], seconds=3600)
    for _ in range(2):
        with pytest.raises(ExecutorError, match="KeyError"):
            answer.get()


def test_while_a_new_answer_is_asked_for_the_old_one_is_used():
    going, calls = threading.Event(), []

    def ask():
        calls.append(1)
        if len(calls) > 1:
            going.wait(20)
        return len(calls)

    answer = Refreshed(ask, seconds=3600, patience=20)
    assert answer.get() == 1
    answer._result = (time.monotonic() - 3601, 1)

    assert answer.get() == 1  # at once, although the second call hangs
    going.set()
