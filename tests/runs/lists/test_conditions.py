"""The language of conditions: what it takes, what it means, and how it says what is wrong."""

import pytest

from runs.conditions import Condition, InvalidCondition, Place, parse_conditions, parse_place

LOSS = Place("metrics", "loss")
RATE = Place("hyperparameters", "learning_rate")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.loss < 1.2", Condition(LOSS, "<", 1.2)),
        ("metrics.loss<=1", Condition(LOSS, "<=", 1.0)),
        ("  metrics.loss\t>  -.5e-3  ", Condition(LOSS, ">", -0.0005)),
        ("metrics.loss != +1.", Condition(LOSS, "!=", 1.0)),
        ("hyperparameters.learning_rate >= 1e-5", Condition(RATE, ">=", 1e-5)),
        ("metrics.eval/loss = 2", Condition(Place("metrics", "eval/loss"), "=", 2.0)),
        ('metrics."eval loss (%)" = 2', Condition(Place("metrics", "eval loss (%)"), "=", 2.0)),
        ('metrics.`a "b"` = 2', Condition(Place("metrics", 'a "b"'), "=", 2.0)),
        ('metrics."a ""b""" = 2', Condition(Place("metrics", 'a "b"'), "=", 2.0)),
        ("model_parameters.lora.rank = 8", Condition(Place("model_parameters", "lora.rank"), "=", 8.0)),
        ("hyperparameters.packing = TRUE", Condition(Place("hyperparameters", "packing"), "=", "true")),
        ("hyperparameters.optimizer != 'adam''w'", Condition(Place("hyperparameters", "optimizer"), "!=", "adam'w")),
        ('hyperparameters.note = ""', Condition(Place("hyperparameters", "note"), "=", "")),
        ("params.model/name = 'llama'", Condition(Place("params", "model/name"), "=", "llama")),
        ('params."a b" >= 2', Condition(Place("params", "a b"), ">=", 2.0)),
        ("tags.mlflow.source.name != 'a.py'", Condition(Place("tags", "mlflow.source.name"), "!=", "a.py")),
        ("metrics.and = 1", Condition(Place("metrics", "and"), "=", 1.0)),
    ],
)
def test_a_condition_is_read(text, expected):
    assert parse_conditions([text]) == (expected,)


def test_conditions_are_joined_by_and_and_by_repeating():
    texts = ["metrics.loss < 1 and hyperparameters.learning_rate > 0 AND metrics.loss > 0", "metrics.loss != 0.5", " "]

    assert [(one.place, one.operator, one.value) for one in parse_conditions(texts)] == [
        (LOSS, "<", 1.0),
        (RATE, ">", 0.0),
        (LOSS, ">", 0.0),
        (LOSS, "!=", 0.5),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "loss < 1",
            "At character 1: expected metrics., hyperparameters., model_parameters., params. or tags., found “loss",
        ),
        ("metrics. < 1", "At character 9: expected a name"),
        ("metrics.loss", "At character 13: expected one of = != < <= > >=, found the end."),
        ("metrics.loss == 1", "At character 15: expected a number, true, false or a text in quotes, found “= 1”."),
        ("metrics.loss < ", "At character 16: expected a number, true, false"),
        ("metrics.loss < 'a'", "At character 16: expected a number, found “'a'”."),
        ("metrics.loss < true", "At character 16: expected a number"),
        ("metrics.loss < nan", "At character 16: expected a number"),
        ("metrics.loss < 1e999", "At character 16: expected a number of 64 bits"),
        ("metrics.loss < 1_000", "At character 16: expected a number"),
        ("metrics.loss < ١", "At character 16: expected a number"),
        ("hyperparameters.optimizer < 'adam'", "At character 29: expected a number"),
        ("tags.team < 'a'", "Tags are texts: compare tags.team by = or !=."),
        ("tags.version = 3", "At character 16: expected a text in quotes, found “3”."),
        ("tag.team = 'a'", "At character 1: expected metrics."),
        ("hyperparameters.optimizer = 'adam", "At character 29: expected a number, true, false or a text"),
        ('metrics."loss < 1', "At character 9: expected a name"),
        (
            "metrics.loss < 1 or metrics.loss > 2",
            "At character 18: expected “and” or the end, found “or metrics.loss > 2”.",
        ),
        ("metrics.loss < 1 and", "At character 21: expected metrics."),
        ("metrics.loss < 1; drop table runs_run", "At character 17: expected “and” or the end"),
        ("metrics.loss < 1\0", "Null characters are not allowed."),
        ("metrics.loss < " + "1" * 2000, "At most 2000 characters are taken."),
        ("metrics." + "x" * 251 + " < 1", "Names and texts have at most 250 characters."),
        ("hyperparameters.a = '" + "x" * 251 + "'", "Names and texts have at most 250 characters."),
        (" and ".join(["metrics.loss < 1"] * 11), "At most 10 conditions are taken."),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text, message):
    with pytest.raises(InvalidCondition) as refused:
        parse_conditions([text])

    assert str(refused.value).startswith(message)


def test_eleven_conditions_are_too_many_however_they_are_given():
    with pytest.raises(InvalidCondition, match="At most 10"):
        parse_conditions(["metrics.loss < 1"] * 11)


def test_a_place_stands_alone():
    assert parse_place('metrics."a b"') == Place("metrics", "a b")


@pytest.mark.parametrize("text", ["", "loss", "metrics.", "metrics.loss < 1", "metrics.loss x"])
def test_anything_else_is_no_place(text):
    with pytest.raises(InvalidCondition):
        parse_place(text)
