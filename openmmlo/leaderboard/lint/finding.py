"""What the linter says of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Origin = Literal["submission", "reported", "board"]

RULES: dict[str, str] = {
    "recombination": "Accuracies of the shot groups, weighted by the groups' sizes, give the mean over classes within "
    "0.1 points: what rounding to one decimal can explain.",
    "curve": "An AUROC lies between the bounds that an FPR95 on the same scores leaves it: 0.95 (1 - FPR95) and "
    "1 - 0.05 FPR95.",
    "training-set": "A row learned from its column's training set, or from no image.",
    "convention": "An FPR95 says which class is positive.",
    "seeds": "A submission that learned from images has at least three seeds; a paper says how many runs a number is "
    "the mean of.",
    "same-predictions": "No predictions file stands under two names or two seeds.",
    "tie": "No two rows have equal numbers, to all digits, in every measure of the test set.",
    "overlap": "No image that is tested was learned from, as far as lists and image hashes show.",
    "method": "The method that a row names is one of the leaderboard's.",
    "orphan": "Marks and predictions belong to a submission on the board.",
    "refused": "Every file on the board can be read.",
}
"""Rule -> what holds where it finds nothing."""


@dataclass(frozen=True)
class Finding:
    """One thing that cannot be, or that a reader must know.

    Attributes:
        rule: key of RULES.
        origin: whose row it is: ``submission`` findings make a check fail, ``reported`` ones are shown beside the row.
        benchmark, entry: of the row; empty where it is of a whole table or of the board.
        subject: how a person calls the row.
        text: what was found, with its numbers.
        residual: by how much, in points, where that is a number.
        note: nothing is wrong; the rule cannot be checked.
    """

    rule: str
    origin: Origin
    benchmark: str
    entry: str
    subject: str
    text: str
    residual: float | None = None
    note: bool = False

    @property
    def fails(self) -> bool:
        """Whether a check of the board fails for it."""
        return self.origin != "reported" and not self.note

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "fails": self.fails}
