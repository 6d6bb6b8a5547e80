"""Images that stand in two sets at once: what is in distribution cannot be out of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from openmmlo.evaluate.features.bank import FeatureBank


@dataclass(frozen=True)
class Overlap:
    """Images of an OOD set whose bytes are those of an image of an ID set.

    Attributes:
        id_set, ood_set: names.
        pairs: (ID sample_id, OOD sample_id) for each such OOD image, in its set's order; of several equal ID images
            the first.
        rows: images of the OOD set.
    """

    id_set: str
    ood_set: str
    pairs: tuple[tuple[str, str], ...]
    rows: int

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def line(self) -> str:
        """One line for a person, with an example."""
        known, unknown = self.pairs[0]
        return (
            f"{len(self):,} of {self.rows:,} images of {self.ood_set} are images of {self.id_set} too, "
            f"for example {unknown!r} is {known!r}"
        )


def overlap(banks_id: Iterable[FeatureBank], banks_ood: Iterable[FeatureBank]) -> tuple[Overlap, ...]:
    """Every pair of an ID and an OOD set that share images, by the SHA-256 of their bytes; empty where none do.

    Banks without digests (of texts alone) share nothing that could be seen.
    """
    known = [(bank, _first_places(bank)) for bank in banks_id]
    found = []
    for ood in banks_ood:
        if ood.sha256 is None:
            continue
        for bank, places in known:
            pairs = [
                (str(bank.sample_ids[places[digest]]), str(ood.sample_ids[row]))
                for row, digest in enumerate(ood.sha256)
                if digest in places
            ]
            if pairs:
                found.append(Overlap(bank.name, ood.name, tuple(pairs), len(ood)))
    return tuple(found)


def _first_places(bank: FeatureBank) -> dict[str, int]:
    places: dict[str, int] = {}
    for row, digest in enumerate(() if bank.sha256 is None else bank.sha256):
        places.setdefault(digest, row)
    return places
