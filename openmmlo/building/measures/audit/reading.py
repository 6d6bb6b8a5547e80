"""The rows of a built data set come in, once; what each caption holds goes out as numbers a row."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from openmmlo.building.masking import KINDS, Kind, Lexicon, Masker
from openmmlo.building.masking.finder import ClassFinder, Spot
from openmmlo.building.measures.audit.disguises import Disguises, Seen
from openmmlo.building.measures.audit.sightings import Sightings
from openmmlo.building.word_counts import MASK_WORD, words
from openmmlo.records import MASK, OOD_LABEL

COLUMNS = ("sample_id", "label", "class_key", "caption", "masked_caption", "spans")

LEXICON_KINDS: tuple[Kind, ...] = get_args(Kind)
LEAKS = (*LEXICON_KINDS, "compound", "misspelling")
"""Kinds of leak, the narrowest first; bit ``1 << place`` stands for one."""

EXAMPLES = 5

PLACES: Mapping[str, int] = {kind: place for place, kind in enumerate(LEAKS)}
BITS: Mapping[str, int] = {kind: 1 << place for kind, place in PLACES.items()}


@dataclass
class Side:
    """What captions of one kind hold, as written or masked.

    Attributes:
        kinds: (N,) bits of LEAKS.
        others: (N,) spellings of other classes' names in each caption.
        found: kind -> (hash, row, text) of a few captions that hold it.
    """

    kinds: array[int] = field(default_factory=lambda: array("B"))
    others: array[int] = field(default_factory=lambda: array("H"))
    sightings: Sightings = field(default_factory=Sightings)
    found: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)

    def words_of(self, said: Iterable[str]) -> None:
        """Count the words of one caption."""
        self.sightings.words.update(set(said))

    def example(self, kind: str, row: int, text: str) -> None:
        """Keep a caption as an example, if its turn comes; which ones are kept is spread over the rows."""
        kept = self.found.setdefault(kind, [])
        item = (-spread(row), row, text)
        if len(kept) < EXAMPLES:
            heapq.heappush(kept, item)
        elif item > kept[0]:
            heapq.heapreplace(kept, item)

    def finish(self, owners: Any) -> None:
        """Add the disguises that are leaks to the kinds."""
        for row, _, seen in self.sightings.leaks(owners):
            if not self.kinds[row] & BITS[seen.kind]:
                self.kinds[row] |= BITS[seen.kind]
                self.example(seen.kind, row, seen.found)
        self.sightings.seen.clear()


def spread(row: int) -> int:
    """A number that tells rows apart and follows no order of theirs."""
    return (row + 1) * 2654435761 % (1 << 32)


@dataclass
class Words:
    """Words of captions as numbers of one vocabulary, caption after caption."""

    numbers: array[int] = field(default_factory=lambda: array("i"))
    ends: array[int] = field(default_factory=lambda: array("q"))

    def add(self, numbers: Iterable[int]) -> None:
        self.numbers.extend(numbers)
        self.ends.append(len(self.numbers))


class Vocabulary(defaultdict[str, int]):
    """Numbers words in the order in which they are first asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.default_factory = self.__len__


@dataclass
class Forms:
    """Captions in distribution that hold a form, anywhere and however often.

    Attributes:
        captions: letters of a form -> captions that hold it.
        inside: of them, those of a class that has the form at the level looked at.
        masked: (class key, letters of a form) -> captions of the class in which it stands for the class.
    """

    captions: Counter[str] = field(default_factory=Counter)
    inside: Counter[str] = field(default_factory=Counter)
    masked: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass
class Rows:
    """Everything that the audit keeps of N rows.

    Attributes:
        keys: classes of which the lexicon has a name.
        splits: (N,) places in the list of splits.
        labels: (N,) -1 is out of distribution.
        classes: (N,) places in ``keys``; -1 where the lexicon has no name of the class.
        lengths: (N,) words of each masked caption, each mask one.
        masks: (N,) masked spans.
        masks_in_ood, foreign_masks: masks in captions out of distribution, and those that hide no name of the class.
        words, hidden_words: all words of captions ``id`` and ``ood``, and those that masks hide.
        for_classifier: rows of which ``raw_texts`` and ``masked_texts`` hold the words; ``folds`` is what they are for.
    """

    keys: list[str]
    splits: array[int] = field(default_factory=lambda: array("h"))
    labels: array[int] = field(default_factory=lambda: array("i"))
    classes: array[int] = field(default_factory=lambda: array("i"))
    lengths: array[int] = field(default_factory=lambda: array("i"))
    masks: array[int] = field(default_factory=lambda: array("i"))
    masks_in_ood: int = 0
    foreign_masks: int = 0
    words: Counter[str] = field(default_factory=Counter)
    hidden_words: Counter[str] = field(default_factory=Counter)
    forms: Forms = field(default_factory=Forms)
    raw: Side = field(default_factory=Side)
    masked: Side = field(default_factory=Side)
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    for_classifier: array[int] = field(default_factory=lambda: array("q"))
    folds: array[int] = field(default_factory=lambda: array("b"))
    raw_texts: Words = field(default_factory=Words)
    masked_texts: Words = field(default_factory=Words)


class Reader:
    """Reads rows into a :class:`Rows`.

    Args:
        lexicon: of the data set.
        id_keys: keys of its classes in distribution.
        level: the mask level that the captions are masked at, or are to be.
        remask: masks captions anew at this level; None where the masked captions of the data set are read.
    """

    def __init__(self, lexicon: Lexicon, id_keys: Sequence[str], level: str, remask: Masker | None) -> None:
        self.disguises = Disguises(lexicon)
        self._finder = ClassFinder(lexicon, level=lexicon.levels[-1])
        self._id_keys = frozenset(id_keys)
        self._remask = remask
        self._hidden = KINDS[level]
        named = [key for key, forms in sorted(lexicon.entries.items()) if forms]
        self.rows = Rows(named)
        self._places = {key: place for place, key in enumerate(named)}

    def add(self, split: int, row: Mapping[str, Any], fold: int | None) -> None:
        """Read one row; ``fold`` is the classifier's, None where it does not use the row."""
        rows, text, key = self.rows, row["caption"], row["class_key"]
        ood = row["label"] == OOD_LABEL
        masked, spans = row["masked_caption"], [(span["start"], span["end"]) for span in row["spans"]]
        if self._remask is not None:
            caption = self._remask.mask(row["sample_id"], text, key, ood)
            masked, spans = caption.masked, list(caption.spans)
        rows.splits.append(split)
        rows.labels.append(row["label"])
        rows.classes.append(self._places.get(key, -1))

        said = words(text)
        left = words(masked) if masked != text else said
        group = "ood" if ood else "id"
        rows.words[group] += len(said)
        rows.hidden_words[group] += len(said) - len(left) + left.count(MASK_WORD)
        rows.lengths.append(len(left))
        rows.masks.append(len(spans))

        spots = self._finder.spots(text)
        own = own_spots(spots, key)
        if ood:
            rows.masks_in_ood += len(spans)
            rows.foreign_masks += sum(not any(a < spot.end and spot.start < b for spot in own) for a, b in spans)
        else:
            self._count_forms(key, spots, own)
        spots_left = self._finder.spots(masked) if masked != text else spots
        own_left = own_spots(spots_left, key) if masked != text else own
        bare, bare_left = blanked(text, key, own), blanked(masked, key, own_left)
        seen_left = self._look(rows.masked, key, masked, left, spots_left, own_left, bare_left, None)
        same = bare == bare_left.replace("[mask]s", "[mask]")
        self._look(rows.raw, key, text, said, spots, own, bare, seen_left if same else None)
        if fold is not None:
            rows.for_classifier.append(len(rows.labels) - 1)
            rows.folds.append(fold)
            rows.raw_texts.add(map(rows.vocabulary.__getitem__, said))
            rows.masked_texts.add(map(rows.vocabulary.__getitem__, left))

    def _look(
        self,
        side: Side,
        key: str,
        text: str,
        said: Sequence[str],
        spots: Sequence[Spot],
        own: Sequence[Spot],
        bare: str,
        seen: Sequence[Seen] | None,
    ) -> Sequence[Seen]:
        """Add one caption to a side; ``seen`` are the disguises in ``bare``, where they are known already."""
        row, bits = len(side.kinds), 0
        side.words_of(said)
        for spot in own:
            kind = spot.owners[key]
            if not bits & BITS[kind]:
                bits |= BITS[kind]
                side.example(kind, row, text[spot.start : spot.end])
        side.kinds.append(bits)
        others = [spot for spot in spots if spot.named and key not in spot.named]
        side.others.append(min(sum(self._names_another(spot, own) for spot in others), 65535) if others else 0)
        if key not in self._places:
            return ()
        side.sightings.classes[key] += 1
        if seen is None:
            seen = self.disguises.see(key, bare, set(said) if bare == text else set(words(bare)))
        side.sightings.seen += [(row, key, one) for one in seen]
        return seen

    def _names_another(self, spot: Spot, own: Sequence[Spot]) -> bool:
        """Whether a spot that is no name of the caption's class names one in distribution, outside its own names."""
        return not self._id_keys.isdisjoint(spot.named) and not any(
            one.start <= spot.start and spot.end <= one.end for one in own
        )

    def _count_forms(self, key: str, spots: Sequence[Spot], own: Sequence[Spot]) -> None:
        forms = self.rows.forms
        forms.captions.update({spot.joined for spot in spots})
        forms.inside.update({spot.joined for spot in spots if spot.owners.get(key) in self._hidden})
        forms.masked.update({(key, spot.joined) for spot in own if spot.owners[key] in self._hidden})


def own_spots(spots: Sequence[Spot], key: str) -> list[Spot]:
    """The spots of one class without those inside a spot of a narrower kind or of the same: of "great white shark" all,
    and not "shark" besides."""
    found = [spot for spot in spots if key in spot.owners]
    if len(found) < 2:
        return found
    ranked = sorted(found, key=lambda spot: (PLACES[spot.owners[key]], spot.start - spot.end, spot.start))
    kept: list[Spot] = []
    for spot in ranked:
        if not any(one.start <= spot.start and spot.end <= one.end for one in kept):
            kept.append(spot)
    return kept


def blanked(text: str, key: str, own: Sequence[Spot]) -> str:
    """The text with the names and inflections of its class masked."""
    spans = sorted((spot.start, spot.end) for spot in own if key in spot.named)
    pieces: list[str] = []
    done = 0
    for start, end in spans:
        if start >= done:
            pieces += text[done:start], MASK
        done = max(done, end)
    return "".join((*pieces, text[done:])) if spans else text
