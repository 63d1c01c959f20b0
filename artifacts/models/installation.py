"""Which installation a database is of, so that stores can tell whether they belong to it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from projects.uids import new_uid

ONLY = 1  # the key of the one row


def new_installation_uid() -> str:
    """Return a new `hub_…`."""
    return new_uid("hub")


class Installation(models.Model):
    """The one row goes wherever the database goes, by a backup or a move; its uid is also in every store."""

    uid = models.CharField(max_length=32, editable=False, default=new_installation_uid)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=ONLY), name="installation_only_one")]

    def __str__(self) -> str:
        return self.uid
