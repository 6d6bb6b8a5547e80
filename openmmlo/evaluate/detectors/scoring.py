"""Fitted detectors score a bank together, block by block, so that every block is read once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.detectors import Fitted
from openmmlo.evaluate.detectors.rows import BLOCK_VALUES, blocks
from openmmlo.evaluate.detectors.stopwatch import Stopwatch
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head
from openmmlo.progress import Progress, Silent

Array = np.ndarray[Any, np.dtype[Any]]

Setting = tuple[str, float | None]
"""A detector's name, and the value it is tried with where it is tried with several."""


def score_bank(
    fitted: Mapping[Setting, Fitted],
    bank: FeatureBank,
    head: Head,
    watch: Stopwatch | None = None,
    block_values: int = BLOCK_VALUES,
    progress: Progress | None = None,
    lenient: bool = False,
) -> dict[Setting, Array]:
    """(N,) float64 scores of a bank by every fitted detector; ``lenient`` leaves out those that give no numbers.

    Raises:
        DataError: scores that are NaN or infinite; detector, bank and count are named.
    """
    watch, progress = watch or Stopwatch(), progress or Silent()
    scores: dict[Setting, Array] = {setting: np.empty(len(bank)) for setting in fitted}
    for rows in blocks(bank, head, watch, block_values):
        for setting, fit in fitted.items():
            with watch.of(setting[0]), np.errstate(all="ignore"):  # what overflows is counted below
                given = np.asarray(fit.score(rows))
            if given.shape != (len(rows),):
                raise DataError(
                    f"Detector {_told(setting)} gave scores of shape {given.shape} for {len(rows):,} rows; "
                    "expected one each."
                )
            scores[setting][rows.span] = given
        progress.advance(len(rows), 0)
    for setting, found in scores.items():
        strange = int(np.count_nonzero(~np.isfinite(found)))
        if strange and not lenient:
            raise DataError(
                f"Detector {_told(setting)}: {strange:,} of {len(bank):,} scores of {bank.name!r} are NaN or "
                "infinite, though its features are finite. Expected a number for every image; leave the detector "
                "out, or look at the size of the features and of the head's weights."
            )
    return {setting: found for setting, found in scores.items() if np.isfinite(found).all()}


def _told(setting: Setting) -> str:
    name, value = setting
    return name if value is None else f"{name} at {value:g}"
