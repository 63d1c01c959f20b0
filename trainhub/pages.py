"""What page views share: sign-in first, refusals as pages, forms that one service acts on, buttons, paging."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import orjson
from django import forms
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model, QuerySet
from django.forms.renderers import TemplatesSetting
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import redirect, render
from django.template.response import SimpleTemplateResponse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View
from django_htmx.http import HttpResponseClientRedirect
from rest_framework.serializers import Serializer

from trainhub.access import Access
from trainhub.api.paging import read_page_request
from trainhub.api.parsers import check_json
from trainhub.api.renderers import dump_json
from trainhub.errors import Conflict, DomainError, InvalidInput, MalformedBody

Row = TypeVar("Row", bound=Model)
# Of pages alone: downloads are streamed as they are. Django varies the length, so that it tells nothing (BREACH).
_COMPRESSION = GZipMiddleware(lambda _: HttpResponse())


def is_path_here(request: HttpRequest, back: str) -> bool:
    """Tell whether `back`, from a form or an address, is a path of this hub and nothing else."""
    is_ours = url_has_allowed_host_and_scheme(
        back, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return back.startswith("/") and is_ours  # a bare word would be taken for the name of a URL


class FormRenderer(TemplatesSetting):
    """Writes the fields of forms in the style sheet's classes."""

    form_template_name = "forms/form.html"
    field_template_name = "forms/field.html"


@dataclass(frozen=True)
class Refusal:
    """What a page says about a status: what happened, and what the reader can do."""

    title: str
    advice: str


REFUSALS = {
    400: Refusal("This could not be understood", "Check the address, or go back and correct what you sent."),
    403: Refusal("Not allowed", "Ask an admin of the project for the role that this needs."),
    404: Refusal(
        "Not found",
        "Check the address. What you may not see looks just like this: ask for access if you expected more.",
    ),
    405: Refusal("Not possible this way", "Go back and use the buttons of the page."),
    409: Refusal(
        "Not possible now",
        "Something changed in the meantime, or the state does not allow it. Go back and reload the page.",
    ),
    410: Refusal("Removed", "It was here once and was removed for good, as its project's settings or somebody asked."),
    413: Refusal("Too large", "Nothing was kept. Send less at once; trainers hand over files of any size."),
    429: Refusal("Too many at once", "Wait a few seconds and try again."),
    500: Refusal("Something failed here", "It was logged. Try again, and tell the operator the time if it stays."),
    503: Refusal(
        "The hub is busy or its database is away",
        "Nothing was changed. Running trainings go on; try again in a few seconds.",
    ),
    507: Refusal("No space left", "Nothing was kept. The operator of the hub has to make room on its disk."),
}
_WORTH_ANOTHER_TRY = frozenset({429, 500, 503, 507})


def error_page(request: HttpRequest, status: int, detail: str, *, advice: str | None = None) -> HttpResponse:
    """Return the page about a status; it needs no database."""
    said = REFUSALS.get(status, Refusal("This did not work", "Go back and try again."))
    context = {
        "status": status,
        "title": said.title,
        "detail": detail,
        "advice": said.advice if advice is None else advice,
        "now": timezone.now(),
        "again": request.get_full_path() if request.method == "GET" and status in _WORTH_ANOTHER_TRY else "",
    }
    return render(request, "error.html", context, status=status)


def wrong_way_page(request: HttpRequest, allowed: Iterable[str]) -> HttpResponse:
    """Return the page about a method that a path does not take: 405."""
    response = error_page(request, 405, f"This address does not take {request.method} requests.")
    response.headers["Allow"] = ", ".join(method.upper() for method in allowed)
    return response


def refusal_page(request: HttpRequest, error: DomainError) -> HttpResponse:
    """Return the page that says why something was refused, with the error's own status."""
    return error_page(request, error.status, error.detail)


class PageView(LoginRequiredMixin, View):
    """A page for signed-in people; what they may see is cut by `visible_to`."""

    access_policy = Access.SIGNED_IN
    template_name = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Show domain errors as pages."""
        try:
            response = super().dispatch(request, *args, **kwargs)
        except DomainError as error:
            response = refusal_page(request, error)
        if isinstance(response, SimpleTemplateResponse):
            response.render()  # Django's own views leave that for later
        return response if response.streaming else _COMPRESSION.process_response(request, response)

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ARG002
        """Say so with a page."""
        return wrong_way_page(request, [name for name in self.http_method_names if hasattr(self, name)])

    def handle_no_permission(self) -> HttpResponse:  # type: ignore[override]
        """Lead to the sign-in page; a poll would otherwise put that page into a fragment's place."""
        if getattr(self.request, "htmx", None):
            return HttpResponseClientRedirect(redirect_to_login(self.request.htmx.current_url_abs_path or "/").url)  # type: ignore[attr-defined]
        return super().handle_no_permission()

    def page(self, *, status: int = 200, **context: Any) -> HttpResponse:
        """Render the view's template."""
        return render(self.request, self.template_name, context, status=status)


class FormPage(PageView):
    """A page with a form: GET shows it, POST checks it and calls one service in `done`."""

    def make_form(self, data: Mapping[str, Any] | None = None) -> ShapedForm:
        """Return the form, bound when `data` is given."""
        raise NotImplementedError

    def done(self, form: Any) -> HttpResponse:
        """Call the service with the checked values and answer, as a rule with a redirect."""
        raise NotImplementedError

    def context(self) -> dict[str, Any]:
        """Return what the template shows beside the form."""
        return {}

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:  # noqa: ARG002 - the path's parts are in self
        """Show the form."""
        return self.page(form=self.make_form(), **self.context())

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:  # noqa: ARG002
        """Act, or show the form again with what is wrong beside the fields."""
        form = self.make_form(request.POST)
        status = 400
        if form.is_valid():
            try:
                return self.done(form)
            except (InvalidInput, Conflict) as error:
                form.refuse(error)
                status = error.status
        return self.page(status=status, form=form, **self.context())


class ButtonView(PageView):
    """A button: POST calls one service and leads back with a word on how it went.

    With a template, GET asks first; without one there is nothing to GET.
    """

    def act(self) -> str:
        """Call the service; return what to tell the person."""
        raise NotImplementedError

    def back(self) -> str:
        """Return the path to lead to afterwards."""
        raise NotImplementedError

    def context(self) -> dict[str, Any]:
        """Return what the question shows."""
        return {}

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        """Ask before acting."""
        if not self.template_name:
            return self.http_method_not_allowed(request, **kwargs)
        return self.page(**self.context())

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:  # noqa: ARG002
        """Act, and lead back."""
        try:
            messages.success(request, self.act())
        except Conflict as error:
            messages.error(request, error.detail)
        return redirect(self.back())


class JsonObjectField(forms.Field):
    """A JSON object typed as text, read as strictly as the API reads bodies."""

    widget = forms.Textarea

    def __init__(self, **options: Any) -> None:
        options.setdefault("widget", forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "code"}))
        super().__init__(**{"required": False, "initial": dict, **options})

    def prepare_value(self, value: Any) -> Any:
        """Show an object as indented JSON, and refused text as it was typed."""
        if isinstance(value, str):
            return value
        return dump_json(value or {}, indent=True).decode()

    def to_python(self, value: Any) -> dict[str, Any]:
        """Return the object; nothing at all is an empty one."""
        if not value or not value.strip():
            return {}
        try:
            found = orjson.loads(value)
            check_json(found)
        except orjson.JSONDecodeError as error:
            raise forms.ValidationError(f"This is not valid JSON: {error}.") from None
        except MalformedBody:
            raise forms.ValidationError("This holds a NUL character or is nested too deeply.") from None
        if not isinstance(found, dict):
            raise forms.ValidationError("This must be a JSON object, such as {}.")
        return found


class ShapedForm(forms.Form):
    """A form whose values the API's own serializer checks, so that pages and programs have one set of rules.

    After `is_valid()`, `values` is what the service takes.
    """

    template_name_div = FormRenderer.form_template_name
    shape: ClassVar[type[Serializer[Any]]]
    values: dict[str, Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})

    def body(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return the cleaned values as the API's body; fields left empty are left out."""
        return {name: value for name, value in cleaned.items() if value not in (None, "")}

    def clean(self) -> dict[str, Any]:
        """Check the values as the API does; its sentences appear beside the fields."""
        cleaned = super().clean() or {}
        if not self.errors:
            serializer = self.shape(data=self.body(cleaned))
            if serializer.is_valid():
                self.values = dict(serializer.validated_data)
            else:
                self._add_all(serializer.errors)
        return cleaned

    def refuse(self, error: InvalidInput | Conflict) -> None:
        """Show why the service refused."""
        self._add_all(error.fields if isinstance(error, InvalidInput) else {"": [error.detail]})

    def _add_all(self, problems: Mapping[str, Any]) -> None:
        for name, text in _sentences("", problems):
            self.add_error(name if name in self.fields else None, text)


def _sentences(name: str, problem: Any) -> Iterator[tuple[str, str]]:
    """Yield field and sentence for each leaf of DRF's nested errors; the innermost named field counts."""
    if isinstance(problem, Mapping):
        for key, inner in problem.items():
            yield from _sentences(key if isinstance(key, str) else name, inner)
    elif isinstance(problem, list):
        for inner in problem:
            yield from _sentences(name, inner)
    else:
        yield name, str(problem)


@dataclass(frozen=True)
class Paging:
    """Where a page stands in its list: `number` from 1, `size` rows a page, `total` rows in all."""

    number: int
    size: int
    total: int

    @property
    def last(self) -> int:
        """The number of the last page; an empty list has one page."""
        return max(1, -(-self.total // self.size))

    @property
    def previous(self) -> int | None:
        """The page before; None on the first."""
        return min(self.number - 1, self.last) if self.number > 1 else None

    @property
    def next(self) -> int | None:
        """The page after; None on the last."""
        return self.number + 1 if self.number < self.last else None


def paginate(rows: QuerySet[Row], query: Mapping[str, str]) -> tuple[list[Row], Paging]:
    """Return the rows of the page that the query string asks for. Raises: InvalidInput."""
    wanted = read_page_request(query)
    return list(rows[wanted.start : wanted.start + wanted.size]), Paging(wanted.number, wanted.size, rows.count())
