"""Requests that no browser makes: each is told what is wrong, and none is an error of ours."""

import pytest
from django.urls import reverse

from runs.models import Run
from tests.factories import new_artifact, new_run
from tests.pages.reading import text_of


@pytest.mark.parametrize("back", ["foo", "tokens", "//elsewhere.example/", "https://elsewhere.example/", "\\\\x"])
@pytest.mark.parametrize("name", ["theme", "run-columns"])
def test_a_way_back_that_is_no_path_of_this_hub_is_not_taken(browse, viewer, name, back):
    answer = browse("viewer").post(reverse(name), {"back": back})

    assert answer.status_code == 302
    assert answer["Location"] in {reverse("home"), reverse("runs")}


@pytest.mark.parametrize("path", ["/ui/runs?q=%2B2AA-", "/runs", "/ui/compare"])
def test_another_charset_than_utf_8_is_refused(browse, viewer, path):
    answer = browse("viewer").get(path, CONTENT_TYPE="text/plain; charset=utf-7")

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("long.toml", b"a = 0x" + b"F" * 5000),
        ("deep.toml", b".".join([b"a"] * 3000) + b" = 1"),
        ("deep.json", b'{"x":' + b"[" * 990 + b"]" * 990 + b"}"),
    ],
)
@pytest.mark.parametrize("kind", ["config", "evaluation"])
def test_a_file_that_can_hardly_be_read_is_shown_as_text(browse, project, viewer, kind, name, content):
    artifact = new_artifact(new_run(project, status="completed"), type=kind, name=name, files={name: content})

    answer = browse("viewer").get(reverse("artifact", args=[artifact.uid]))

    assert answer.status_code == 200
    assert name in text_of(answer)


def test_the_newest_runs_are_offered_for_comparison_and_archived_ones_when_looked_for(browse, project, viewer):
    runs = [new_run(project, name=f"run {number}", status="completed") for number in range(15)]
    Run.objects.filter(pk=runs[0].pk).update(archived_at=runs[0].created_at)

    offered = browse("viewer").get(reverse("compare")).context["others"]
    found = browse("viewer").get(reverse("compare"), {"q": runs[0].uid}).context["others"]

    assert [run.name for run in offered][:3] == ["run 14", "run 13", "run 12"]
    assert [run.uid for run in found] == [runs[0].uid]
