"""Chosen rows come in, the gallery's data go out: captions in pieces, small images, rows of every class and split.

The budget is in bytes of the page. Captions of the most wanted rows come first; thumbnails have what is left, at the
largest step of the ladder at which one of every cell fits.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from openmmlo.building.report.captions import Piece, pieces
from openmmlo.building.report.selection import Cell, Pick, Survey, chosen_rows, survey
from openmmlo.building.report.thumbnails import LADDER, Step, thumbnails
from openmmlo.data import BuiltDataset
from openmmlo.pages.page import as_json
from openmmlo.progress import Progress, Silent
from openmmlo.records import OOD_LABEL, shot_group

GROUPS = ("many", "medium", "few", "ood")

MOST_CARDS = 9000
_ROWS_WANTED = 1200
"""How many rows a small data set shows, cells permitting: enough to browse, few enough for a light page."""
_MOST_PER_CELL = 48
_UNNAMED_PER_CELL = 96
_TEXT_SHARE = 0.42
"""Of the budget, for captions, where there are images to show as well."""
_PIXELS = 80_000_000
"""Of all thumbnails together, so that a page is drawn in seconds and opens at once."""
_LENGTHS = (1600, 600, 300, 200)
"""Characters of a caption at most, tried one after the other."""
_TRIAL = 24
"""Images whose thumbnails tell how many bytes a step of the ladder takes."""


@dataclass
class Card:
    """A row as the page shows it. ``image`` is base64 of a WebP, "" where there is no room, None where it is broken."""

    pick: Pick
    sample_id: str
    pieces: list[Piece]
    size: tuple[int, int]
    image: str | None = ""


@dataclass(frozen=True)
class Gallery:
    """What the page's gallery needs.

    Attributes:
        splits: names, in building order.
        classes: one entry a class, ``[key, name, group, rows per split]``; group is a place in GROUPS, or -1.
        cards: rows to show, in the order in which they are shown.
        with_images: whether the data set holds its images.
        step: how large thumbnails are; None without any.
    """

    splits: tuple[str, ...]
    classes: list[list[Any]]
    cards: list[Card]
    with_images: bool
    step: Step | None
    place_of: dict[tuple[int, str], int] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """JSON value for the page; a card is [class, split, sample_id, pieces, width, height, image]."""
        split_of = {split: place for place, split in enumerate(self.splits)}
        return {
            "splits": list(self.splits),
            "groups": list(GROUPS),
            "classes": self.classes,
            "withImages": self.with_images,
            "cards": [
                [
                    self.place_of[card.pick.cell.label, card.pick.cell.class_key],
                    split_of[card.pick.cell.split],
                    card.sample_id,
                    card.pieces,
                    *card.size,
                    card.image,
                ]
                for card in self.cards
            ],
        }


def class_table(dataset: BuiltDataset, counts: dict[Cell, int]) -> tuple[list[list[Any]], dict[tuple[int, str], int]]:
    """Every class with its rows per split, in label order, then the out-of-distribution ones by key.

    A shot group is known where the training counts are; -1 stands for an unknown one.
    """
    totals: dict[tuple[int, str], list[int]] = {}
    split_of = {split: place for place, split in enumerate(dataset.splits)}
    for cell, count in counts.items():
        row = totals.setdefault((cell.label, cell.class_key), [0] * len(split_of))
        row[split_of[cell.split]] += count
    known = any(dataset.class_counts)
    classes: list[list[Any]] = []
    place_of: dict[tuple[int, str], int] = {}
    for label, (item, count) in enumerate(zip(dataset.info.classes, dataset.class_counts, strict=True)):
        place_of[label, item.key] = len(classes)
        group = GROUPS.index(shot_group(count)) if known else -1
        classes.append([item.key, item.name, group, totals.pop((label, item.key), [0] * len(split_of))])
    names = {item.key: item.name for item in (*dataset.info.classes, *dataset.info.ood_classes)}
    for label, key in sorted(totals, key=lambda item: (item[0] != OOD_LABEL, item)):
        place_of[label, key] = len(classes)
        group = GROUPS.index("ood") if label == OOD_LABEL else -1
        classes.append([key, names.get(key, key), group, totals[label, key]])
    return classes, place_of


def make_gallery(dataset: BuiltDataset, budget: int, progress: Progress | None = None) -> Gallery:
    """Choose rows and bring them into ``budget`` bytes.

    Raises:
        DataError: a parquet file is missing or damaged.
    """
    progress = progress or Silent()
    with_images = bool(dataset.manifest["with_images"])
    cells = max(1, len(dataset.info.classes) * len(dataset.splits))
    found = survey(dataset, max(2, min(_MOST_PER_CELL, _ROWS_WANTED // cells)), _UNNAMED_PER_CELL)
    classes, place_of = class_table(dataset, found.counts)
    room = budget - len(as_json(classes).encode())
    cards = _cards(dataset, found, int(room * (_TEXT_SHARE if with_images else 1)))
    progress.start(len(cards), 0)
    step = None
    if with_images and cards:
        room -= sum(len(as_json([card.sample_id, card.pieces]).encode()) + 24 for card in cards)
        step = _add_images(dataset, cards, _first_round(found, cards), room, progress)
    progress.close()
    return Gallery(dataset.splits, classes, _mixed(cards), with_images, step, place_of)


def _cards(dataset: BuiltDataset, found: Survey, room: int) -> list[Card]:
    """Captions of the most wanted rows, as many as fit; cut shorter where one of each class would not fit else."""
    picks = list(found.picks[:MOST_CARDS])
    columns = ["sample_id", "caption", "masked_caption", "spans", "width", "height"]
    rows = dict(chosen_rows(dataset, picks, columns))
    once = sum(pick.turn == pick.rank == 0 for pick in picks)
    cards: list[Card] = []
    for longest in _LENGTHS:
        cards = list(_fitting((_card(pick, rows[pick], longest) for pick in picks), room))
        if len(cards) >= once:
            break
    return cards


def _card(pick: Pick, row: dict[str, Any], longest: int) -> Card:
    spans = [(span["start"], span["end"]) for span in row["spans"] or ()]
    text = pieces(row["caption"] or "", row["masked_caption"] or "", spans, longest)
    return Card(pick, row["sample_id"], text, (row["width"] or 0, row["height"] or 0))


def _fitting(cards: Iterable[Card], room: int) -> Iterator[Card]:
    for card in cards:
        room -= len(as_json([card.sample_id, card.pieces]).encode()) + 24
        if room < 0:
            return
        yield card


def _first_round(found: Survey, cards: list[Card]) -> int:
    """Cards that should have an image before quality counts: one of each cell, or what is usual for a small set."""
    once = sum(card.pick.turn == 0 for card in cards)
    return max(once, min(len(cards), _ROWS_WANTED))


def _add_images(dataset: BuiltDataset, cards: list[Card], wanted: int, room: int, progress: Progress) -> Step:
    """Give cards their thumbnails, the most wanted first, until the room is full."""
    trial = dict(_images(dataset, cards[: min(_TRIAL, wanted)]))
    chosen, size = LADDER[-1], 1.0
    for step in [step for step in LADDER if step.edge**2 * wanted <= _PIXELS] or LADDER[-1:]:
        made = [data for _, data in thumbnails(trial.items(), step)]
        size = mean([_encoded_size(data) for data in made] or [1])
        chosen = step
        if size * wanted <= room:
            break
    del trial
    # Nothing is decoded that the room is unlikely to hold; what does not fit in the end is left out, from the end.
    likely = cards[: max(1, min(len(cards), int(1.05 * room / size) + 1))]
    images: dict[Pick, str | None] = {}
    for pick, data in thumbnails(_images(dataset, likely), chosen):
        images[pick] = base64.b64encode(data).decode() if data else None
        progress.advance(1, 0 if data else 1)
    for card in likely:
        image = images[card.pick]
        room -= len(image or "")
        if room < 0:
            break
        card.image = image
    return chosen


def _mixed(cards: list[Card]) -> list[Card]:
    """Cards as readers see them: those with images first, each round by hash, so that classes and splits mix."""
    return sorted(
        cards, key=lambda card: (card.image == "", card.pick.turn, card.pick.key & 0xFFFFFFFF, card.pick.place)
    )


def _encoded_size(data: bytes | None) -> int:
    return len(data or b"") * 4 // 3 + 4


def _images(dataset: BuiltDataset, cards: list[Card]) -> Iterator[tuple[Pick, bytes]]:
    for pick, row in chosen_rows(dataset, [card.pick for card in cards], ["image"]):
        yield pick, (row["image"] or {}).get("bytes") or b""
