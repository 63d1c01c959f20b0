"""What the tests of run lists make and read."""

import math

from runs.models import RunMetric

NAN = float("nan")


def set_metric(run, key, value):
    special = {"value": None, "special": "NaN"} if math.isnan(value) else {"value": value}
    RunMetric.objects.create(run=run, key=key, step=1, time=1, **special)


def get(caller, path="/runs", **query):
    answer = caller.get(path, query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def names(page):
    return " ".join(item["name"] for item in page["items"])


def all_by_cursor(caller, path="/runs", **query):
    """Return the names of all pages, a page a text."""
    pages, cursor = [], ""
    while cursor is not None:
        page = get(caller, path, cursor=cursor, **query)
        pages.append(names(page))
        cursor = page["next"]
    return pages
