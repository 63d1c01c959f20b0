"""The launch form: made from a recipe's schema, filled in from a project's defaults or from a run to repeat."""

from pathlib import Path

import pytest
from django.urls import reverse

from projects.services import archive_project, update_project
from runs.models import Run
from runs.services import cancel_run
from tests.factories import at_once, everything, new_project, new_run
from tests.pages.conftest import Browser
from tests.pages.reading import flashes, read, text_of
from trainhub.settings import BASE_DIR

TYPED = {"name": "first", "recipe": "simulate", "executor": "local", "model_parameters.max_steps": "10"}
TINY = {"name": "first", "recipe": "tiny-gpt", "executor": "local"}


@pytest.fixture
def place(project):
    return reverse("run-launch", args=[project.uid])


def write_recipe(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "recipe.toml").write_text(f'title = "{name}"\ncommand = ["true"]\n{text}')


@pytest.fixture
def recipe_of(settings, tmp_path):
    """Return a function that puts a recipe on the server."""
    settings.RECIPE_FOLDERS = [BASE_DIR / "recipes", tmp_path]
    return lambda name, text: write_recipe(tmp_path, name, text)


EVERY_KIND = """
[hyperparameters]
type = "object"
additionalProperties = false
required = ["seed"]
properties.seed = { type = "integer", minimum = 0 }
properties.rate = { type = "number", default = 0.1, exclusiveMinimum = 0, maximum = 1 }
properties.optimizer = { enum = ["adamw", "sgd", 8], default = "adamw" }
properties.lora = { type = "boolean", default = true }
properties.note = { type = "string", pattern = "^[a-z]*$" }
properties.layers = { type = "array", items = { type = "integer" }, default = [1, 2] }
properties.extra = { type = "object" }
properties.anything = true
"""


# --- Launching ------------------------------------------------------------------------------------
def test_run_is_queued_and_shown(browse, place, editor):
    answer = browse().post(place, TYPED)

    run = Run.objects.get()
    assert answer["Location"] == reverse("run", args=[run.uid])
    assert (run.name, run.status, run.created_by) == ("first", "queued", editor)
    assert (run.recipe, run.model_parameters, run.hyperparameters) == ("simulate", {"max_steps": 10}, {})


def test_what_is_asked_of_the_machine_is_kept(browse, place, editor):
    asked = {"node_count": "2", "gpus_per_node": "8", "gpu_type": "H100", "max_restarts": "3", "priority": "-5"}

    browse().post(place, {**TYPED, **asked})

    run = Run.objects.get()
    assert run.compute == {"node_count": 2, "gpus_per_node": 8, "gpu_type": "H100"}
    assert (run.max_restarts, run.priority) == (3, -5)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rate", "1e-4", 0.0001), ("rate", " .5 ", 0.5), ("rate", "1", 1), ("seed", "1e6", 1_000_000),
        ("optimizer", "sgd", "sgd"), ("optimizer", "8", 8), ("lora", "false", False), ("note", "abc", "abc"),
        ("layers", "[3]", [3]), ("extra", '{"a": [1]}', {"a": [1]}), ("anything", "null", None),
    ],
)  # fmt: skip
def test_text_of_a_field_becomes_a_value_of_its_type(browse, place, editor, recipe_of, name, text, value):
    recipe_of("kinds", EVERY_KIND)
    typed = {"name": "x", "recipe": "kinds", "executor": "local", "hyperparameters.seed": "1"}

    browse().post(place, {**typed, f"hyperparameters.{name}": text})

    kept = Run.objects.get().hyperparameters
    assert kept == {"seed": 1, name: value}
    assert type(kept[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("rate", "high", "Enter a number"), ("rate", "nan", "Enter a number"), ("rate", "1e999", "Enter a number"),
        ("rate", "0", "less than or equal to the minimum of 0"), ("rate", "2", "greater than the maximum of 1"),
        ("seed", "", "This field is required."), ("seed", "1.5", "Enter a whole number"),
        ("seed", "-1", "less than the minimum"), ("seed", "9" * 5000, "Enter a whole number"),
        ("seed", "9223372036854775808", "At most 9,223,372,036,854,775,807"), ("optimizer", "adam", "Choose one"),
        ("lora", "maybe", "Choose one"), ("note", "ABC", "does not match"), ("note", "a\0", "NUL"),
        ("layers", "[1,", "not valid JSON"), ("layers", '["a"]', "is not of type 'integer'"),
        ("layers", "{}", "is not of type 'array'"), ("extra", '{"a": "\\u0000"}', "NUL character"),
        ("anything", "NaN", "not valid JSON"), ("anything", "[" * 40 + "]" * 40, "nested too deeply"),
    ],
)  # fmt: skip
def test_bad_parameter_is_told_beside_its_own_field(browse, place, editor, recipe_of, name, text, sentence):
    recipe_of("kinds", EVERY_KIND)
    browser = browse()
    before = everything()
    typed = {"name": "x", "recipe": "kinds", "executor": "local", "hyperparameters.seed": "1"}

    answer = browser.post(place, {**typed, f"hyperparameters.{name}": text})

    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == [f"hyperparameters.{name}"]
    assert sentence in " ".join(answer.context["form"].errors[f"hyperparameters.{name}"])
    assert 'aria-invalid="true"' in text_of(answer)
    assert everything() == before


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"recipe": "rm -rf"}, "recipe", "Select a valid choice"),
        ({"executor": "moon"}, "executor", "Select a valid choice"),
        ({"model_parameters": "not JSON"}, "model_parameters", "This is not valid JSON"),
        ({"model_parameters": '{"max_steps": 3}'}, "model_parameters", "max_steps: this has a field of its own"),
        ({"node_count": "0"}, "node_count", "greater than or equal to 1"),
        ({"gpus_per_node": "65"}, "gpus_per_node", "less than or equal to 64"),
        ({"max_restarts": "101"}, "max_restarts", "less than or equal to 100"),
        ({"dataset": "x" * 2001}, "dataset", "no more than 2000 characters"),
    ],
)
def test_bad_value_is_told_beside_its_field_and_nothing_is_kept(browse, place, editor, changes, field, sentence):
    browser = browse()
    before = everything()

    answer = browser.post(place, {**TYPED, **changes})

    assert answer.status_code == 400
    assert sentence in " ".join(answer.context["form"].errors[field])
    assert everything() == before


def test_several_nodes_of_a_recipe_for_one_are_told_beside_their_field(browse, place, editor):
    answer = browse().post(place, {**TINY, "node_count": "2"})

    assert answer.status_code == 400
    assert "tiny-gpt trains on one node" in " ".join(answer.context["form"].errors["node_count"])


def test_two_mistakes_are_each_told_beside_their_own_field(browse, place, editor):
    wrong = {"model_parameters.n_layer": "99", "hyperparameters.weight_decay": "-1"}

    answer = browse().post(place, {**TINY, **wrong})

    assert set(answer.context["form"].errors) == set(wrong)
    assert "2 fields need a look" in text_of(answer)


def test_parameters_that_a_recipe_does_not_describe_are_taken_as_json(browse, place, editor):
    browse().post(place, {**TYPED, "hyperparameters": '{"lora": {"rank": 8}}', "hyperparameters.batch_size": "4"})

    assert Run.objects.get().hyperparameters == {"lora": {"rank": 8}, "batch_size": 4}


# --- Filled in ------------------------------------------------------------------------------------
def test_fields_show_type_range_default_and_help(browse, place, editor):
    text = text_of(browse().get(place, {"recipe": "tiny-gpt"}))

    assert 'placeholder="default 0.003"' in text
    assert 'inputmode="decimal"' in text
    assert 'min="1" max="12"' in text
    assert (
        "Transformer blocks, one on top of the other. More learn more and take longer in proportion. From 1 to 12."
        in text
    )
    assert "Above 0, at most 1." in text


def test_form_starts_with_the_projects_defaults_that_the_recipe_knows(browse, place, project, editor):
    update_project(project=project, values={"default_hyperparameters": {"learning_rate": 0.0005, "lr_decay": 3}})

    answer = browse().get(place, {"recipe": "tiny-gpt"})

    assert answer.context["form"]["hyperparameters.learning_rate"].value() == "0.0005"
    assert 'placeholder="project 0.0005"' in text_of(answer)
    assert "this recipe does not take <code><bdi>lr_decay</bdi></code>" in text_of(answer)


def test_form_starts_with_the_run_to_repeat(browse, project, place, editor):
    run = new_run(
        project, name="again", model_parameters={"max_steps": 77, "own": [1]}, compute={"node_count": 3}, priority=4
    )

    form = browse().get(place, {"repeat": run.uid}).context["form"]

    assert form["name"].value() == "again"
    assert form["model_parameters.max_steps"].value() == "77"
    assert '"own"' in form["model_parameters"].value()
    assert (form["node_count"].value(), form["priority"].value()) == (3, 4)


def test_repeated_run_is_the_same_run_again(browse, project, place, editor):
    values = {"model_parameters": {"max_steps": 77, "own": [1]}, "hyperparameters": {"learning_rate": 1e-05}}
    run = new_run(project, name="again", **values)
    browser = browse()
    page = browser.get(place, {"repeat": run.uid})
    form = page.context["form"]
    sent = {name: form[name].value() for name in form.fields if form[name].value() is not None}

    browser.post(f"{place}?repeat={run.uid}", sent)

    repeated = Run.objects.exclude(pk=run.pk).get()
    assert {name: getattr(repeated, name) for name in values} == values
    assert (repeated.name, repeated.recipe, repeated.compute) == (run.name, run.recipe, run.compute)


@pytest.mark.parametrize("name", ["rope", "items"])
def test_what_a_recipe_takes_no_more_is_named_when_a_run_is_repeated(browse, project, place, editor, name):
    run = new_run(project, recipe="tiny-gpt")
    Run.objects.filter(pk=run.pk).update(hyperparameters={name: 4, "beta1": 0.5})

    answer = browse().get(place, {"repeat": run.uid})

    assert answer.context["form"].dropped == {name: 4}
    assert f"Left out, as this recipe does not take it: <code><bdi>{name}</bdi></code> 4." in text_of(answer)


@pytest.mark.parametrize("wanted", ["run_nothere", "", "\0", "'"])
def test_repeating_what_is_not_there_is_not_found(browse, place, editor, wanted):
    assert browse().get(place, {"repeat": wanted}).status_code == 404


def test_repeating_a_run_of_another_project_is_not_found(browse, place, editor):
    elsewhere = new_run(new_project())

    assert browse().get(place, {"repeat": elsewhere.uid}).status_code == 404


# --- Recipes --------------------------------------------------------------------------------------
def test_all_recipes_are_offered_and_the_chosen_one_gives_the_fields(browse, place, editor):
    text = text_of(browse().get(place, {"recipe": "tiny-gpt"}))

    assert 'value="simulate"' in text
    assert 'name="model_parameters.n_layer"' in text
    assert "steps_per_second" not in text


@pytest.mark.parametrize("wanted", ["hf-sft", "script", "simulate", "tiny-gpt"])
def test_the_form_of_every_shipped_recipe_is_shown(browse, place, editor, wanted):
    answer = browse().get(place, {"recipe": wanted})

    assert (answer.status_code, answer.context["form"].defaults.recipe.name) == (200, wanted)


@pytest.mark.parametrize("wanted", ["nothing", "", "\0", "../x"])
def test_recipe_that_is_not_there_is_a_bad_address(browse, place, editor, wanted):
    answer = browse().get(place, {"recipe": wanted})

    assert answer.status_code == 400
    assert "There is no such recipe; there are hf-sft, script, simulate, tiny-gpt." in text_of(answer)


def test_another_recipe_keeps_what_was_typed_and_launches_nothing(browse, place, editor):
    typed = {"name": "kept", "recipe": "tiny-gpt", "choose": "yes", "hyperparameters.learning_rate": "fast"}

    answer = browse().post(place, {**TYPED, **typed})

    form = answer.context["form"]
    assert (answer.status_code, form["name"].value()) == (200, "kept")
    assert form["model_parameters.max_steps"].value() == "10"
    assert form["hyperparameters.learning_rate"].value() == "fast"
    assert form.errors == {}
    assert answer["HX-Replace-Url"] == f"{place}?recipe=tiny-gpt"
    assert not Run.objects.exists()


def test_recipe_with_a_problem_is_named_and_another_chosen(browse, place, project, editor, recipe_of):
    recipe_of("broken", "titel = 1")
    update_project(project=project, values={"default_recipe": "broken"})

    answer = browse().get(place)

    assert "<bdi>broken</bdi></code> cannot be used now" in text_of(answer)
    assert answer.context["form"].defaults.recipe.name == "simulate"


def test_recipe_that_is_not_set_up_says_what_to_run_and_launches_nothing(browse, place, editor, recipe_of):
    recipe_of("heavy", 'python = "{recipe}/.venv/bin/python"\nsetup = "make heavy"')

    shown = text_of(browse().get(place))
    answer = browse().post(place, {**TYPED, "recipe": "heavy"})

    assert "<b>Not set up yet:</b> run <code>make heavy</code> on the hub's machine." in shown
    assert "heavy is not set up yet: run make heavy on the hub&#x27;s machine." in text_of(answer)
    assert not Run.objects.exists()


def test_operator_is_told_of_recipes_with_problems(browse, place, operator, recipe_of):
    recipe_of("broken", "titel = 1")

    assert "1 recipe folder cannot be used" in text_of(browse("operator").get(place))


def test_hub_without_recipes_says_so(browse, place, editor, settings, tmp_path):
    settings.RECIPE_FOLDERS = [tmp_path]

    answer = browse().get(place)

    assert "This hub has no usable recipe" in text_of(answer)
    assert browse().post(place, TYPED).status_code == 400


# --- What differs, and the plan -------------------------------------------------------------------
def test_differences_name_the_value_the_recipes_default_and_the_projects(browse, place, project, editor):
    update_project(project=project, values={"default_hyperparameters": {"learning_rate": 0.0005}})

    answer = browse().post(place, {**TINY, "plan": "yes", "hyperparameters.learning_rate": "0.001"})

    assert "<b>0.001</b>" in text_of(answer)
    assert "(recipe default 0.003, project 0.0005)" in text_of(answer)


def test_empty_field_is_no_difference_but_for_the_projects_default(browse, place, project, editor):
    update_project(project=project, values={"default_hyperparameters": {"learning_rate": 0.0005}})

    answer = browse().post(place, {**TINY, "plan": "yes", "hyperparameters.batch_size": "16"})

    found = [(item.name, item.value) for item in answer.context["form"].differences]
    assert found == [("learning_rate", 0.0005)]


def test_plan_shows_what_would_happen_and_stores_nothing(browse, place, editor, settings):
    browser = browse()
    before = everything()

    answer = browser.post(place, {**TINY, "plan": "yes", "model_parameters.max_steps": "1600", "max_restarts": "1"})

    text = text_of(answer)
    assert answer.status_code == 200
    assert "It would start at once." in text
    assert f"{settings.LOCAL_SLOTS} of {settings.LOCAL_SLOTS} slots free" in text
    assert "7: every 250 steps and at the last one, 1,600" in text
    assert "1 min to save a checkpoint" in text
    assert "starts again, at most 1 time" in text
    assert [entry.value for entry in answer.context["plan"].config["hyperparameters"] if entry.name == "beta1"] == [0.9]
    assert everything() == before


def test_plan_says_why_the_run_would_wait(browse, place, editor):
    asked = {"plan": "yes", "gpus_per_node": "8"}

    answer = browse().post(place, {**TINY, **asked})

    assert "It would wait.</b> Needs 1 × 8 GPUs, this executor has 0." in text_of(answer)


def test_plan_of_wrong_values_shows_what_is_wrong_and_no_plan(browse, place, editor):
    answer = browse().post(place, {**TINY, "plan": "yes", "model_parameters.n_layer": "99"})

    assert answer.status_code == 400
    assert "99 is greater than the maximum of 12" in text_of(answer)
    assert 'id="plan"' not in text_of(answer)


def test_script_gets_the_form_alone(browse, place, editor):
    answer = browse().post(place, {**TINY, "plan": "yes"}, headers={"HX-Request": "true"})

    assert text_of(answer).lstrip().startswith("<form")
    assert 'id="plan"' in text_of(answer)


# --- Once -----------------------------------------------------------------------------------------
def test_form_sent_twice_leads_to_the_same_run(browse, place, editor):
    browser = browse()
    sent = {**TYPED, "once": browser.get(place).context["form"]["once"].value()}

    first, second = browser.post(place, sent), browser.post(place, sent, follow=True)

    assert second.redirect_chain[0][0] == first["Location"]
    assert "This form was sent before and counts once: this is its run." in flashes(second)
    assert Run.objects.count() == 1


def test_form_sent_again_after_the_project_was_archived_still_leads_to_its_run(browse, place, project, editor):
    browser = browse()
    first = browser.post(place, {**TYPED, "once": "a"})
    cancel_run(run=Run.objects.get(), by=editor)
    archive_project(project=project)

    assert browser.post(place, {**TYPED, "once": "a"})["Location"] == first["Location"]


def test_other_values_are_another_run(browse, place, editor):
    browser = browse()

    answers = [browser.post(place, {**TYPED, "once": "a", "name": name}) for name in ("first", "second")]

    assert len({answer["Location"] for answer in answers}) == 2


def test_forms_without_a_key_each_count(browse, place, editor):
    browser = browse()

    answers = [browser.post(place, {**TYPED, "once": once}) for once in ("", "")]

    assert len({answer["Location"] for answer in answers}) == 2


@pytest.mark.parametrize("once", ["\0", "x" * 65])
def test_unusable_key_is_refused(browse, place, editor, once):
    assert browse().post(place, {**TYPED, "once": once}).status_code == 400
    assert not Run.objects.exists()


def test_the_same_key_of_two_people_gives_two_runs(browse, place, editor, admin):
    for role in ("editor", "admin"):
        browse(role).post(place, {**TYPED, "once": "a"})

    assert Run.objects.count() == 2


def test_refused_form_can_be_sent_again_with_its_key(browse, place, editor):
    browser = browse()
    refused = browser.post(place, {**TYPED, "once": "a", "name": ""})

    answer = browser.post(place, {**TYPED, "once": refused.context["form"]["once"].value()})

    assert answer.status_code == 302
    assert Run.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_form_sent_twice_at_once_starts_one_run(place, editor):
    browsers = [Browser(editor) for _ in range(4)]

    answers = at_once(*[lambda browser=browser: browser.post(place, {**TYPED, "once": "a"}) for browser in browsers])

    assert {answer.status_code for answer in answers} == {302}
    assert {answer["Location"] for answer in answers} == {reverse("run", args=[Run.objects.get().uid])}


# --- Who, where, how much -------------------------------------------------------------------------
def test_nothing_is_launched_in_an_archived_project(browse, place, project, editor):
    archive_project(project=project)

    answer = browse().post(place, TYPED)

    assert answer.status_code == 409
    assert "The project is archived" in text_of(answer)
    assert not Run.objects.exists()


def test_archived_project_says_why_there_is_no_form(browse, place, project, editor):
    archive_project(project=project)

    answer = browse().get(place)

    assert "The project is archived: nothing can be launched in it." in text_of(answer)
    assert 'id="run-form"' not in text_of(answer)


@pytest.mark.parametrize("typed", [TYPED, {**TYPED, "plan": "yes"}, {**TYPED, "choose": "yes"}])
@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("stranger", 404), ("anonymous", 302)])
def test_launching_is_for_editors(browse, place, role, status, typed):
    browser = browse(role)

    assert browser.post(place, typed).status_code == status
    assert browser.get(place).status_code == status
    assert not Run.objects.exists()


@pytest.mark.parametrize("typed", [None, {**TINY, "plan": "yes"}, TINY])
def test_page_and_plan_take_few_queries(browse, place, project, editor, typed, django_assert_max_num_queries):
    for _ in range(5):
        new_run(project)
    browser = browse()

    with django_assert_max_num_queries(12 if typed != TINY else 24):
        browser.get(place) if typed is None else browser.post(place, typed)


def test_every_control_has_a_label(browse, place, editor):
    answer = browse().get(place, {"recipe": "tiny-gpt"})

    assert read(answer).inline == []
    assert read(answer).unprotected == []
    assert text_of(answer).count('<label class="form-label') >= len(answer.context["form"].fields) - 2
