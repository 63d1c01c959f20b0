"""The OpenAPI document, the page that shows it, and the browsable API."""

import re
from html.parser import HTMLParser

import orjson
import pytest
from django.core.management import call_command
from django.test import Client

from tests.trainhub.endpoints import api_methods

pytestmark = pytest.mark.django_db
HTML = {"Accept": "text/html"}
LOADING = {"script", "link", "img", "iframe"}


class Tags(HTMLParser):
    """Collects the start tags of a page, and the text of scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.inline = [], []
        self._inside = None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = (
            tag if tag in {"script", "style"} and dict(attributes).get("type") != "application/json" else None
        )

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        self.inline += [data] if self._inside and data.strip() else []

    def loaded(self):
        return [attributes.get("src") or attributes.get("href") for tag, attributes in self.tags if tag in LOADING]

    def handlers(self):
        return [name for _, attributes in self.tags for name in attributes if name.startswith("on")]


@pytest.fixture
def schema(client):
    return orjson.loads(client.get("/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).content)


def test_the_document_is_valid_and_without_a_warning(capsys, tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))

    assert capsys.readouterr().err == ""
    assert (tmp_path / "schema.yml").stat().st_size > 10_000


def test_the_document_describes_every_endpoint_and_no_other(schema):
    described = {(path, method) for path, operations in schema["paths"].items() for method in operations}

    assert len(described) == len(api_methods())
    assert all(not path.startswith(("/node", "/admin", "/ui")) for path, _ in described)


def test_every_operation_asks_for_a_token_and_says_what_401_means(schema):
    operations = [operation for path in schema["paths"].values() for operation in path.values()]

    assert all("bearer" in repr(operation["security"]) for operation in operations)
    assert all("401" in operation["responses"] for operation in operations)


def test_every_operation_has_a_name_of_its_own(schema):
    names = [operation["operationId"] for path in schema["paths"].values() for operation in path.values()]

    assert len(set(names)) == len(names)


def test_the_page_loads_everything_from_this_server(client):
    page = Tags(client.get("/docs").content.decode())

    links = page.loaded()

    assert any("swagger-ui-bundle" in link for link in links)
    assert [link for link in links if "//" in link] == []


def test_the_page_obeys_the_content_security_policy(client):
    answer = client.get("/docs")
    page = Tags(answer.content.decode())

    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert (page.inline, page.handlers()) == ([], [])
    assert [tag for tag, attributes in page.tags if "style" in attributes] == []


def test_the_script_of_the_page_is_served_as_a_script(client):
    answer = client.get("/docs?script=")

    assert answer.headers["Content-Type"].startswith("application/javascript")
    assert re.findall(r"https?://[^\s\"']+", answer.content.decode()) == []


@pytest.mark.parametrize("path", ["/schema", "/docs"])
def test_the_documentation_is_open_and_takes_get_alone(path):
    client = Client(enforce_csrf_checks=True)

    assert client.get(path).status_code == 200
    assert client.post(path).status_code == 405


@pytest.fixture
def browser(admin):
    client = Client(enforce_csrf_checks=True, headers=HTML)
    client.force_login(admin)
    return client


@pytest.mark.parametrize("place", ["", "/runs", "/members", "/versions"])
def test_the_browsable_api_shows_answers_to_a_signed_in_person(browser, project, place):
    answer = browser.get(f"/projects/{project.uid}{place}")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")


def test_the_browsable_api_offers_a_form_for_json(browser):
    html = browser.get("/projects").content.decode()

    assert 'name="_content"' in html
    assert '"csrfToken": "' in html


def test_the_browsable_api_obeys_the_content_security_policy(browser, project):
    page = Tags(browser.get(f"/projects/{project.uid}").content.decode())

    assert (page.inline, page.handlers()) == ([], [])
    assert [link for link in page.loaded() if link and "//" in link] == []


def test_the_browsable_api_shows_what_people_wrote_as_text(browser):
    browser.get("/projects")
    token = browser.cookies["trainhub_csrf_8000"].value
    body = {"name": "<script>alert(1)</script>"}
    browser.post("/projects", body, content_type="application/json", headers={"X-CSRFToken": token})

    html = browser.get("/projects").content.decode()

    assert "alert(1)" in html
    assert "<script>alert" not in html


def test_the_browsable_api_offers_no_form_to_a_viewer_who_is_not_signed_in(client):
    answer = client.get("/projects", headers=HTML)

    assert answer.status_code == 401
    assert 'name="_content"' not in answer.content.decode()
