"""The parameters of a run, one row each: what lists search. The run's own JSON is what is shown."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from runs.models.run import Run


class RunParameter(models.Model):
    """A parameter of a run, written once: given at the launch, or logged by a tracking client.

    `group` is its origin: model_parameters or hyperparameters, as the trainer gets them with the recipe's defaults,
    written with the run; or params, written by a client. Exactly one of `number` and `text` is set. What a client wrote
    is in `value` to the letter, up to 6,000 characters; then `text` is its beginning, or `number` what it reads as.
    `value` is None for what was given at the launch.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="parameters", db_index=False)
    group = models.CharField(max_length=16)
    name = models.CharField(max_length=250)
    number = models.FloatField(null=True)
    text = models.CharField(max_length=250, null=True)  # noqa: DJ001 - an empty text is a value, None is a number

    value = models.TextField(max_length=6000, null=True)  # noqa: DJ001 - an empty text is a value

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "group", "name"], name="run_parameter_once"),
            models.CheckConstraint(
                condition=Q(number__isnull=False, text__isnull=True) | Q(number__isnull=True, text__isnull=False),
                name="run_parameter_number_or_text",
            ),
        ]
        indexes = [
            models.Index(
                fields=["group", "name", "number", "run"],
                name="run_parameter_number",
                condition=Q(number__isnull=False),
            ),
            models.Index(
                fields=["group", "name", "text", "run"], name="run_parameter_text", condition=Q(text__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.group}.{self.name} = {self.number if self.text is None else self.text}"
