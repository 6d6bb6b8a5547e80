"""Training counts come in, the drawing of the long tail goes out."""

from __future__ import annotations

from typing import Any

from openmmlo.data import BuiltDataset
from openmmlo.pages.charts import Tick, tail_bars, tail_scale
from openmmlo.records import shot_group

MEANINGS = {
    "many": "over 100 training images",
    "medium": "20 to 100",
    "few": "under 20",
    "ood": "out of distribution, label -1",
}


def tail(dataset: BuiltDataset, statistics: dict[str, Any] | None) -> dict[str, Any] | None:
    """Bars from the largest class to the smallest, the groups below them; None where no training count is known."""
    counts = dataset.class_counts
    if not any(counts):
        return None
    order = sorted(range(len(counts)), key=lambda label: (-counts[label], label))
    ordered = [counts[label] for label in order]
    groups = [shot_group(count) for count in ordered]
    scale = tail_scale(ordered)
    bars = tail_bars(ordered, groups, scale)
    size = len(ordered)
    return {
        "bars": bars,
        "ticks": scale.ticks(),
        "limits": [Tick(round(100 * scale.at(limit), 3), str(limit)) for limit in (20, 100) if limit < scale.high],
        "low": scale.low,
        "high": scale.high,
        "spans": [
            {
                "group": item.group,
                "meaning": MEANINGS[item.group],
                "start": round(100 * item.first / size, 3),
                "middle": round(100 * (item.first + item.count / 2) / size, 3),
                "width": round(100 * item.count / size, 3),
                "count": item.count,
                "images": sum(ordered[item.first : item.first + item.count]),
            }
            for item in bars
        ],
        "classes": size,
        "images": sum(ordered),
        "largest": dataset.info.classes[order[0]].name,
        "smallest": dataset.info.classes[order[-1]].name,
        "max": ordered[0],
        "min": ordered[-1],
        "training": (statistics or {}).get("training"),
    }
