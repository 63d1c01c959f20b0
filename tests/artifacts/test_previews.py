"""What pages show of files: bounded, as text, and true."""

import json
import math

import pytest

from artifacts.previews.against import view_config
from artifacts.previews.choosing import choose_file, make_preview
from artifacts.previews.config import compare, compare_lines, compare_with_defaults, read_configuration, values_of
from artifacts.previews.table import MAX_BYTES, MAX_COLUMNS, MAX_FACTS, MAX_ROWS, MAX_TABLES, make_leaf, make_table
from artifacts.previews.text import SHOWN_BYTES, FileGone, clean, read_text
from tests.factories import lose, new_artifact, new_project, new_run
from trainhub.errors import NotFound

BROKEN = "\N{REPLACEMENT CHARACTER}"


def facts_of(value):
    return {path: leaf.text for path, leaf in make_table(value).facts}


# --- JSON as tables -------------------------------------------------------------------------------
def test_nested_keys_become_paths():
    assert facts_of({"a": {"b": {"c": 1}}, "d": "text"}) == {"a.b.c": "1", "d": "text"}


def test_a_list_of_records_becomes_rows_and_what_a_record_lacks_stays_open():
    (records,) = make_table({"cases": [{"id": 1, "score": 0.5}, {"id": 2, "note": "x"}]}).records

    assert (records.path, records.columns, records.count) == ("cases", ["id", "score", "note"], 2)
    assert [[leaf and leaf.text for leaf in row] for row in records.rows] == [["1", "0.5", None], ["2", None, "x"]]


def test_a_list_at_the_top_becomes_rows():
    (records,) = make_table([{"a": 1}]).records

    assert records.path == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (None, "null"), ([1, "a"], '[1, "a"]'), ({}, "{}"), ("", ""), (math.nan, "nan"), (7, "7")],
)
def test_a_single_value_is_written_as_it_is(value, text):
    assert facts_of({"v": value}) == {"v": text}


def test_a_long_number_is_short_and_keeps_the_exact_one_beside():
    leaf = make_leaf(1.4177113840865)

    assert (leaf.text, leaf.exact, leaf.is_number) == ("1.4177", "1.4177113840865", True)


def test_rows_columns_values_and_tables_are_bounded_and_it_is_told():
    wide = [{f"column {number}": number for number in range(50)}] * (MAX_ROWS + 1)
    table = make_table({f"t{n}": wide for n in range(MAX_TABLES + 1)} | {str(n): n for n in range(MAX_FACTS + 5)})

    assert len(table.facts) == MAX_FACTS
    assert len(table.records) == MAX_TABLES
    assert table.left_out == 6
    assert (len(table.records[0].rows), len(table.records[0].columns)) == (MAX_ROWS, MAX_COLUMNS)
    assert (table.records[0].count, table.records[0].column_count) == (MAX_ROWS + 1, 50)


def test_what_is_nested_too_deep_is_shown_as_json():
    deep = 1
    for _ in range(100):
        deep = {"k": deep}

    (path,) = facts_of(deep)

    assert path == ".".join("k" * 8)


def test_a_long_text_is_cut():
    leaf = make_leaf("x" * 5000)

    assert (len(leaf.text), leaf.is_cut) == (2000, True)


@pytest.mark.parametrize("text", ["\ud800", "\x00", "\x1b", "\x9b"])
def test_what_no_page_can_carry_is_marked(text):
    assert clean(f"a{text}\n\tb") == f"a{BROKEN}\n\tb"


# --- Which file, and how --------------------------------------------------------------------------
@pytest.fixture
def produce(project):
    run = new_run(project)

    def make(content, name="eval.json", **values):
        return new_artifact(run, **{"type": "evaluation", "name": name, "files": {name: content}, **values})

    return make


@pytest.mark.parametrize("content", [b"{not json", b"[" * 100_000, b'{"a": ' + b"1" * 5000 + b"}", b"\xff"])
def test_what_is_no_json_is_shown_as_text(produce, content):
    preview = make_preview(produce(content), 0)

    assert preview.kind == "text"
    assert preview.text.text[:1] == content[:1].decode(errors="replace")


def test_json_with_nan_is_a_table(produce):
    preview = make_preview(produce(b'{"loss": NaN}'), 0)

    assert preview.table.facts[0][1].text == "nan"


def test_json_beyond_the_limit_is_shown_as_the_beginning_of_a_text(produce):
    preview = make_preview(produce(b'["' + b"x" * MAX_BYTES + b'"]'), 0)

    assert (preview.kind, len(preview.text.text), preview.text.is_cut) == ("text", SHOWN_BYTES, True)


def test_a_text_is_cut_at_its_limit_and_what_is_not_utf_8_is_marked(produce):
    artifact = produce(b"ok \xff " + b"x" * 20, "samples.txt")

    text = read_text(artifact, 0, limit=10)

    assert (text.text, text.is_cut) == (f"ok {BROKEN} xxxxx", True)


def test_a_text_that_fits_is_whole(produce):
    assert not read_text(produce(b"x" * 10, "samples.txt"), 0, limit=10).is_cut


def test_bytes_that_are_gone_are_told(produce):
    artifact = produce(b"{}")
    lose(artifact)

    assert make_preview(artifact, 0).kind == "gone"
    with pytest.raises(FileGone):
        read_text(artifact, 0)


def test_the_first_file_that_can_be_shown_is(produce):
    artifact = produce(b"", files={"model.bin": b"x", "notes.md": b"# hi"})

    assert choose_file(artifact, None) == 1


@pytest.mark.parametrize("kind", ["checkpoint", "tensorboard"])
def test_of_a_checkpoint_nothing_is_shown_unasked(produce, kind):
    artifact = produce(b"{}", type=kind)

    assert choose_file(artifact, None) is None
    assert choose_file(artifact, 0) == 0


@pytest.mark.parametrize("wanted", [0, 9])
def test_a_file_that_cannot_be_shown_is_not_found(produce, wanted):
    with pytest.raises(NotFound):
        choose_file(produce(b"x", "model.bin"), wanted)


@pytest.mark.parametrize("name", ["page.html", "PAGE.HTM", "feed.xml"])
def test_markup_is_shown_as_text(produce, name):
    assert make_preview(produce(b"<script>alert(1)</script>", name), 0).text.text == "<script>alert(1)</script>"


# --- Configurations -------------------------------------------------------------------------------
def test_two_configurations_differ_by_name():
    changes = compare(values_of({"a": 1, "b": {"c": 2}, "new": True}), values_of({"a": 1, "b": {"c": 3}, "old": "x"}))

    assert [(change.path, change.sign, change.there, change.here) for change in changes] == [
        ("a", "=", "1", "1"),
        ("b.c", "±", "3", "2"),
        ("new", "+", None, "true"),
        ("old", "-", '"x"', None),
    ]


def test_a_default_is_found_wherever_the_program_wrote_it():
    here = values_of({"hyperparameters": {"learning_rate": 0.1, "batch_size": 8}})

    changes = compare_with_defaults(here, {"learning_rate": 0.2, "batch_size": 8, "dropout": 0})

    assert [(change.path, change.sign) for change in changes] == [
        ("hyperparameters.batch_size", "="),
        ("dropout", "-"),
        ("hyperparameters.learning_rate", "±"),
    ]


def test_texts_differ_by_line_and_dashes_in_them_are_lines_too():
    lines = list(compare_lines("a: 1\n-- kept\n++ new\n", "a: 2\n-- kept\n-- gone\n"))

    assert lines == [("-", "a: 2"), ("+", "a: 1"), ("=", "-- kept"), ("-", "-- gone"), ("+", "++ new")]


@pytest.mark.parametrize(
    ("name", "content", "values"),
    [
        ("c.json", b'{"a": {"b": 1}}', {"a.b": "1"}),
        ("c.toml", b"[a]\nb = 1\nday = 2024-01-02\n", {"a.b": "1", "a.day": "2024-01-02"}),
        ("c.yaml", b"a: 1\n", None),
        ("c.json", b"not json", None),
        ("c.toml", b"\xff", None),
    ],
)
def test_json_and_toml_are_read_and_the_rest_is_text(produce, name, content, values):
    assert read_configuration(produce(content, name, type="config"), 0).values == values


@pytest.fixture
def parent(project):
    run = new_run(project, name="parent", status="completed")
    return new_artifact(run, type="config", name="c.json", files={"c.json": b'{"lr": 1}'})


@pytest.fixture
def child(project, parent):
    run = new_run(project, name="child")
    run.resumed_from = new_artifact(parent.run)
    run.save()
    return new_artifact(run, type="config", name="c.json", files={"c.json": b'{"lr": 2}'})


def test_a_configuration_is_compared_with_that_of_the_run_it_was_resumed_from(parent, child, admin):
    view = view_config(child, 0, by=admin, query={})

    assert (view.other, view.is_parent) == (parent, True)
    assert [(change.path, change.there, change.here) for change in view.differing] == [("lr", "1", "2")]


def test_another_configuration_can_be_chosen_and_none(parent, child, admin):
    other = new_artifact(new_run(child.run.project), type="config", name="x.yaml", files={"x.yaml": b"lr: 3"})

    assert view_config(child, 0, by=admin, query={"against": other.uid}).lines == [("-", "lr: 3"), ("+", '{"lr": 2}')]
    assert view_config(child, 0, by=admin, query={"against": ""}).other is None


def test_a_configuration_that_may_not_be_seen_is_not_found(child, admin):
    foreign = new_artifact(new_run(new_project(name="secret")), type="config", name="c.json", files={"c.json": b"{}"})
    checkpoint = new_artifact(child.run)

    for uid in (foreign.uid, checkpoint.uid, "art_0", "\0"):
        with pytest.raises(NotFound):
            view_config(child, 0, by=admin, query={"against": uid})
    assert foreign not in view_config(child, 0, by=admin, query={}).choices


def test_a_configuration_whose_bytes_are_gone_is_told(parent, child, admin):
    lose(parent)

    assert view_config(child, 0, by=admin, query={}).other_is_gone


def test_a_difference_shows_defaults_of_the_project(parent, child, admin):
    child.run.project.default_hyperparameters = {"lr": 2, "dropout": 0.1}

    view = view_config(child, 0, by=admin, query={})

    assert [(change.path, change.sign) for change in view.defaults] == [("dropout", "-"), ("lr", "=")]


def test_a_configuration_of_many_values_is_bounded():
    assert len(values_of(json.loads(json.dumps({str(number): number for number in range(5000)})))) == 1000
