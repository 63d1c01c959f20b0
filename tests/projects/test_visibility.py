"""Who sees what: one rule for projects, runs and artifacts."""

import pytest
from django.contrib.auth.models import AnonymousUser

from artifacts.models import Artifact
from projects.models import Project, Role
from runs.models import Run
from tests.factories import add_member, fresh, new_artifact, new_project, new_run, new_user

pytestmark = pytest.mark.django_db
EVERY = pytest.mark.parametrize("model", [Project, Run, Artifact])


@pytest.fixture(autouse=True)
def two_worlds(project):
    """Two projects, each with a run and an artifact."""
    new_artifact(new_run(project, status="completed"))
    new_artifact(new_run(new_project(by=new_user("other")), status="completed"))


@EVERY
def test_a_member_sees_the_own_world_once(viewer, editor, model):
    assert model.objects.visible_to(viewer).count() == 1


@EVERY
def test_an_operator_sees_everything(operator, model):
    assert model.objects.visible_to(operator).count() == 2


@EVERY
def test_a_stranger_sees_nothing_of_it(model):
    assert model.objects.visible_to(new_user("nobody")).count() == 0


@EVERY
def test_somebody_unknown_sees_nothing(model):
    assert model.objects.visible_to(AnonymousUser()).count() == 0


@EVERY
@pytest.mark.parametrize("is_staff", [False, True])
def test_somebody_inactive_sees_nothing(project, model, is_staff):
    user = add_member(project, "gone", Role.ADMIN)
    user.is_active, user.is_staff = False, is_staff
    user.save()

    assert model.objects.visible_to(fresh(user)).count() == 0


def test_counts_are_not_multiplied_by_members(project, viewer, editor):
    counted = Project.objects.visible_to(viewer).with_run_counts().get()

    assert (counted.run_count, counted.last_run_at) == (1, project.runs.get().created_at)


@pytest.mark.parametrize(
    ("role", "needed", "expected"),
    [
        (Role.VIEWER, Role.VIEWER, True),
        (Role.VIEWER, Role.EDITOR, False),
        (Role.EDITOR, Role.VIEWER, True),
        (Role.EDITOR, Role.ADMIN, False),
        (Role.ADMIN, Role.EDITOR, True),
    ],
)
def test_a_role_includes_the_lower_ones(role, needed, expected):
    assert role.includes(needed) is expected
