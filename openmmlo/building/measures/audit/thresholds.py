"""Words such as ``0.01`` or ``name=0`` come in; which rates of an audit exceed them goes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from openmmlo.building.measures.audit.reading import LEAKS
from openmmlo.errors import ConfigError, UnknownName

ANY = "any"


class Exceeded(NamedTuple):
    """A rate above its limit."""

    kind: str
    rate: float
    limit: float

    def __str__(self) -> str:
        what = "of masked captions leak" if self.kind == ANY else f"of masked captions leak by kind {self.kind}"
        return f"{self.rate:.4%} {what}; the limit is {self.limit:.4%}.".replace("%", " %")


def parse_limits(limits: Iterable[str]) -> dict[str, float]:
    """``X`` (of all leaks that count) or ``KIND=X``; X is a fraction, or a percentage with its sign.

    Raises:
        ConfigError: X is no fraction from 0 to 1.
        UnknownName: no such kind.
    """
    parsed = {}
    for limit in limits:
        kind, _, text = limit.rpartition("=")
        kind = kind.strip() or ANY
        if kind not in (ANY, *LEAKS):
            raise UnknownName("kind of leak", kind, (ANY, *LEAKS))
        try:
            value = float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise ConfigError(
                f"--fail-above {limit!r} has no rate: expected a fraction from 0 to 1 (0.01) or a percentage (1%)."
            )
        parsed[kind] = value
    return parsed


def exceeded(audit: Mapping[str, Any], limits: Mapping[str, float]) -> list[Exceeded]:
    """The limits that an audit's masked captions, over all splits that were read, lie above.

    Raises:
        ConfigError: a kind that this audit could not look for.
    """
    block = audit["leaks"]["all"]
    found = []
    for kind, limit in limits.items():
        share = block["any"] if kind == ANY else block["kinds"][kind]
        if share is None:
            raise ConfigError(
                f"--fail-above {kind}={limit:g}: the data set's mask lexicon holds no form of kind {kind}, so that was "
                "not looked for. Build it with WordNet at hand (openmmlo wordnet setup), or leave this limit out."
            )
        if share["rate"] is not None and share["rate"] > limit:
            found.append(Exceeded(kind, share["rate"], limit))
    return found
