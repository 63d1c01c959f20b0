"""How pages write times, sizes and numbers."""

from __future__ import annotations

from django import template

register = template.Library()
