"""A built data set comes in; what its captions are worth goes out: the quality card, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmmlo import __version__
from openmmlo.building.machine import cores
from openmmlo.building.measures.quality.card import Evidence, card
from openmmlo.building.measures.quality.copies import Captions, Copies, across_classes, exact_copies, find_copies
from openmmlo.building.measures.quality.facts import Facts, Look, joined, prompt_echo
from openmmlo.building.measures.quality.pieces import Numbers
from openmmlo.building.measures.quality.reading import File, no_facts, quotations, read_facts
from openmmlo.building.measures.quality.truncation import AUTO, Limit, SlowTokens, described, find_tokenizers
from openmmlo.data import BuiltDataset
from openmmlo.progress import Progress, Silent
from openmmlo.records import shot_group

GROUPS = ("many", "medium", "few", "ood")

TRAIN = "train"

EXAMPLES = 3
"""So many captions are quoted for each defect, ..."""

CLUSTERS = 5
"""... and so many of the largest clusters of copies."""

SENTENCES = 0.5
"""Where fewer captions than this end as sentences do, the captioner writes none, and a missing end says nothing."""

_WORTH_PROCESSES = 50_000  # captions; fewer are done sooner than a second process has started

Flags = NDArray[np.bool_]


def measure_quality(
    dataset: BuiltDataset,
    tokenizer: str = AUTO,
    progress: Progress | None = None,
    *,
    tokens: int | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Measure the captions of a built data set; docs/quality.md says what each number is.

    Args:
        tokenizer: ``auto`` (every known text encoder whose tokenizer is on this machine), ``clip``, ``siglip``,
            ``bert``, or any tokenizer of transformers: its Hub name or a folder.
        tokens: how many tokens its encoder reads, where the tokenizer does not say or is to be overruled.
        workers: processes; as many as cores for large data sets, one for small ones, unless told otherwise.

    Raises:
        DataError: a file is missing or damaged.
        ConfigError, ModelError: no such tokenizer, or no limit known for it.
        WorkerDied: a process was killed.
    """
    progress = progress or Silent()
    limits, counters = find_tokenizers(tokenizer, tokens)
    prompt = dataset.manifest["captioner"].get("prompt")
    wanted = Look(counters, prompt if isinstance(prompt, str) else "")
    files: list[File] = [file for file in dataset.manifest["files"] if file["rows"]]
    total = sum(int(file["rows"]) for file in files)
    if workers is None:
        slow = any(isinstance(counter, SlowTokens) for counter in counters.values())  # each process would hold torch
        workers = 1 if slow or total < _WORTH_PROCESSES else cores()
    parts = [no_facts(wanted)]
    progress.start(total, 0)
    try:
        for part in read_facts(dataset, files, wanted, workers):
            parts.append(part)
            progress.advance(len(part.labels), 0)
        lengths = [len(part.labels) for part in parts[1:]]
        facts = joined(parts)
        parts.clear()  # a copy of everything
        progress.say("comparing the captions with each other")
        owners = [dataset.splits.index(file["split"]) for file in files]
        splits = np.repeat(np.array(owners, np.int64), np.array(lengths, np.int64))
        captions = _captions(facts, splits)
        copies = find_copies(captions, dataset.splits.index(TRAIN) if TRAIN in dataset.splits else None)
        evidence = _evidence(dataset, facts, captions, copies, wanted.prompt, limits)
        named = _clusters(dataset.splits, captions, copies)
        shown = {kind: np.flatnonzero(flags)[:EXAMPLES].tolist() for kind, flags in _seen(evidence)}
        rows = {row for _, row in named}.union(*shown.values())
        quoted = quotations(dataset, files, lengths, sorted(rows))
        every = np.ones(len(splits), bool)
        return {
            "format": 1,
            "openmmlo": __version__,
            "dataset": dataset.digest,
            "limits": described(limits),
            "groups": {"all": card(evidence, every)}
            | {name: card(evidence, rows) for name, rows in _groups(dataset, facts.labels).items()},
            "splits": {name: card(evidence, splits == place) for place, name in enumerate(dataset.splits)},
            "clusters": [cluster | quoted[row] for cluster, row in named],
            "examples": [{"kind": kind, **quoted[row]} for kind, found in shown.items() for row in found],
        }
    finally:
        progress.close()


def _captions(facts: Facts, splits: Numbers) -> Captions:
    known = np.array([place if key else -1 for place, key in enumerate(facts.keys)], np.int64)
    return Captions(facts.texts, splits, known[facts.class_keys], facts.bands, facts.minima, facts.shingles)


def _evidence(
    dataset: BuiltDataset, facts: Facts, captions: Captions, copies: Copies, prompt: str, limits: Sequence[Limit]
) -> Evidence:
    shares: dict[str, Flags | None] = dict(facts.defects)
    if not prompt_echo(prompt):
        shares["prompt_echoes"] = None
    sentences = facts.ended.mean() >= SENTENCES if len(facts.ended) else False
    shares["unfinished"] = ~facts.ended & ~facts.defects["empty"] if sentences else None
    shares["exact_duplicates"] = exact_copies(captions.texts, captions.splits)
    shares["near_duplicates"] = copies.near
    shares["across_classes"] = copies.across_classes
    shares["masked_duplicates"] = exact_copies(facts.masked_texts, captions.splits)
    shares["masked_across_classes"] = across_classes(facts.masked_texts, captions.classes)
    scope: dict[str, Flags] = {}
    shares["copies_of_train"] = None
    if TRAIN in dataset.splits:
        scope["copies_of_train"] = captions.splits != dataset.splits.index(TRAIN)
        shares["copies_of_train"] = copies.of_split & scope["copies_of_train"]
    return Evidence(facts, shares, scope, limits)


def _seen(evidence: Evidence) -> list[tuple[str, Flags]]:
    return [(kind, flags) for kind, flags in evidence.shares.items() if flags is not None]


def _groups(dataset: BuiltDataset, labels: Numbers) -> dict[str, Flags]:
    """Group -> (N,) its captions. Without any training count no class is of a group but the out-of-distribution one."""
    counts = dataset.class_counts
    of_class = [GROUPS.index(shot_group(count)) if any(counts) else -1 for count in counts]
    group = np.array([*of_class, GROUPS.index("ood")], np.int64)[labels]  # label -1 takes the last
    return {name: group == place for place, name in enumerate(GROUPS)}


def _clusters(splits: Sequence[str], captions: Captions, copies: Copies) -> list[tuple[dict[str, Any], int]]:
    """The largest clusters of copies, each with the number of its first row."""
    numbers, first, counts = np.unique(copies.cluster, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))[:CLUSTERS]
    found = []
    for place in order[counts[order] > 1].tolist():
        rows = np.flatnonzero(copies.cluster == numbers[place])
        per_split = np.bincount(captions.splits[rows], minlength=len(splits))
        classes = np.unique(captions.classes[rows])
        cluster = {
            "captions": len(rows),
            "texts": len(np.unique(captions.texts[rows])),
            "classes": int((classes >= 0).sum()),
            "splits": {name: int(count) for name, count in zip(splits, per_split, strict=True) if count},
        }
        found.append((cluster, int(first[place])))
    return found
