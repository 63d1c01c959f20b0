"""What a client logged beside what the launch gave: when both say the same, and what is shown of a long text."""

import pytest

from runs.differences import describe_logged, says_the_same
from runs.models import Run
from runs.tracking.reading import Text


@pytest.mark.parametrize(
    ("text", "value", "is_same"),
    [
        ("0.10", 0.1, True),
        ("1e-4", 0.0001, True),
        ("8", 8, True),
        ("8.0", 8, True),
        ("0.2", 0.1, False),
        ("ten", 10, False),
        ("True", True, True),
        ("false", False, True),
        ("1", True, False),
        ("adamw", "adamw", True),
        ("AdamW", "adamw", False),
        ("[1,2]", [1, 2], True),
        ("[1, 2]", [1, 2], True),
        ("{}", {}, True),
    ],
)
def test_texts_stand_for_values_as_clients_write_them(text, value, is_same):
    assert says_the_same(text, value) is is_same


def test_what_the_launch_gave_inside_an_object_is_found_by_its_dotted_name():
    run = Run(hyperparameters={"lora": {"rank": 8}}, model_parameters={"layers": None})

    group = describe_logged(run, {"lora.rank": Text("16", 2), "layers": Text("4", 1)})

    assert [(entry.name, [other.value for other in entry.others]) for entry in group.entries] == [
        ("lora.rank", [8]),
        ("layers", []),
    ]


def test_a_cut_text_says_how_long_it_is():
    assert str(Text("abc", 6000)) == "abc… (6,000 characters in all)"
    assert str(Text("abc", 3)) == "abc"
