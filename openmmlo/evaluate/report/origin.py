"""A result comes in; what it was made from, and how to compute it again, go out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openmmlo.evaluate.report.facts import flat
from openmmlo.pages.wording import UNDEFINED, part

_ELSEWHERE = {"scored", "measured", "not_run", "warnings", "departures", "sets", "run", "format"}
_DIGEST = re.compile(r"(?:sha256:)?[0-9a-f]{40,128}")


def origin_view(result: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of the result in tables, its sets with what was expected and found, digests apart."""
    tables: list[tuple[str, list[tuple[str, str]]]] = []
    digests: list[tuple[str, str]] = []
    plain: list[tuple[str, str]] = []
    for key, item in result.items():
        if key in _ELSEWHERE:
            continue
        if key == "protocol" and isinstance(item, Mapping):  # what is of detectors stands beside their scores
            item = {name: value for name, value in item.items() if name not in ("detectors", "cautions")}
        facts = flat(item, "" if isinstance(item, Mapping) else key)
        where = "" if key == "digests" or not isinstance(item, Mapping) else f"{_title(key)}: "
        digests += [(f"{where}{name}", value) for name, value in facts if _DIGEST.fullmatch(value)]
        facts = [pair for pair in facts if not _DIGEST.fullmatch(pair[1])]
        if key == "digests":  # one that is absent, like the recipe of a model that has none, says nothing
            facts = [pair for pair in facts if pair[1] != UNDEFINED]
        if isinstance(item, Mapping):
            tables.append((_title(key), facts))
        else:
            plain += facts
    if plain:
        tables.insert(0, ("Evaluation", plain))
    run = part(result, "run") or {}
    for name, title in (("versions", "Versions"), ("machine", "Machine"), ("stages", "Seconds by stage")):
        facts = flat(part(run, name) or {})
        if name == "machine":
            facts = flat({key: value for key, value in run.items() if not isinstance(value, Mapping)}) + facts
        tables.append((title, facts))
    sets, columns = _sets(part(result, "sets"))
    return {
        "tables": [(title, rows) for title, rows in tables if rows],
        "digests": digests,
        "sets": sets,
        "columns": columns,
        "benchmark": str(part(result, "benchmark", "name") or "NAME"),
    }


def _sets(found: Any) -> tuple[list[dict[str, str]], list[str]]:
    """A row a set, with the columns in which any of them says something."""
    entries = (
        [{"name": name, **item} for name, item in found.items() if isinstance(item, Mapping)]
        if isinstance(found, Mapping)
        else [item for item in found or [] if isinstance(item, Mapping)]
    )
    rows = [{_path(name): value for name, value in flat(item)} for item in entries]
    said = {name for row in rows for name, value in row.items() if name != "name" and value != UNDEFINED}
    columns = list(dict.fromkeys(name for row in rows for name in row if name in said))
    return rows, columns


def _path(name: str) -> str:
    return name.replace(" · ", " ")


def _title(key: str) -> str:
    return key.replace("_", " ").capitalize()
