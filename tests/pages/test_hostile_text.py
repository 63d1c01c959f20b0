"""Text of users, in every place that shows it, is text and nothing else."""

import orjson
import pytest
from django.urls import reverse
from django.utils.http import urlencode

from artifacts.models import TagValue
from artifacts.services import tag_artifact
from projects.services import update_project
from runs.columns import choose_columns
from runs.conditions import Place
from tests.factories import new_artifact, new_attempt, new_project, new_run
from tests.pages.reading import read, text_of
from tests.runs.telemetry.builders import append_lines, show_metrics

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&{{ 7|add:1 }}{% now %}"
OTHER_WRITING = "مرحبا \u202e gnirts \u202c 🚀 é"
HOSTILE = MARKUP + OTHER_WRITING


@pytest.fixture
def places(admin):
    """Return the paths of pages on which hostile text appears in every field that people or trainers fill."""
    project = new_project(
        by=admin, name=HOSTILE[:200], description=HOSTILE, objective=HOSTILE, task_type=MARKUP, base_model=HOSTILE,
        owner=HOSTILE, tags=[MARKUP], default_hyperparameters={MARKUP: HOSTILE},
    )  # fmt: skip
    run = new_run(project, name=HOSTILE[:200], description=HOSTILE, dataset=HOSTILE, hyperparameters={MARKUP: HOSTILE})
    attempt = new_attempt(run)
    append_lines(attempt=attempt, sequence=1, lines=[(1, 1, 0, HOSTILE), (2, 3, 1, "\x1b[31mred\x1b[0m")])
    columns = {
        MARKUP: {"step": [1], "time": [1], "value": [1.0]},
        f"loss{MARKUP}": {"step": [1], "time": [1], "value": [1.0]},
    }
    show_metrics(attempt=attempt, sequence=1, columns=columns)
    checkpoint = new_artifact(run, name=MARKUP)
    samples = new_artifact(run, type="evaluation", name=MARKUP, files={"samples.html": HOSTILE.encode()})
    written = orjson.dumps({MARKUP: HOSTILE})
    config, _ = (new_artifact(run, type="config", name=MARKUP, files={"c.json": written}) for _ in range(2))
    tag_artifact(artifact=checkpoint, value=TagValue.RELEASE, notes=HOSTILE, by=admin)
    chosen = ["status", Place("metrics", MARKUP).text, Place("hyperparameters", MARKUP).text]
    choose_columns(user=admin, project=project, keys=chosen)
    update_project(
        project=project, values={"objective": MARKUP, "tags": [], "default_hyperparameters": {MARKUP: MARKUP}}
    )
    return {
        "home": "/",
        "projects": reverse("projects"),
        "project": reverse("project", args=[project.uid]),
        "edit": reverse("project-edit", args=[project.uid]),
        "launch": reverse("run-launch", args=[project.uid]) + f"?repeat={run.uid}",
        "runs": reverse("runs"),
        "project-runs": reverse("project-runs", args=[project.uid]) + "?" + urlencode({"q": MARKUP, "where": MARKUP}),
        "columns": reverse("project-runs", args=[project.uid]),
        "selection": reverse("runs-cancel") + f"?run={run.uid}",
        "releases": reverse("releases", args=[project.uid]),
        "versions": reverse("project-versions", args=[project.uid]) + "?from=1&to=3",
        "run": reverse("run", args=[run.uid]),
        "log": reverse("run-log", args=[run.uid]),
        "timeline": reverse("run-timeline", args=[run.uid]),
        "cancel": reverse("run-cancel", args=[run.uid]),
        "artifacts": reverse("artifacts", args=[run.uid]),
        "lineage": reverse("lineage", args=[run.uid]),
        "samples": reverse("artifact", args=[samples.uid]),
        "config": reverse("artifact", args=[config.uid]),
        "artifact": reverse("artifact", args=[checkpoint.uid]),
        "resume": reverse("run-resume", args=[checkpoint.uid]),
        "search": reverse("runs") + "?q=%3Cscript%3Ealert(1)%3C/script%3E%22%3E%3Cimg%20onerror=x%3E",
    }


@pytest.mark.parametrize(
    "name",
    ["home", "projects", "project", "columns", "selection", "releases", "versions",
     "edit", "launch", "runs", "run", "log", "timeline", "cancel", "artifacts",
     "lineage", "artifact", "samples", "config", "resume", "search"],
)  # fmt: skip
def test_markup_is_shown_and_never_becomes_part_of_the_page(browse, places, name):
    answer = browse("admin").get(places[name])

    text = text_of(answer)
    assert answer.status_code == 200
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert read(answer).inline == []


def test_other_writing_is_kept_and_set_apart(browse, places):
    text = text_of(browse("admin").get(places["run"]))

    assert OTHER_WRITING in text
    assert "<h1><bdi>" in text


def test_template_language_in_a_name_is_text(browse, places):
    assert "{{ 7|add:1 }}" in text_of(browse("admin").get(places["run"]))


def test_flash_message_escapes_names(browse, admin):
    answer = browse("admin").post(reverse("project-new"), {"name": "<b>bold</b>"}, follow=True)

    assert "The project &lt;b&gt;bold&lt;/b&gt; was created." in text_of(answer)


def test_a_filter_that_is_markup_is_shown_as_text(browse, places):
    answer = browse("admin").get(places["project-runs"])

    assert answer.status_code == 400
    assert "<script>alert" not in text_of(answer)
    assert read(answer).inline == []
