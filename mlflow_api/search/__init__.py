"""Searching by MLflow's filter grammar.

`reading` makes value objects of a filter's text, by the words that a `vocabulary` knows; `conditions` and `columns`
make querysets of those; `ordering` is the order and the place a page goes on from, `tokens` how clients carry it;
`peeking` and `pages` find a page of runs quickly. Models are few: `listing` finds a page of them, with `matching` for
what they keep as JSON, and `offsets` as tokens.
"""

from mlflow_api.search import experiments, logged_models, runs

__all__ = ["experiments", "logged_models", "runs"]
