"""Kinds of leak a caption come in; how many captions leak goes out, by kind, split, shot group and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmmlo.building.masking import KINDS
from openmmlo.building.measures.audit.reading import BITS, LEAKS, LEXICON_KINDS, Side
from openmmlo.data import BuiltDataset
from openmmlo.records import OOD_LABEL, shot_group

GROUPS = ("many", "medium", "few", "ood")

WORST = 20

DISGUISES = ("compound", "misspelling")

Flags = NDArray[np.bool_]


def counted_kinds(level: str) -> tuple[str, ...]:
    """The kinds that are leaks at a mask level: what it promises to hide, and names in disguise."""
    return tuple(kind for kind in LEAKS if kind in DISGUISES or kind in KINDS[level])


def group_flags(dataset: BuiltDataset, labels: NDArray[np.int32]) -> dict[str, Flags]:
    """Group -> (N,) its rows. Without any training count no class is of a group but the out-of-distribution one."""
    counts = dataset.class_counts
    of_class = [GROUPS.index(shot_group(count)) if any(counts) else -1 for count in counts]
    group = np.array([*of_class, GROUPS.index("ood")], np.int64)[labels]  # label -1 takes the last
    return {name: group == place for place, name in enumerate(GROUPS)}


def leak_tables(
    side: Side,
    level: str,
    levels: Sequence[str],
    known: Flags,
    splits: Mapping[str, Flags],
    groups: Mapping[str, Flags],
) -> dict[str, Any]:
    """One block for each split and one for ``all``.

    Args:
        level: its kinds count as leaks.
        levels: of the lexicon; kinds that none of them holds are not looked for, and None.
        known: (N,) rows whose class has a name in the lexicon; the others are not looked at.
    """
    kinds = np.frombuffer(side.kinds, np.uint8)
    looked_for = [kind for kind in LEAKS if kind in DISGUISES or kind in KINDS[levels[-1]]]

    def block(rows: Flags) -> dict[str, Any]:
        here = kinds[rows & known]
        counted = counted_kinds(level)
        left = [kind for kind in LEXICON_KINDS if kind not in counted]
        return {
            "captions": len(here),
            "unknown": int((rows & ~known).sum()),
            "any": _share(here, counted),
            "left_by_level": _share(here, left) if set(left) <= set(looked_for) else None,
            "kinds": {kind: _share(here, [kind]) if kind in looked_for else None for kind in LEAKS},
        }

    every = np.ones(len(kinds), bool)
    return {
        name: {**block(rows), "groups": {group: block(rows & flags) for group, flags in groups.items()}}
        for name, rows in {**splits, "all": every}.items()
    }


def _share(kinds: NDArray[np.uint8], wanted: Sequence[str]) -> dict[str, Any]:
    captions = int(((kinds & sum(BITS[kind] for kind in wanted)) != 0).sum())
    return {"captions": captions, "rate": captions / len(kinds) if len(kinds) else None}


def leaking(side: Side, level: str) -> Flags:
    """(N,) captions that leak."""
    found: Flags = (np.frombuffer(side.kinds, np.uint8) & sum(BITS[kind] for kind in counted_kinds(level))) != 0
    return found


def worst_classes(leaks: Flags, classes: NDArray[np.int32], keys: Sequence[str], names: Mapping[str, str]) -> Any:
    """The classes that leak most, by the lower end of the 95 % Wilson interval of their rate."""
    known = classes >= 0
    captions = np.bincount(classes[known], minlength=len(keys))
    counts = np.bincount(classes[known & leaks], minlength=len(keys))
    rows = [
        {
            "class_key": keys[place],
            "name": names.get(keys[place], ""),
            "captions": int(captions[place]),
            "leaking": int(counts[place]),
            "rate": counts[place] / captions[place],
        }
        for place in np.flatnonzero(counts).tolist()
    ]
    rows.sort(key=lambda row: (-wilson(row["leaking"], row["captions"])[0], row["class_key"]))
    return rows[:WORST]


def wilson(count: int, total: int) -> tuple[float, float]:
    """95 % interval of a rate. Wilson, JASA 1927."""
    z = 1.959963984540054
    rate, spread = count / total, z * z / total
    centre = (rate + spread / 2) / (1 + spread)
    half = float(np.sqrt(rate * (1 - rate) * spread + spread * spread / 4) / (1 + spread))
    return max(0.0, centre - half), min(1.0, centre + half)


def other_class_table(side: Side, labels: NDArray[np.int32], groups: Mapping[str, Flags]) -> dict[str, Any]:
    """Captions that name a class in distribution which is not that of their image."""
    named = np.frombuffer(side.others, np.uint16) > 0

    def block(rows: Flags) -> dict[str, Any]:
        total, captions = int(rows.sum()), int((rows & named).sum())
        return {"of": total, "captions": captions, "rate": captions / total if total else None}

    inside = labels != OOD_LABEL
    return {
        **block(np.ones(len(labels), bool)),
        "id": block(inside),
        "groups": {name: block(rows) for name, rows in groups.items()},
    }
