"""Page tokens of small tables: how many rows came before."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from mlflow_api.errors import invalid
from mlflow_api.fields import Fields

_MAX_TOKEN = 100  # characters
_MAX_OFFSET = 2**31  # rows


@dataclass(frozen=True)
class Page:
    """`size` rows from `start` on, which counts from 0."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The number of the first row behind the page."""
        return self.start + self.size


def read_page(fields: Fields, size: int) -> Page:
    """Return the page that a request goes on with. Raises: MlflowError (400)."""
    token = fields.text("page_token", most=_MAX_TOKEN)
    try:
        start = int(base64.b64decode(token, validate=True)) if token else 0
    except (binascii.Error, ValueError):
        start = -1
    if not 0 <= start < _MAX_OFFSET:
        raise invalid("Invalid value for parameter 'page_token': it is not one that this server gave.")
    return Page(start, size)


def next_page(page: Page) -> dict[str, str]:
    """Return the field that leads to the page behind one."""
    return {"next_page_token": base64.b64encode(str(page.end).encode()).decode()}
