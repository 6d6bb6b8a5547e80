"""The statistics come in; drawings of how often words are used, as written and masked, go out."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmmlo.building.function_words import FUNCTION_WORDS
from openmmlo.pages.charts import LogScale, Tick, dots, line
from openmmlo.pages.wording import part, share

TOP = 24
"""Words a list shows."""


@dataclass(frozen=True)
class Curves:
    """Rank against frequency on logarithmic axes: a path for each version, and their Zipf fits."""

    title: str
    raw: str
    masked: str
    raw_dots: str
    masked_dots: str
    raw_fit: str
    masked_fit: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    rows: list[tuple[str, Any, Any, str]]
    least: Any


def word_view(folder: Path, statistics: Mapping[str, Any] | None) -> dict[str, Any]:
    """Curves and top lists where the statistics are there; what the mask took away from ``word_counts.csv``."""
    counts = _counts(folder / "word_counts.csv")
    raw, masked = (part(statistics, "splits", "all", version) for version in ("raw", "masked"))
    curves = [_curves("Words", raw, masked), _curves("Nouns", part(raw, "nouns"), part(masked, "nouns"))]
    tops = [
        _top("Most frequent words", part(raw, "top"), part(masked, "top"), counts),
        _top("Most frequent nouns", part(raw, "nouns", "top"), part(masked, "nouns", "top"), counts),
        _removed(counts),
    ]
    return {
        "measured": statistics is not None,
        "curves": [item for item in curves if item],
        "tops": [item for item in tops if item],
        "wordnet": part(statistics, "wordnet"),
        "naming": _naming(statistics),
    }


def _curves(title: str, raw: Any, masked: Any) -> Curves | None:
    points, hidden = ([tuple(point) for point in part(block, "rank_frequency") or []] for block in (raw, masked))
    if not points and not hidden:
        return None
    ranks = max(rank for rank, _ in (*points, *hidden))
    most = max(count for _, count in (*points, *hidden))
    x, y = LogScale(0.8, max(10.0, ranks * 1.25)), LogScale(0.7, max(10.0, most * 1.6))
    facts = (
        ("in all", "tokens", "count"),
        ("different ones", "types", "count"),
        ("used once", "hapaxes", "count"),
        ("Gini coefficient", "gini", "decimal"),
        ("share of the top 20%", "pareto.tokens", "percent"),
        ("Zipf slope", "zipf.slope", "decimal"),
        ("R² of the fit", "zipf.r2", "decimal"),
    )
    return Curves(
        title=title,
        raw=line(points, x, y),
        masked=line(hidden, x, y),
        raw_dots=dots(points, x, y),
        masked_dots=dots(hidden, x, y),
        raw_fit=_fit(part(raw, "zipf"), x, y),
        masked_fit=_fit(part(masked, "zipf"), x, y),
        x_ticks=x.ticks(),
        y_ticks=y.ticks(),
        rows=[
            (label, part(raw, *path.split(".")), part(masked, *path.split(".")), kind) for label, path, kind in facts
        ],
        least=part(raw, "zipf", "least_count"),
    )


def _fit(zipf: Any, x: LogScale, y: LogScale) -> str:
    """The fitted line between the ranks it was fitted over: log10(count) = intercept + slope · log10(rank)."""
    needed = [part(zipf, key) for key in ("slope", "intercept", "first_rank", "last_rank")]
    if any(value is None for value in needed):
        return ""
    slope, intercept, first, last = needed
    return line([(rank, 10 ** min(intercept, 300.0) * rank**slope) for rank in (first, last)], x, y)


def _top(title: str, raw: Any, masked: Any, counts: Mapping[str, tuple[int, int]]) -> dict[str, Any] | None:
    if not raw:
        return None
    hidden = dict(masked or [])
    rows = []
    for word, count in raw[:TOP]:
        after = counts[word][1] if word in counts else hidden.get(word)
        rows.append((word, count, after))
    most = max(count for _, count, _ in rows)
    bars = [
        {
            "word": word,
            "raw": count,
            "raw_width": share(count / most),
            "masked_width": None if after is None else share(after / most),
            "label": f"{word}: {count:,} as written" + ("" if after is None else f", {after:,} masked"),
        }
        for word, count, after in rows
    ]
    return {"title": title, "rows": bars, "hidden": False}


def _removed(counts: Mapping[str, tuple[int, int]]) -> dict[str, Any] | None:
    """Words that stand behind masks most often, but for those that all sentences are built of ("pair of swords")."""
    hidden = [(word, raw - masked) for word, (raw, masked) in counts.items() if word not in FUNCTION_WORDS]
    rows = sorted((row for row in hidden if row[1] > 0), key=lambda row: (-row[1], row[0]))[:TOP]
    if not rows:
        return None
    most = rows[0][1]
    bars = [
        {"word": word, "raw": count, "raw_width": share(count / most), "label": f"{word}: hidden {count:,} times"}
        for word, count in rows
    ]
    return {"title": "What the masks hide", "rows": bars, "hidden": True}


def _counts(path: Path) -> dict[str, tuple[int, int]]:
    """Word -> occurrences as written and masked, over all splits; empty where the build left no such file."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["word"]: (int(row["raw"]), int(row["masked"]))
            for row in csv.DictReader(file)
            if row["raw"].isdecimal() and row["masked"].isdecimal()
        }


def _naming(statistics: Mapping[str, Any] | None) -> Any:
    naming = part(statistics, "splits", "train", "naming") or part(statistics, "splits", "all", "naming")
    return naming if part(naming, "spearman", "rho") is not None else None
