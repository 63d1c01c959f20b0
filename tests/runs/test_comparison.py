"""Runs side by side: which rows there are, what differs, what is best, and the files."""

import csv
import io

import orjson
import pytest

from runs.comparison import METRICS, MISSING, Outcome, Row, Subject, compare, describe, flatten
from runs.comparison_export import as_csv, as_json, guarded
from runs.comparison_page import MAX_ROWS, STYLES, columns, sections
from runs.directions import direction_of
from runs.models import Run
from tests.factories import new_run

HYPER = "hyperparameters"


def subject(*, outcomes=None, about=None, **hyperparameters):
    values = dict(flatten(hyperparameters))
    return Subject(about or {}, {HYPER: values, "model_parameters": {}}, outcomes or {})


def outcome(final, step=10, special=""):
    return Outcome(final, step, final, final, special)


def only_row(*subjects) -> Row:
    (row,) = compare(subjects)
    return row


def values(row):
    return [cell.value for cell in row.cells]


# --- Rows -----------------------------------------------------------------------------------------
def test_equal_parameters_do_not_differ():
    assert not only_row(subject(lr=0.1), subject(lr=0.1)).differs


def test_what_differs_is_marked_against_the_first_run():
    row = only_row(subject(lr=0.1), subject(lr=0.2), subject(lr=0.1))

    assert row.differs
    assert [cell.deviates for cell in row.cells] == [False, True, False]


def test_a_parameter_of_one_run_alone_is_missing_in_the_others():
    row = only_row(subject(), subject(lr=0.1))

    assert values(row) == [MISSING, 0.1]
    assert row.differs


def test_null_is_a_value_and_not_missing():
    row = only_row(subject(lr=None), subject())

    assert row.differs
    assert [cell.is_missing for cell in row.cells] == [False, True]


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        (1, 1.0, False),
        (1, True, True),
        (0, False, True),
        ([1, True], [1, 1], True),
        ("1", 1, True),
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}], False),
        ([1, 2], [2, 1], True),
        ({}, None, True),
    ],
)
def test_values_are_told_apart_as_a_trainer_would(one, other, differs):
    assert only_row(subject(x=one), subject(x=other)).differs is differs


def test_nested_parameters_are_flattened_by_dots():
    row = only_row(subject(lora={"rank": 8}), subject(lora={"rank": 16}))

    assert row.name == "lora.rank"
    assert values(row) == [8, 16]


def test_a_dotted_name_and_a_nested_one_are_two_rows():
    rows = compare([subject(**{"a.b": 1, "a": {"b": 2}})])

    assert [(row.name, values(row)) for row in rows] == [("a.b", [2]), ("a.b", [1])]


def test_groups_and_facts_have_their_order():
    about = {"recipe": "r", "compute.gpus": 1, "dataset": "d", "resumed from": "c"}
    outcomes = {"system/cpu_utilization": outcome(0.5), "acc": outcome(1.0), "train_loss": outcome(1.0)}

    rows = compare([subject(outcomes=outcomes, about={"executor": "local"}, lr=1), subject(about=about)])

    assert [row.name for row in rows] == [
        "recipe", "dataset", "executor", "compute.gpus", "resumed from", "train_loss", "acc", "lr",
        "system/cpu_utilization",
    ]  # fmt: skip


@pytest.mark.django_db
def test_a_parameter_left_out_equals_its_default(project):
    default = new_run(project, recipe="simulate")
    given = describe(default).parameters["model_parameters"][("max_steps",)]
    other = new_run(project, recipe="simulate", model_parameters={"max_steps": given})

    rows = {row.name: row for row in compare([describe(default), describe(other)])}

    assert not rows["max_steps"].differs
    assert [cell.is_default for cell in rows["max_steps"].cells] == [True, False]


# --- What is best ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("loss", "lower"), ("val_loss", "lower"), ("eval/loss", "lower"), ("trainLoss", "lower"),
        ("perplexity", "lower"), ("top5_error", "lower"), ("WER", "lower"), ("accuracy", "higher"),
        ("val/acc", "higher"), ("eval_f1", "higher"), ("F1", "higher"), ("rouge1", "higher"), ("rougeL", "higher"),
        ("BLEU-4", "higher"), ("learning_rate", None), ("grad_norm", None), ("loss_scale", None), ("glossary", None),
        ("error_recall", None),
        ("system/error", None), ("", None), ("مرحبا", None),
    ],
)  # fmt: skip
def test_direction_is_told_by_the_words_of_a_name(metric, direction):
    assert direction_of(metric) == direction


@pytest.mark.parametrize(
    ("metric", "finals", "best"),
    [
        ("loss", [2.0, 1.0, 3.0], [False, True, False]),
        ("accuracy", [0.2, 0.9, 0.9], [False, True, True]),
        ("grad_norm", [1.0, 2.0, 3.0], [False, False, False]),
        ("loss", [1.0, 1.0, 1.0], [False, False, False]),
        ("loss", [1.0, None, None], [False, False, False]),
        ("loss", [1.0, None, 0.5], [False, False, True]),
    ],
)
def test_best_is_marked_where_one_is_better_than_another(metric, finals, best):
    row = only_row(*[subject(outcomes={metric: outcome(final, special="" if final else "NaN")}) for final in finals])

    assert [cell.is_best for cell in row.cells] == best


def test_same_end_by_another_way_differs():
    row = only_row(*[subject(outcomes={"loss": Outcome(1.0, 10, least, 3.0)}) for least in (0.5, 0.6)])

    assert row.differs


# --- Files ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_text_that_begins_as_a_formula_gets_an_apostrophe(start):
    assert guarded(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@pytest.mark.parametrize("number", [-1.5, "-1.5", "+3", "-1e-05", ".5", "-Infinity", 1e-300])
def test_a_number_stays_a_number(number):
    assert guarded(number) == str(number)


@pytest.mark.parametrize("formula", ["-1+1", "+1;2", "-2\n=3", "=1", "-1e5e", "-٣"])
def test_what_only_begins_as_a_number_is_no_number(formula):
    assert guarded(formula) == f"'{formula}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1 + 0.2, "0.30000000000000004"), (2**70, "1180591620717411303424"), (True, "true"), ([1, "a"], '[1,"a"]')],
)
def test_csv_has_values_in_full(value, text):
    assert guarded(value) == text


def table(*rows):
    runs = [Run(uid=f"run_{index}", name=f"run {index}") for index in range(len(rows[0].cells))]
    runs = [fake(run) for run in runs]
    lines = list(csv.reader(io.StringIO(as_csv(runs, rows).decode("utf-8-sig"))))
    return lines, orjson.loads(as_json(runs, rows, differences=False))


def fake(run):
    from projects.models import Project

    run.project = Project(name="=1+1")
    return run


def test_csv_has_a_column_for_each_run_and_guards_names():
    lines, _ = table(only_row(subject(**{"@name": "=HYPERLINK(1)"}), subject()))

    assert lines[0] == ["group", "name", "measure", "run_0", "run_1"]
    assert ["run", "project", "", "'=1+1", "'=1+1"] in lines
    assert lines[-1] == [HYPER, "'@name", "", "'=HYPERLINK(1)", ""]


def test_csv_begins_with_a_mark_that_spreadsheets_read_and_ends_lines_as_they_do():
    content = as_csv([fake(Run(uid="run_0", name="é🚀"))], [])

    assert content.startswith(b"\xef\xbb\xbfgroup,name,measure,run_0\r\n")
    assert "é🚀".encode() in content


def test_a_metric_takes_four_lines_in_csv():
    lines, _ = table(only_row(*[subject(outcomes={"loss": one}) for one in (Outcome(1.5, 7, 1.0, 2.0), outcome(1.0))]))

    assert [line[2:] for line in lines[-4:]] == [
        ["final", "1.5", "1.0"], ["step", "7", "10"], ["min", "1.0", "1.0"], ["max", "2.0", "1.0"]
    ]  # fmt: skip


def test_what_is_no_number_is_named():
    row = only_row(subject(outcomes={"loss": Outcome(None, 3, None, None, "NaN")}), subject())

    lines, content = table(row)

    assert lines[-4] == [METRICS, "loss", "final", "NaN", ""]
    assert content["rows"][0]["values"]["run_0"] == {
        "final": None, "special": "NaN", "step": 3, "min": None, "max": None
    }  # fmt: skip


def test_json_leaves_out_what_is_missing_and_keeps_null():
    _, content = table(only_row(subject(lr=None), subject()))

    assert content["rows"] == [{"group": HYPER, "name": "lr", "differs": True, "values": {"run_0": None}}]


def test_json_says_which_is_best():
    _, content = table(only_row(*[subject(outcomes={"loss": outcome(final)}) for final in (2.0, 1.0)]))

    assert content["rows"][0]["better"] == "lower"
    assert content["rows"][0]["best"] == ["run_1"]


# --- The page's parts -----------------------------------------------------------------------------
def test_runs_of_one_name_are_told_apart():
    runs = [Run(uid="run_aaaa1111", name="same"), Run(uid="run_bbbb2222", name="same"), Run(uid="run_c", name="other")]

    assert [column.label for column in columns(runs, only_differences=True)] == [
        "same (…1111)", "same (…2222)", "other"
    ]  # fmt: skip


def test_links_of_a_column_leave_it_out_or_put_it_first():
    runs = [Run(uid=f"run_{letter}", name=letter) for letter in "abc"]

    column = columns(runs, only_differences=False)[1]

    assert column.without == "run=run_a&run=run_c&differences=0"
    assert column.first == "run=run_b&run=run_a&run=run_c&differences=0"


def test_every_run_has_a_line_of_its_own():
    assert len(set(STYLES)) == len(STYLES) == 20


def test_a_long_section_says_what_it_leaves_out():
    (section,) = sections(compare([subject(**{f"p{index}": index for index in range(MAX_ROWS + 3)})]))

    assert (len(section.rows), section.cut) == (MAX_ROWS, 3)
