"""Terminal output as styled text: colours stay, nothing is obeyed, nothing is lost, nothing costs too much."""

import re
import time
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.ansi import CLASSES, MAX_PIECES, Piece, mark_matches, nearest, plain_text, read_pieces
from trainhub.templatetags.log_text import drawn

LINE = 16_384  # characters, the longest that the runner sends
terminal_text = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(
            ["\x1b", "\x1b[", "\x9b", "\x1b]8;;", "\x07", "\x1b\\", "m", ";", "<b>", "&amp;", "\r", "\u202e"]
        ),
        st.lists(st.integers(0, 300), max_size=6).map(lambda codes: f"\x1b[{';'.join(map(str, codes))}m"),
    ),
    max_size=40,
).map("".join)


def shown(text):
    return [(piece.text, piece.classes) for piece in read_pieces(text)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("plain", [("plain", "")]),
        ("", []),
        ("a\x1b[31mred\x1b[0mb", [("a", ""), ("red", "fg-1"), ("b", "")]),
        ("\x1b[1;4;92mx", [("x", "ansi-bold ansi-underline fg-10")]),
        ("\x1b[1mx\x1b[22my", [("x", "ansi-bold"), ("y", "")]),
        ("\x1b[44mx\x1b[49my", [("x", "bg-4"), ("y", "")]),
        ("\x1b[7mx", [("x", "ansi-reverse")]),
        ("\x1b[31;7mx", [("x", "bg-1")]),
        ("\x1b[38;5;196mx", [("x", "fg-9")]),
        ("\x1b[38;5;244mx", [("x", "fg-8")]),
        ("\x1b[38;2;250;5;5mx", [("x", "fg-9")]),
        ("\x1b[38:2::250:5:5mx", [("x", "fg-9")]),
        ("\x1b[48;5;21mx", [("x", "bg-4")]),
        ("\x1b[38;5mx", [("x", "")]),
        ("\x1b[38;2;999;0;0mx", [("x", "")]),
        ("\x1b[mx", [("x", "")]),
    ],
)  # fmt: skip
def test_colours_and_styles_are_read(text, pieces):
    assert shown(text) == pieces


@pytest.mark.parametrize(
    "text",
    ["\x1b]8;;https://evil.example\x07word\x1b]8;;\x07", "\x1b]0;title\x1b\\word", "\x1b[2J\x1b[1;1Hword", "wo\x1b[Krd",
     "\x1b[?25lword", "\x1bPq#0\x1b\\word", "\x1b(Bword", "\x1b7word\x1b8", "word\x1b", "\x9b2Kword", "\x1b[>1;2mword"],
)  # fmt: skip
def test_everything_else_that_a_terminal_would_obey_is_dropped(text):
    assert shown(text) == [("word", "")]
    assert plain_text(text) == "word"


def test_control_characters_are_visible_signs():
    assert shown("a\x00b\x07c\x08\x7f\x85\td\n") == [("a␀b␇c␈␡�\td\n", "")]


def test_a_sequence_without_its_end_hides_no_text():
    assert shown("\x1b]0;the rest")[0][0].endswith("the rest")


@given(terminal_text)
def test_pieces_are_never_empty_and_have_known_classes(text):
    pieces = read_pieces(text)

    assert all(piece.text for piece in pieces)
    assert {name for piece in pieces for name in piece.classes.split()} <= CLASSES
    assert "\x1b" not in "".join(piece.text for piece in pieces)


@given(terminal_text)
def test_markup_is_spans_of_known_classes_around_escaped_text(text):
    html = str(drawn(read_pieces(text)))

    outside = re.sub(r'<span class="[a-z0-9 -]+">|</span>', "", html)
    assert "<" not in outside
    assert unescape(outside) == "".join(piece.text for piece in read_pieces(text))


@given(terminal_text, st.lists(st.integers(0, 60), unique=True, max_size=8).map(sorted))
def test_marking_matches_keeps_the_text_and_the_styles(text, bounds):
    pieces = read_pieces(text)
    spans = list(zip(bounds[::2], bounds[1::2], strict=False))

    marked = mark_matches(pieces, spans)

    letters = [(letter, piece.classes) for piece in pieces for letter in piece.text]
    assert [(letter, piece.classes) for piece in marked for letter in piece.text] == letters
    found = [piece.is_match for piece in marked for _ in piece.text]
    assert found == [any(low <= place < high for low, high in spans) for place in range(len(letters))]


def test_a_match_across_colours_is_marked_in_each():
    assert mark_matches([Piece("ab"), Piece("cd", "fg-1")], [(1, 3)]) == [
        Piece("a"), Piece("b", "", is_match=True), Piece("c", "fg-1", is_match=True), Piece("d", "fg-1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "part",
    [
        "\x1b[",
        "\x1b]",
        "\x1b[31mx\x1b[0my",
        "1;",
        "\x1b[" + "1" * 99,
        "\x1bP\x1b",
        "\x9b",
        "\x1b[38;5;",
        "\x1b[ ",
        "\r\x1b",
    ],
)
def test_hostile_lines_cost_little(part):
    text = (f"\x1b[{part}" * LINE)[:LINE]
    begin = time.perf_counter()

    pieces = read_pieces(text)

    assert len(pieces) <= MAX_PIECES
    assert time.perf_counter() - begin < 0.5  # some ms; quadratic time would be minutes


@pytest.mark.parametrize(
    ("colour", "index"), [((0, 0, 0), 0), ((255, 255, 255), 15), ((200, 10, 10), 1), ((90, 90, 250), 12)]
)
def test_any_colour_becomes_the_nearest_of_sixteen(colour, index):
    assert nearest(*colour) == index
