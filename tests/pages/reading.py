"""Reading pages: what a strict Content-Security-Policy would refuse, and what forms lack."""

from __future__ import annotations

from html.parser import HTMLParser

HANDLERS = ("onclick", "onload", "onerror", "onsubmit", "onchange", "onfocus")
INLINE_ATTRIBUTES = {"style", *HANDLERS}


class PageReader(HTMLParser):
    """Collects inline code, foreign addresses, and forms that POST without a CSRF token."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.foreign: list[str] = []
        self.forms: list[dict] = []
        self.labels: set[str] = set()
        self.controls: list[dict] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.inline += [f"{tag} {name}" for name in values if name in INLINE_ATTRIBUTES or name.startswith("hx-on")]
        if tag == "style" or (tag == "script" and not values.get("src")):
            self.inline.append(tag)
        self.foreign += [
            values[name] for name in ("src", "href", "action") if (values.get(name) or "").startswith(("http", "//"))
        ]
        if tag == "form":
            self.forms.append({"method": (values.get("method") or "get").lower(), "names": []})
        if tag in {"input", "select", "textarea"} and self.forms:
            self.forms[-1]["names"].append(values.get("name"))

    @property
    def unprotected(self) -> list[dict]:
        return [form for form in self.forms if form["method"] == "post" and "csrfmiddlewaretoken" not in form["names"]]


def read(response) -> PageReader:
    reader = PageReader()
    reader.feed(response.content.decode())
    return reader


def text_of(response) -> str:
    return response.content.decode()


def flashes(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]
