"""The registry's services under races, and what they refuse."""

import pytest

from artifacts.models import Artifact, ModelAlias, ModelVersion, RegisteredModel
from artifacts.registry.changing import NameTaken, change_model, create_model, model_of_project
from artifacts.registry.versions import change_version, create_version, delete_version, set_alias
from artifacts.tracking.files import PathRefused, Sender, is_built_on, is_fixed, put_file
from artifacts.tracking.removal import delete_files
from runs.deletion import delete_run
from runs.models import Run
from tests.factories import at_once, fresh, new_artifact, new_project, new_run
from trainhub.errors import Conflict, DomainError, InvalidInput, NotFound


@pytest.fixture
def checkpoint(project):
    return new_artifact(new_run(project, status="completed"))


@pytest.fixture
def model(project, admin):
    return create_model(name="summaries", project=project, by=admin)


def version_of(model, checkpoint):
    return create_version(model=model, artifact=checkpoint, source="runs:/", by=checkpoint.run.created_by, actor="ada")


def tried(job):
    """Return a job that returns what it raised instead of raising it."""

    def attempt():
        try:
            return job()
        except DomainError as error:
            return error

    return attempt


@pytest.mark.django_db(transaction=True)
def test_versions_registered_at_once_get_numbers_of_their_own(model, checkpoint):
    made = at_once(*[lambda: version_of(model, checkpoint)] * 4)

    assert sorted(version.number for version in made) == [1, 2, 3, 4]


@pytest.mark.django_db(transaction=True)
def test_a_first_version_registered_at_once_in_two_projects_is_in_one(admin, checkpoint):
    other = new_artifact(new_run(new_project(by=admin), status="completed"))
    model = create_model(name="free", project=None, by=admin)

    results = at_once(tried(lambda: version_of(model, checkpoint)), tried(lambda: version_of(model, other)))

    assert sorted(isinstance(result, InvalidInput) for result in results) == [False, True]
    version = ModelVersion.objects.get()
    assert fresh(model).project == version.run.project


def put(run, path):
    put_file(run=run, path=path, blocks=[b"x"], size_bytes=1, by=Sender("anna"))
    return run.artifacts.select_related("run__project").get()


@pytest.mark.django_db
def test_a_checkpoint_that_is_removed_or_written_again_is_not_registered(model, checkpoint):
    run = new_run(model.project)
    folder = put(run, "plots/a")
    Artifact.objects.filter(pk=checkpoint.pk).update(state="writing")
    delete_files(run=run, path="plots")

    for artifact, refusal in ((folder, NotFound), (checkpoint, Conflict)):
        with pytest.raises(refusal):
            version_of(model, artifact)
    assert not ModelVersion.objects.exists()


@pytest.mark.django_db
def test_what_a_deleted_version_named_may_be_changed_again(model, admin):
    run = new_run(model.project)
    folder = put(run, "plots/a")
    version = version_of(model, folder)
    with pytest.raises(PathRefused):
        delete_files(run=run, path="plots")
    delete_version(version=version, by=admin, actor="ada")

    assert not is_fixed(folder)
    assert not is_built_on(folder)
    assert delete_files(run=run, path="plots") == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(3))
def test_what_is_registered_and_removed_at_once_is_one_of_the_two(model, number):
    run = new_run(model.project)
    folder = put(run, f"plots/{number}")

    made, removed = at_once(
        tried(lambda: version_of(model, folder)), tried(lambda: delete_files(run=run, path="plots"))
    )
    assert isinstance(made, NotFound) if removed == 1 else isinstance(removed, PathRefused)
    assert [one.artifact for one in ModelVersion.objects.all()] == list(Artifact.objects.all())


@pytest.mark.django_db(transaction=True)
def test_an_alias_moved_at_once_leaves_one_release(model, checkpoint, admin):
    others = [checkpoint, *(new_artifact(checkpoint.run, name=f"step-{step}") for step in (20, 30))]
    versions = [version_of(model, one) for one in others]

    at_once(*[lambda one=one: set_alias(version=one, alias="release", by=admin, actor="ada") for one in versions])

    alias = ModelAlias.objects.get()
    tagged = [one for one in others if one.tags.filter(value="release").exists()]
    assert tagged == [alias.version.artifact]


@pytest.mark.django_db(transaction=True)
def test_a_release_given_at_once_by_a_person_is_not_taken_by_another_runs_token(model, checkpoint, admin):
    job = new_run(checkpoint.run.project, status="running")
    theirs, jobs = version_of(model, checkpoint), version_of(model, new_artifact(job))
    reach = Run.objects.filter(pk=job.pk)

    at_once(
        tried(lambda: set_alias(version=jobs, alias="release", by=admin, actor="trainer", reach=reach)),
        tried(lambda: set_alias(version=theirs, alias="release", by=admin, actor="ada")),
    )

    assert ModelAlias.objects.get().version == theirs


@pytest.mark.django_db(transaction=True)
def test_a_model_wanted_at_once_is_made_once(project, admin):
    made = at_once(*[lambda: model_of_project(name="summaries", project=project, by=admin)] * 4)

    assert {model.pk for model in made} == {RegisteredModel.objects.get().pk}


@pytest.mark.django_db(transaction=True)
def test_a_run_is_deleted_or_its_checkpoint_registered_not_both(model, checkpoint, admin):
    at_once(
        tried(lambda: version_of(model, checkpoint)), tried(lambda: delete_run(run=fresh(checkpoint.run), by=admin))
    )

    assert (fresh(checkpoint.run).deleted_at is None) == model.versions.exists()


@pytest.mark.django_db
def test_a_name_is_taken_once_in_a_project_and_once_for_a_person(model, project, admin):
    create_model(name="summaries", project=None, by=admin)
    for place in (project, None):
        with pytest.raises(NameTaken):
            create_model(name="summaries", project=place, by=admin)
    other = create_model(name="other", project=project, by=admin)
    with pytest.raises(NameTaken):
        change_model(model=other, name="summaries")
    assert RegisteredModel.objects.count() == 3


@pytest.mark.django_db
def test_a_first_version_does_not_double_a_name_in_its_project(model, checkpoint, admin):
    free = create_model(name="summaries", project=None, by=admin)

    with pytest.raises(NameTaken):
        version_of(free, checkpoint)

    assert fresh(free).project is None
    assert not ModelVersion.objects.exists()


@pytest.mark.django_db
def test_what_was_deleted_meanwhile_is_not_found(model, checkpoint, admin):
    version = version_of(model, checkpoint)
    delete_version(version=version, by=admin, actor="ada")
    with pytest.raises(NotFound):
        change_version(version=version, description="x")
    model.delete()
    with pytest.raises(NotFound):
        version_of(version.model, checkpoint)
    assert list(checkpoint.run.events.filter(kind="registered").values_list("message", flat=True)) == [
        "summaries version 1: checkpoint-10"
    ]
