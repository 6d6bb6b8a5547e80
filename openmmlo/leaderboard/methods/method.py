"""What a page says of a method: a paragraph, its paper and an entry for a bibliography."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Family = Literal[
    "loss", "sampler", "two-stage", "post-hoc", "ensemble", "representation", "vision-language", "ood-training",
    "ood-detector",
]  # fmt: skip

FAMILIES: dict[Family, str] = {
    "loss": "Losses and heads",
    "sampler": "Samplers",
    "two-stage": "Two stages",
    "post-hoc": "After training",
    "ensemble": "Several experts",
    "representation": "Representations",
    "vision-language": "Vision and language",
    "ood-training": "Training for OOD detection",
    "ood-detector": "OOD detectors",
}
"""Family -> its title, in the order of pages."""


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        key: kebab-case; submissions and reported rows name it.
        text: one paragraph in openmmlo's words: what is done, with which quantities.
        title, authors, venue, year, url: of the paper. Authors are full names.
        code: address of the authors' code, empty where none is public.
    """

    key: str
    name: str
    family: Family
    text: str
    title: str
    authors: tuple[str, ...]
    venue: str
    year: int
    url: str
    code: str = ""

    @property
    def arxiv(self) -> str:
        """Number on arXiv, empty where the link leads elsewhere."""
        found = re.fullmatch(r"https://arxiv\.org/abs/(\d{4}\.\d{4,5})", self.url)
        return found[1] if found else ""

    @property
    def citation(self) -> str:
        """Authors, title, venue and year in one line."""
        first = self.authors[0].split()[-1]
        who = f"{first} et al." if len(self.authors) > 2 else " and ".join(item.split()[-1] for item in self.authors)
        return f"{who}, {self.title}, {self.venue} {self.year}"

    @property
    def bibtex(self) -> str:
        """The entry of the paper; methods of one paper differ in its key alone."""
        kind, where = "inproceedings", "booktitle"
        if self.venue.startswith(("arXiv", "IJCV")):
            kind, where = "article", "journal"
        elif self.venue == "MIT Press":
            kind, where = "book", "publisher"
        fields = {
            "title": f"{{{self.title}}}",
            "author": " and ".join(self.authors),
            where: self.venue,
            "year": str(self.year),
            "url": self.url,
        } | ({"eprint": self.arxiv, "archivePrefix": "arXiv"} if self.arxiv else {})
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@{kind}{{{self.key},\n{lines}\n}}\n"
