"""What may be compared and how: the tables of the grammar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mlflow_api.errors import MlflowError, invalid

IN, NOT_IN = "IN", "NOT IN"
IS_NULL, IS_NOT_NULL = "IS NULL", "IS NOT NULL"
LIKE, ILIKE = "LIKE", "ILIKE"

NUMBERS = ("=", "!=", "<", "<=", ">", ">=")
TEXTS = ("=", "!=", LIKE, ILIKE)
LISTED_TEXTS = (*TEXTS, IN, NOT_IN)
OPTIONAL_TEXTS = (*TEXTS, IS_NULL, IS_NOT_NULL)
_TIMESTAMPS = ("creation_timestamp", "last_updated_timestamp")  # of all models


class Entity(StrEnum):
    """What a key belongs to."""

    METRIC = "metric"
    PARAM = "param"
    TAG = "tag"
    ATTRIBUTE = "attribute"
    DATASET = "dataset"


_WORDS = {
    Entity.METRIC: ("metric", "metrics"),
    Entity.PARAM: ("param", "params", "parameter", "parameters"),
    Entity.TAG: ("tag", "tags"),
    Entity.ATTRIBUTE: ("attribute", "attributes", "attr", "run"),
    Entity.DATASET: ("dataset", "datasets"),
}
ENTITIES = {word: entity for entity, words in _WORDS.items() for word in words}


@dataclass(frozen=True)
class Ident:
    """What is compared or ordered by; the key of an attribute or dataset is one that is known."""

    entity: Entity
    key: str

    @property
    def text(self) -> str:
        """How errors and page tokens name it."""
        return f"{self.entity}.{self.key}"


@dataclass(frozen=True)
class Vocabulary:
    """The comparators of each entity: one list for any key, or one by key. `aliases` are other names of attributes.

    Nothing is ordered by the entities of `unordered`.
    """

    comparators: Mapping[Entity, tuple[str, ...] | Mapping[str, tuple[str, ...]]]
    aliases: Mapping[str, str]
    unordered: frozenset[Entity] = frozenset()

    def ident(self, entity: Entity, key: str) -> Ident:
        """Return what an entity and a key name. Raises: MlflowError (400)."""
        known = self.comparators.get(entity)
        if known is None:
            raise invalid(f"Invalid entity type '{entity}'. It is not known here.")
        if entity == Entity.ATTRIBUTE:
            key = self.aliases.get(key, key)
        if isinstance(known, Mapping) and key not in known:
            raise invalid(f"Invalid {entity} key '{key}'. Known are: {', '.join(known)}.")
        return Ident(entity, key)

    def comparators_of(self, ident: Ident) -> tuple[str, ...]:
        """Return the comparators that something may be compared with."""
        known = self.comparators[ident.entity]
        return known[ident.key] if isinstance(known, Mapping) else known

    def is_number(self, ident: Ident) -> bool:
        """Tell whether something is compared with numbers, else with texts."""
        return self.comparators_of(ident) == NUMBERS

    def refusal(self, ident: Ident, comparator: str) -> MlflowError:
        """Return the error for a comparator that an entity does not have."""
        known = ", ".join(self.comparators_of(ident))
        return invalid(f"Invalid comparator '{comparator}' for {ident.text}. Known are: {known}.")


RUNS = Vocabulary(
    {
        Entity.METRIC: NUMBERS,
        Entity.PARAM: OPTIONAL_TEXTS,
        Entity.TAG: OPTIONAL_TEXTS,
        Entity.ATTRIBUTE: {
            "run_id": LISTED_TEXTS,
            **dict.fromkeys(("run_name", "status", "artifact_uri", "user_id"), TEXTS),
            **dict.fromkeys(("start_time", "end_time"), NUMBERS),
        },
        Entity.DATASET: dict.fromkeys(("name", "digest", "context"), LISTED_TEXTS),
    },
    {
        **dict.fromkeys(("Run name", "run name", "Run Name"), "run_name"),
        **dict.fromkeys(("created", "Created"), "start_time"),
    },
    unordered=frozenset({Entity.DATASET}),
)
EXPERIMENTS = Vocabulary(
    {
        Entity.TAG: OPTIONAL_TEXTS,
        Entity.ATTRIBUTE: {
            **dict.fromkeys(("name", "experiment_id"), TEXTS),
            **dict.fromkeys(("creation_time", "last_update_time"), NUMBERS),
        },
    },
    {},
)
MODELS = Vocabulary(
    {Entity.TAG: TEXTS, Entity.ATTRIBUTE: {"name": LISTED_TEXTS, **dict.fromkeys(_TIMESTAMPS, NUMBERS)}},
    {"timestamp": "last_updated_timestamp"},
    unordered=frozenset({Entity.TAG}),
)
VERSIONS = Vocabulary(
    {
        Entity.TAG: TEXTS,
        Entity.ATTRIBUTE: {
            **dict.fromkeys(("name", "run_id", "source_path"), LISTED_TEXTS),
            **dict.fromkeys(("version_number", *_TIMESTAMPS), NUMBERS),
        },
    },
    MODELS.aliases,
    unordered=MODELS.unordered,
)
LOGGED_MODELS = Vocabulary(
    {
        Entity.METRIC: NUMBERS,
        Entity.PARAM: LISTED_TEXTS,
        Entity.TAG: LISTED_TEXTS,
        Entity.ATTRIBUTE: {
            **dict.fromkeys(("name", "model_id", "model_type", "status", "source_run_id"), LISTED_TEXTS),
            **dict.fromkeys(_TIMESTAMPS, NUMBERS),
        },
    },
    {"creation_time": "creation_timestamp", "last_updated_time": "last_updated_timestamp"},
    unordered=frozenset({Entity.METRIC, Entity.PARAM, Entity.TAG}),
)
