"""An entry with its mark comes in; everything that its own page says goes out."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from markupsafe import Markup

from openmmlo.leaderboard.board import Entry
from openmmlo.leaderboard.columns import Column
from openmmlo.leaderboard.methods import METHODS
from openmmlo.leaderboard.rows import Row, Table, said_by_authors
from openmmlo.leaderboard.site.downloads import bibtex_of_row
from openmmlo.leaderboard.site.marks import MEANING
from openmmlo.leaderboard.site.plots import strip_path
from openmmlo.leaderboard.site.table import cell, headline, shown
from openmmlo.leaderboard.submission import Run
from openmmlo.pages.wording import UNDEFINED, decimal, number, part

_COUNTS = ("rows", "classes_tested")
_LONGEST, _MOST = 300, 20
"""Characters of a stranger's text, and facts of one kind, that a page shows at most."""

Fact = tuple[str, str, str]
"""Key, value, and an address or nothing."""


def entry_view(
    entry: Entry, row: Row, strips: Sequence[Mapping[str, Any]], columns: Sequence[Column]
) -> dict[str, Any]:
    """What the template reads.

    Args:
        strips: of the row's table (:func:`strips_of`).
        columns: the headline of the row's table.
    """
    submission = entry.submission
    links = [(label, url) for label, url in (("paper", submission.paper), ("code", submission.code)) if url]
    return {
        "row": row,
        "links": links,
        "note": submission.note,
        "meaning": MEANING[row.mark],
        "figures": [
            {"title": column.title, "unit": "%" if column.unit == "percent" else "°", "cell": cell(row, column),
             "rank": value.rank.text if value.rank else ""}
            for column in columns
            if column.group == columns[0].group and (value := row.values.get(column.key))
        ],
        "strips": [_placed(strip, row) for strip in strips if strip["key"] in row.values],
        "seeds": submission.seeds,
        "blocks": blocks_of(entry),
        "origin": {"tables": origin_of(entry), "mark": _of_mark(entry)},
        "commands": commands_of(entry),
        "warnings": [
            *(text for text in row.remarks if text != said_by_authors(submission.note)),  # it stands above
            *_warnings(submission.runs),
        ],
        "method": METHODS.get(row.method or ""),
        "bibtex": bibtex_of_row(row, submission.authors),
    }  # fmt: skip


def strips_of(table: Table) -> list[dict[str, Any]]:
    """For each headline column the rows scored here as strokes on one strip, worst to best; none for a single row."""
    found = []
    for column in headline(table):
        values = [
            row.values[column.key].mean for row in table.rows if row.mark != "reported" and column.key in row.values
        ]
        if len(values) < 2:
            continue
        less = column.direction == "lower"
        low, high = (max(values), min(values)) if less else (min(values), max(values))
        found.append(
            {"key": column.key, "column": column, "less": less, "low": low, "high": high,
             "path": strip_path(values, low, high)}
        )  # fmt: skip
    return found


def _placed(strip: Mapping[str, Any], row: Row) -> dict[str, Any]:
    value = row.values[strip["key"]]
    span = strip["high"] - strip["low"] or 1.0
    column = strip["column"]
    return {
        **strip,
        "title": f"{column.title}",
        "group": column.group,
        "at": round(100 * (value.mean - strip["low"]) / span, 2),
        "cell": cell(row, column),
        "rank": value.rank.text if value.rank else "",
        "ends": " to ".join(f"{shown(end, column):.2f}" for end in (strip["low"], strip["high"])),
    }


def blocks_of(entry: Entry) -> list[dict[str, Any]]:
    """Every metric of the mark, by what it is of: (name, cells of its mean, deviation and value of every seed)."""
    runs = entry.mark.runs if entry.mark else ()
    paths = list(dict.fromkeys(path for run in runs for path in run.scored))
    values = np.array([[run.scored.get(path, np.nan) for run in runs] for path in paths]).reshape(len(paths), len(runs))
    columns = [values.mean(axis=1, keepdims=True)]
    if len(runs) > 1:
        columns += [values.std(axis=1, ddof=1, keepdims=True), values]
    blocks: dict[str, list[tuple[str, Markup]]] = {}
    for path, numbers in zip(paths, np.hstack(columns).tolist(), strict=True):
        title, name, is_count = _named(path)
        # There are hundreds of thousands of these on a large board: one piece a row, and numbers need no escape.
        cells = "".join(
            [f"<td>{number(value)}</td>" if is_count else f"<td>{100 * value:.2f}</td>" for value in numbers]
        )
        blocks.setdefault(title, []).append((name, Markup(cells.replace("nan", UNDEFINED))))
    return [{"title": title, "rows": rows} for title, rows in blocks.items()]


_KINDS = {
    "classification": "Accuracy on",
    "ood": "OOD detection:",
    "ood_groups": "OOD detection, mean of",
    "open_set": "Open set:",
}


@lru_cache(maxsize=10_000)
def _named(path: str) -> tuple[str, str, bool]:
    """Of a metric's path: what it is of, its name there, and whether it counts something."""
    kind, *parts = path.split(".")
    if len(parts) < 2:
        return "Others", path, parts[-1:] == ["rows"]
    title = f"{_KINDS.get(kind, kind.replace('_', ' '))} {parts[0]}"
    name = " · ".join(item for item in parts[1:] if item != "detectors").replace("_", " ")
    return title, name, parts[-1] in _COUNTS


def origin_of(entry: Entry) -> list[tuple[str, list[Fact], bool]]:
    """Tables of facts: a title, its facts, and whether they are long."""
    submission = entry.submission
    setting = submission.setting
    training: list[Fact] = [
        ("backbone", setting.backbone, ""),
        ("pre-training", "none: from scratch" if setting.from_scratch else setting.pretraining, ""),
        ("captions", setting.captions, ""),
        ("training set", setting.training_set, ""),
        ("auxiliary data", setting.auxiliary_data or "none", ""),
    ]
    runs = submission.runs
    digests: list[Fact] = [("submission", entry.digest, "")]
    digests += _by_seed("predictions", runs, lambda run: run.predictions.sha256, _address)
    for key in ("checkpoint", "recipe", "definition"):
        digests += _by_seed(key, runs, partial(_stated, "digests", key))
    versions = [
        *_by_seed("model", runs, partial(_stated, "model", "name")),
        *_by_seed("predictions lie on", runs, lambda run: run.predictions.place),
        *_by_seed("openmmlo", runs, lambda run: run.result.get("openmmlo")),
        *_by_seed("device", runs, partial(_stated, "run", "device")),
    ]
    first = runs[0].result
    identity = part(first, "model", "identity")
    for key in list(identity if isinstance(identity, Mapping) else ())[:_MOST]:
        if not isinstance(identity[key], Mapping | list):
            versions += _by_seed(f"model: {_text(key)}", runs, partial(_of_identity, key))
    libraries = part(first, "run", "versions")
    if isinstance(libraries, Mapping):
        said = ", ".join(f"{_text(name)} {_text(value)}" for name, value in list(libraries.items())[:_MOST])
        versions.append(("libraries", said, ""))
    classifier = part(first, "classifier", "kind")
    protocol: list[Fact] = [
        ("benchmark", f"{submission.benchmark}, version {submission.benchmark_version}", ""),
        ("classifier", _text(classifier), ""),
        ("shot groups", _text(part(first, "benchmark", "shots")), ""),
        ("precision", _text(part(first, "protocol", "precision", "computed")), ""),
    ]
    return [
        ("Setting, as its authors state it", training, False),
        ("Protocol", protocol, False),
        ("Runs", versions, True),
        ("Digests (SHA-256)", digests, True),
    ]


def _stated(block: str, key: str, run: Run) -> Any:
    return part(run.result, block, key)


def _of_identity(key: str, run: Run) -> Any:
    return part(run.result, "model", "identity", key)


def _by_seed(
    key: str, runs: Sequence[Run], value: Callable[[Run], Any], address: Callable[[Run], str] = lambda run: ""
) -> list[Fact]:
    """What runs say of one thing: once where they agree, else for each seed; nothing where none says anything."""
    said = [(run, value(run)) for run in runs]
    if all(found is None for _, found in said):
        return []
    if len({str(found) for _, found in said}) == 1:
        return [(key, _text(said[0][1]), address(runs[0]))]
    return [(f"{key}, seed {run.seed}", _text(found), address(run)) for run, found in said]


def _of_mark(entry: Entry) -> list[str]:
    mark = entry.mark
    if mark is None:
        return []
    found = [f"Scored again by openmmlo {mark.openmmlo} on {mark.date}."]
    found += [
        f"Seed {item.seed} was run again on {item.date} ({item.device}): {100 * item.agreement:.2f} % of the predicted "
        f"classes agree; {item.metric} differs most, by {decimal(100 * item.difference, 2)} points."
        for item in mark.reproductions
    ]
    return found


def commands_of(entry: Entry) -> str:
    """Commands that give the numbers again, with what is a stranger's quoted."""
    submission = entry.submission
    lines = [
        "# the numbers from the predictions",
        f"openmmlo leaderboard rescore {submission.label}",
        "# the predictions from its authors' checkpoint, a seed each",
    ]
    for seed in submission.seeds:
        lines.append(f"openmmlo leaderboard reproduce {submission.label} --seed {seed} --weights CHECKPOINT")
    lines.append("# by hand, a seed each")
    for run in submission.runs:
        model = shlex.quote(_text(part(run.result, "model", "name")))
        lines.append(f"openmmlo eval --model {model} --benchmark {submission.benchmark} --seed {run.seed}")
    return "\n".join(lines)


def _warnings(runs: Iterable[Run]) -> list[str]:
    said = [_text(text) for run in runs for text in run.result.get("warnings", ())]
    said += [
        f"Not run: {_text(item.get('what'))}. {_text(item.get('reason'))}"
        for run in runs
        for item in run.result.get("not_run", ())
        if isinstance(item, Mapping)
    ]
    return list(dict.fromkeys(said))[: 2 * _MOST]


def _address(run: Run) -> str:
    place = run.predictions.place
    if place.kind == "board":
        return ""
    return f"https://huggingface.co/datasets/{place.repo}/blob/{place.revision}/{place.path}"


def _text(value: Any) -> str:
    """A value of a stranger's result as short text."""
    if value is None:
        return UNDEFINED
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
