"""What a linter cannot see: access policies, one writer of the status, import direction, forbidden calls, templates."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.template.loader import get_template
from django.test import Client

from tests.factories import new_user
from tests.trainhub.endpoints import patterns
from trainhub.access import Access

ROOT = Path(__file__).resolve().parents[1]
SERVER = ("trainhub", "projects", "runs", "artifacts", "mlflow_api")
TEMPLATES = sorted(str(path.relative_to(ROOT / "templates")) for path in (ROOT / "templates").rglob("*.html"))
OPEN = {
    *("docs", "health", "health-live", "health-ready", "schema", "sign-in", "sign-in-link"),
    *("mlflow", "mlflow-bare", "mlflow-health", "mlflow-version", "mlflow-server-info"),
}


def sources(*places: str) -> list[Path]:
    """Return the Python files below the places, without migrations."""
    named = [ROOT / place for place in places]
    files = [path for place in named for path in ([place] if place.is_file() else place.rglob("*.py"))]
    return sorted(path for path in files if "migrations" not in path.parts)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return the nodes of a file, but for what is imported for type checkers alone; not to be changed."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        found.append(node)
        is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        waiting += [] if is_for_types else list(ast.iter_child_nodes(node))
    return found


@cache
def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, `from a import b` as `a.b`."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@cache
def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Return the calls of a file with the dotted text of what is called."""
    return [(ast.unparse(node.func), node) for node in nodes(path) if isinstance(node, ast.Call)]


# --- Access ---------------------------------------------------------------------------------------
def policy_of(place: str, pattern) -> Access | None:
    """Return the declared policy; Django's admin site guards its own URLs for operators."""
    callback = pattern.callback
    view = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
    declared = getattr(callback, "access_policy", None) or getattr(view, "access_policy", None)
    return declared or (Access.OPERATOR if place.startswith("admin/") else None)


def sample(place: str) -> str:
    """Return a path that the pattern matches."""
    values = {"uid": "proj_0", "int": "0", "slug": "x", "username": "x", "path": "1", "anypath": "1", "str": "x"}
    place = re.sub(r"<(?:(\w+):)?\w+>", lambda found: values[found[1] or "str"], place)
    place = re.sub(r"\(\?P<\w+>([^|)]*)[^)]*\)", lambda found: found[1].replace(".*", "x"), place)
    return "/" + re.sub(r"[\^$]|\\Z", "", place.replace("([^/]+)", "1"))


URLS = [(sample(place), policy_of(place, pattern), pattern.name) for place, pattern in patterns()]


def with_policy(policy: Access) -> list[str]:
    return [path for path, declared, _ in URLS if declared == policy]


OPERATORS_ALONE = sorted({*with_policy(Access.OPERATOR)} - {"/admin/login/", "/admin/logout/"})


def statuses(client: Client, path: str, *methods: str) -> list[int]:
    return [client.generic(method, path).status_code for method in methods]


def test_every_url_declares_its_policy():
    assert [path for path, declared, _ in URLS if declared not in set(Access)] == []
    assert len(URLS) > 60


def test_what_is_open_to_everybody_is_this_and_no_more():
    assert {name for _, declared, name in URLS if declared == Access.PUBLIC} == OPEN


@pytest.mark.django_db
@pytest.mark.parametrize("path", with_policy(Access.SIGNED_IN))
def test_a_signed_in_url_answers_nobody_else(path):
    got, posted = statuses(Client(), path, "GET", "POST")

    assert got in {302, 401, 405}
    assert posted in {302, 401}


@pytest.mark.django_db
@pytest.mark.parametrize("path", with_policy(Access.ATTEMPT))
def test_an_attempt_url_answers_401_without_the_attempts_token(path):
    client = Client(headers={"Authorization": "Bearer " + "0" * 64})

    assert sorted(set(statuses(client, path, "GET", "POST", "PUT"))) == [401, 405]


@pytest.mark.django_db
@pytest.mark.parametrize("path", with_policy(Access.TRACKING))
def test_a_tracking_url_answers_401_without_a_token(path):
    client = Client(headers={"Authorization": "Bearer " + "0" * 64})

    assert set(statuses(client, path, "GET", "POST", "PUT", "PATCH", "DELETE")) <= {401, 405}
    assert 401 in statuses(client, path, "GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.mark.django_db
@pytest.mark.parametrize("path", with_policy(Access.MONITORING))
def test_a_monitoring_url_answers_neither_strangers_nor_people_without_office(path):
    client = Client()
    client.force_login(new_user("vera"))

    assert statuses(Client(), path, "GET", "HEAD") == [401, 401]
    assert statuses(client, path, "GET", "HEAD") == [403, 403]


@pytest.mark.django_db
@pytest.mark.parametrize("path", OPERATORS_ALONE)
def test_an_operator_url_refuses_others(path):
    client = Client()
    client.force_login(new_user("vera"))

    assert set(statuses(Client(), path, "GET", "POST")) <= {302, 403, 404}
    assert set(statuses(client, path, "GET", "POST")) <= {302, 403, 404}


def test_csrf_protection_is_off_for_programs_and_probes_alone():
    ours = [path for path in sources(*SERVER) if "django.views.decorators.csrf.csrf_exempt" in imports(path)]

    assert [name_of(path) for path in ours] == ["mlflow_api/endpoint.py", "runs/node/auth.py", "trainhub/health.py"]


# --- One writer of the status ---------------------------------------------------------------------
def writes_of_status(path: Path) -> Iterator[str]:
    writing = {"update", "create", "get_or_create", "update_or_create", "bulk_create", "bulk_update", "filter_update"}
    for node in nodes(path):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        is_write = isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        if is_write and any(isinstance(target, ast.Attribute) and target.attr == "status" for target in targets):
            yield ast.unparse(node)
    for called, call in calls(path):
        given = {keyword.arg for keyword in call.keywords}
        texts = {node.value for node in ast.walk(call) if isinstance(node, ast.Constant)}
        if called.rpartition(".")[2] in writing and "status" in given:
            yield ast.unparse(call)
        if called.rpartition(".")[2] in {"save", "bulk_update"} and "status" in texts:
            yield ast.unparse(call)
        if called == "setattr" and "status" in texts:
            yield ast.unparse(call)


def test_nobody_assigns_a_status_but_the_projects_own_service():
    found = {name_of(path): list(writes_of_status(path)) for path in sources(*SERVER)}

    assert {name: writes for name, writes in found.items() if writes} == {
        "projects/services.py": ["project.status = status"]
    }


def test_the_lifecycle_alone_updates_runs_with_a_status_in_a_mapping():
    writers = [
        name_of(path)
        for path in sources(*SERVER)
        for node in nodes(path)
        if isinstance(node, ast.Dict)
        if any(isinstance(key, ast.Constant) and key.value == "status" for key in node.keys)
        if "update(**" in path.read_text()
    ]

    assert writers == ["runs/lifecycle.py"]


# --- Who imports whom -----------------------------------------------------------------------------
def offenders(place: str, *forbidden: str, allowed: tuple[str, ...] = ()) -> list[str]:
    """Return the imports below `place` that begin with a forbidden package."""
    return [
        f"{name_of(path)}: {module}"
        for path in sources(place)
        for module in sorted(imports(path))
        if module.startswith(tuple(f"{package}." for package in forbidden)) or module in forbidden
        if not module.startswith(allowed or ("\0",))
    ]


@pytest.mark.parametrize(
    ("place", "forbidden"),
    [
        ("trainhub/errors.py", ("django", "rest_framework", "trainhub", "projects", "runs", "artifacts", "mlflow_api")),
        ("trainhub/access.py", ("django", "rest_framework", "projects", "runs", "artifacts", "mlflow_api")),
        ("trainhub/api", ("runs", "artifacts", "mlflow_api")),
        ("projects/models.py", ("runs", "artifacts", "mlflow_api")),
        ("projects/services.py", ("runs", "artifacts", "mlflow_api")),
        ("projects/api", ("runs", "artifacts", "mlflow_api")),
        ("projects", ("artifacts", "mlflow_api")),
        ("runs", ("artifacts", "mlflow_api")),
        ("artifacts", ("mlflow_api",)),
        ("runs/executors", ("django", "rest_framework", "projects", "artifacts", "trainhub", "runs.models")),
    ],
)
def test_imports_go_one_way(place, forbidden):
    assert offenders(place, *forbidden) == []


def test_the_runner_imports_the_standard_library_alone():
    packages = {module.partition(".")[0] for path in sources("runner") for module in imports(path)}

    assert packages - set(sys.stdlib_module_names) == {"runner"}


def test_the_server_imports_of_the_runner_the_protocol_alone():
    found = [offender for place in SERVER for offender in offenders(place, "runner", allowed=("runner.protocol",))]

    assert found == []


# --- What is never called -------------------------------------------------------------------------
FORBIDDEN_IMPORTS = ("pickle", "marshal", "shelve", "dill", "yaml", "torch", "numpy", "requests", "urllib.request")
FORBIDDEN_NAMES = {"eval", "exec", "compile", "mark_safe", "format_html_join", "__import__", "RawSQL"}
FORBIDDEN_METHODS = {"system", "popen", "extractall", "extract", "unpack_archive", "extra", "raw", "utcnow", "mktemp"}


@pytest.mark.parametrize("place", SERVER)
def test_the_server_imports_nothing_that_runs_or_fetches_what_people_send(place):
    assert offenders(place, *FORBIDDEN_IMPORTS) == []


@pytest.mark.parametrize("place", [*SERVER, "runner"])
def test_forbidden_functions_are_not_called(place):
    found = [
        f"{name_of(path)}: {called}"
        for path in sources(place)
        for called, _ in calls(path)
        if called in FORBIDDEN_NAMES or ("." in called and called.rpartition(".")[2] in FORBIDDEN_METHODS)
    ]

    assert found == []


@pytest.mark.parametrize("place", [*SERVER, "runner"])
def test_no_subprocess_has_a_shell_and_each_call_that_waits_has_a_timeout(place):
    started = [
        (name_of(path), called, {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords})
        for path in sources(place)
        for called, call in calls(path)
        if called.startswith("subprocess.")
    ]

    waiting = {"subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output"}
    assert [item for item in started if "shell" in item[2]] == []
    assert [item for item in started if item[1] in waiting and "timeout" not in item[2]] == []


@pytest.mark.parametrize("place", SERVER)
def test_no_name_from_a_request_becomes_a_look_up(place):
    querying = {"filter", "exclude", "get", "order_by", "annotate", "values", "update"}
    found = [
        f"{name_of(path)}: {ast.unparse(call)}"
        for path in sources(place)
        for called, call in calls(path)
        if called.rpartition(".")[2] in querying
        for keyword in call.keywords
        if keyword.arg is None and "request" in ast.unparse(keyword.value)
    ]

    assert found == []


@pytest.mark.parametrize("place", [*SERVER, "runner"])
def test_every_time_has_a_zone(place):
    bare = {"datetime.now", "datetime.today", "date.today", "datetime.datetime.now"}
    found = [(name_of(path), called) for path in sources(place) for called, call in calls(path) if not call.args]

    assert [item for item in found if item[1] in bare] == []


# --- Templates ------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_compiles_and_what_it_names_exists(name):
    text = (ROOT / "templates" / name).read_text()

    named = re.findall(r"{%\s*(?:include|extends)\s+[\"']([^\"']+)[\"']", text)

    assert all(get_template(other) for other in [name, *named])


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_shows_what_people_wrote_as_markup(name):
    text = (ROOT / "templates" / name).read_text()
    unescaped = r"\|\s*(?:safe|safeseq|urlize|urlizetrunc|striptags|truncate\w*_html)\b|autoescape\s+off"

    assert re.findall(unescaped, text) == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_needs_more_than_the_content_security_policy_allows(name):
    text = re.sub(
        r"{#.*?#}|{% comment %}.*?{% endcomment %}", "", (ROOT / "templates" / name).read_text(), flags=re.DOTALL
    )

    inline = r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\b(?:src|type=\"application/json\"))"
    assert re.findall(inline, text) == []
    assert re.findall(r"(?:src|<link[^>]*href)=\"(?:https?:)?//", text) == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_asks_a_table_for_its_items(name):
    # Where people name the entries, `.items` is the entry of that name. The filter `pairs` always gives all.
    tags = re.findall(r"{[{%].*?[%}]}", (ROOT / "templates" / name).read_text(), flags=re.DOTALL)

    assert [tag for tag in tags if re.search(r"\.items\b", tag)] == []


def test_every_template_that_a_view_names_exists():
    named = {
        (name_of(path), node.value.value)
        for path in sources(*SERVER)
        for node in nodes(path)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        if any(getattr(target, "id", "") == "template_name" for target in node.targets) and node.value.value
    }

    assert [item for item in sorted(named) if not get_template(item[1])] == []
    assert len(named) > 10
