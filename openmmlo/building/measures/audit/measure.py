"""The audit of a built data set, one value for audit.json."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmmlo import __version__
from openmmlo.building.masking import LEVELS, Lexicon, Masker
from openmmlo.building.measures.audit.classifier import Texts, classifier_table
from openmmlo.building.measures.audit.leaks import (
    counted_kinds,
    group_flags,
    leak_tables,
    leaking,
    other_class_table,
    worst_classes,
)
from openmmlo.building.measures.audit.over_masking import over_masking
from openmmlo.building.measures.audit.reading import COLUMNS, LEAKS, Reader, Rows
from openmmlo.building.measures.audit.shortcuts import shortcut_table
from openmmlo.data import BuiltDataset
from openmmlo.errors import DataError, UnknownName
from openmmlo.progress import Progress, Silent
from openmmlo.records import OOD_LABEL, shot_group

FORMAT = 1

FOLDS = 5

TESTED = ("test", "val")
"""Splits that the classifier is tested on and that stand for in distribution, the first that is there."""

_BATCH = 5_000

Flags = NDArray[np.bool_]


def measure_audit(
    dataset: BuiltDataset,
    level: str | None = None,
    progress: Progress | None = None,
    splits: Sequence[str] = (),
) -> dict[str, Any]:
    """What masked captions still give away, what the masks hide without need, and what their number alone tells.

    docs/audit.md defines every number.

    Args:
        level: captions are masked anew at this level, with the data set's own lexicon, and nothing is written; the
            masks that the data set holds are read where None.
        splits: read only these; all where empty.

    Raises:
        DataError: a file or the lexicon is missing or damaged, or the lexicon lacks the level.
        UnknownName: no such level or split.
    """
    progress = progress or Silent()
    for split in splits:
        if split not in dataset.splits:
            raise UnknownName("split", split, dataset.splits)
    if level is not None and level not in LEVELS:
        raise UnknownName("mask level", level, LEVELS)
    built = str(dataset.manifest["masking"]["level"])
    lexicon = _lexicon(dataset)
    id_keys = [item.key for item in dataset.info.classes]
    remask = Masker(lexicon, id_keys, level) if level not in (None, built) else None
    level = level or built
    lexicon.levels_up_to(level)
    reader = Reader(lexicon, id_keys, level, remask)
    read = tuple(split for split in dataset.splits if not splits or split in splits)
    trained_on, tested_on = _parts(dataset, read)
    progress.start(sum(map(dataset.rows, read)), 0)
    try:
        for place, split in enumerate(read):
            for batch in dataset.batches(split, COLUMNS, _BATCH):
                for row in batch.to_pylist():
                    reader.add(place, row, _fold(row, split, trained_on, tested_on))
                progress.advance(batch.num_rows, 0)
        progress.say("comparing words and classes")
        table = _table(dataset, lexicon, reader, level, read, (trained_on, tested_on), remask)
        return {key: _rounded(value) for key, value in table.items()}
    finally:
        progress.close()


def _table(
    dataset: BuiltDataset,
    lexicon: Lexicon,
    reader: Reader,
    level: str,
    read: Sequence[str],
    parts: tuple[str | None, str | None],
    remask: Masker | None,
) -> dict[str, Any]:
    rows = reader.rows
    for side in (rows.raw, rows.masked):
        side.finish(reader.disguises.owners)
    labels = np.frombuffer(rows.labels, np.int32)
    classes = np.frombuffer(rows.classes, np.int32)
    of_split = np.frombuffer(rows.splits, np.int16)
    splits = {name: of_split == place for place, name in enumerate(read)}
    groups = group_flags(dataset, labels)
    known = classes >= 0
    names = {item.key: item.name for item in (*dataset.info.classes, *dataset.info.ood_classes)}
    outside = labels == OOD_LABEL
    reference = parts[1] if parts[1] is not None and (splits[parts[1]] & ~outside).any() else None
    inside = ~outside & splits[reference] if reference is not None else ~outside
    scores: dict[str, ArrayLike] = {
        "caption_length": np.frombuffer(rows.lengths, np.int32),
        "mask_count": np.frombuffer(rows.masks, np.int32),
        "class_names": np.frombuffer(rows.masked.others, np.uint16),
    }
    captions = Counter(
        {
            rows.keys[place]: int(count)
            for place, count in enumerate(np.bincount(classes[known & ~outside], minlength=len(rows.keys)))
            if count
        }
    )
    return {
        "format": FORMAT,
        "openmmlo": __version__,
        "dataset": dataset.digest,
        "level": level,
        "built_level": dataset.manifest["masking"]["level"],
        "lexicon_hash": lexicon.level_hash(level),
        "lexicon_version": lexicon.version,
        "lexicon_levels": list(lexicon.levels),
        "splits": list(read),
        "counted": list(counted_kinds(level)),
        "masks": _masks(rows, splits),
        "leaks": leak_tables(rows.masked, level, lexicon.levels, known, splits, groups),
        "unmasked": leak_tables(rows.raw, level, lexicon.levels, known, splits, groups),
        "worst_classes": worst_classes(leaking(rows.masked, level), classes, rows.keys, names),
        "examples": _examples(dataset, rows, read, remask),
        "other_classes": other_class_table(rows.masked, labels, groups),
        "over_masking": over_masking(rows, lexicon, level, captions, names),
        "classifier": _classifier(dataset, rows, labels, parts),
        "shortcuts": shortcut_table(scores, inside, outside, splits, reference or "all"),
    }


def _lexicon(dataset: BuiltDataset) -> Lexicon:
    path = dataset.folder / "lexicon.json"
    try:
        return Lexicon.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}), and it holds the names that the audit looks for. "
            "Run the build command again, or fetch the data set anew."
        ) from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _parts(dataset: BuiltDataset, read: Sequence[str]) -> tuple[str | None, str | None]:
    """The split that the classifier learns from, and the one it is tested on; None where it is not there."""
    filled = [split for split in read if set(dataset.label_counts(split)) - {OOD_LABEL}]
    tested = next((split for split in TESTED if split in filled), None)
    return ("train" if "train" in filled else None), tested


def _fold(row: Mapping[str, Any], split: str, trained_on: str | None, tested_on: str | None) -> int | None:
    """0 to learn from and -1 to test on; one of five by the sample's id where there is only one split for both."""
    if row["label"] == OOD_LABEL:
        return None
    if trained_on is not None and tested_on is not None:
        return {trained_on: 0, tested_on: -1}.get(split)
    if split != (trained_on or tested_on or split):
        return None
    return hashlib.sha256(row["sample_id"].encode("utf-8", "surrogatepass")).digest()[0] % FOLDS


def _classifier(
    dataset: BuiltDataset, rows: Rows, labels: NDArray[np.int32], parts: tuple[str | None, str | None]
) -> dict[str, Any]:
    trained_on, tested_on = parts
    both = trained_on is not None and tested_on is not None
    folds = f"{FOLDS} folds of {trained_on or tested_on or 'all splits'}"
    counts = dataset.class_counts
    groups = {label: shot_group(count) for label, count in enumerate(counts)} if any(counts) else {}
    return classifier_table(
        Texts.of(rows.raw_texts),
        Texts.of(rows.masked_texts),
        labels[np.frombuffer(rows.for_classifier, np.int64)].astype(np.int64),
        np.frombuffer(rows.folds, np.int8).astype(np.int64),
        str(trained_on) if both else folds,
        str(tested_on) if both else folds,
        groups,
        len(rows.vocabulary),
    )


def _masks(rows: Rows, splits: Mapping[str, Flags]) -> dict[str, Any]:
    """How many captions carry a mask, in distribution and out of it, side by side; and in each split."""
    masks = np.frombuffer(rows.masks, np.int32)
    outside = np.frombuffer(rows.labels, np.int32) == OOD_LABEL

    def block(here: Flags) -> dict[str, Any] | None:
        captions, masked = int(here.sum()), int((here & (masks > 0)).sum())
        if not captions:
            return None
        each = float(masks[here].mean())
        return {"captions": captions, "masked": masked, "rate": masked / captions, "masks_per_caption": each}

    return {
        "id": block(~outside),
        "ood": block(outside),
        "splits": {name: {"id": block(here & ~outside), "ood": block(here & outside)} for name, here in splits.items()},
    }


def _examples(dataset: BuiltDataset, rows: Rows, read: Sequence[str], remask: Masker | None) -> list[dict[str, Any]]:
    """Captions that leak, by kind, read once more."""
    wanted = {row for found in rows.masked.found.values() for _, row, _ in found}
    quoted: dict[int, dict[str, Any]] = {}
    number = 0
    for split in read:
        for batch in dataset.batches(split, COLUMNS, _BATCH) if wanted else ():
            for row in sorted(row for row in wanted if number <= row < number + batch.num_rows):
                (value,) = batch.slice(row - number, 1).to_pylist()
                text = value["masked_caption"]
                if remask is not None:
                    ood = value["label"] == OOD_LABEL
                    text = remask.mask(value["sample_id"], value["caption"], value["class_key"], ood).masked
                quoted[row] = {"split": split, "text": text} | {key: value[key] for key in ("sample_id", "class_key")}
            number += batch.num_rows
    return [
        {
            "sample_id": quoted[row]["sample_id"],
            "split": quoted[row]["split"],
            "class_key": quoted[row]["class_key"],
            "kind": kind,
            "found": _as_written(text, quoted[row]["text"]),
            "text": quoted[row]["text"],
        }
        for kind in LEAKS
        for _, row, text in sorted(rows.masked.found.get(kind, ()), reverse=True)
    ]


def _as_written(found: str, text: str) -> str:
    """What was found in the letter case of the caption, where lowering that keeps its length."""
    start = text.lower().find(found.lower())
    return text[start : start + len(found)] if start >= 0 and len(text.lower()) == len(text) else found


def _rounded(value: Any) -> Any:
    """A JSON value with every float cut to six decimals, so that two machines write the same."""
    if isinstance(value, float):
        return round(float(value), 6)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
