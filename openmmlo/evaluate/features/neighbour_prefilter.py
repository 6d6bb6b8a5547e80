"""Candidates from fast, inexact products, with a bound on how inexact they are.

Write a bank row b as μ + b' and let q̃ and b̃ be q and b' rounded to bfloat16 or float32. Then q·b = q·μ + q·b', and

    |q·b' - q̃·b̃| = |q·(b' - b̃) + (q - q̃)·b̃| ≤ ‖q‖ ‖b' - b̃‖ + ‖q - q̃‖ ‖b̃‖                    (Cauchy-Schwarz)

where all four norms are computed. To it come the accumulation in float32, of any order, below 2(D+4)u‖q̃‖‖b̃‖ with
u = 2^-24 (the factor 2 allows for units that truncate), and the rounding of the stored product. μ is the bank's mean:
q·μ is the same for all rows and cancels out of the order, and a bank that sits in a cone loses most of its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from openmmlo.evaluate.features.neighbour_rescoring import Candidates

Array = np.ndarray[Any, np.dtype[Any]]

BANK_ROWS = 65_536
QUERY_ROWS = 512
CONVERTED_ROWS = 1024  # fits a cache
KEPT_BYTES = 2**29
MEAN_ROWS = 8192
CHUNK = 16
TINY = 1e-30  # more than all underflow together
OUTPUT = {"bfloat16": 2.0**-8, "float32": 0.0}  # relative rounding of a stored product, beyond the accumulation


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware, and torch was built to use it."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return torch.backends.mkldnn.is_available() and ("avx512_bf16" in flags or "amx_bf16" in flags)


class Prefilter:
    """A bank in the form that is fast to multiply.

    Args:
        bank: (N, D) float16 or float32.
        precision: of the products.
        device: where they are computed.
    """

    def __init__(self, bank: Array, precision: str, device: str) -> None:
        self.bank, self.precision, self.device = bank, precision, torch.device(device)
        self.dtype = getattr(torch, precision)
        self.kept = len(bank) * bank.shape[1] * self.dtype.itemsize <= KEPT_BYTES
        places = np.unique(np.linspace(0, len(bank) - 1, min(MEAN_ROWS, len(bank))).astype(np.int64))
        self.mean = torch.from_numpy(np.asarray(bank[places], dtype=np.float32)).mean(dim=0)
        self.mean_norm = float(self.mean.double().norm())
        self.residual = self.length = 0.0
        self._blocks: list[torch.Tensor] = []
        self._scores = torch.empty(0, dtype=self.dtype, device=self.device)

    def candidates(self, queries: Array, k: int) -> Candidates:
        """queries (M, D) float32 -> more than k candidates a query, and their bounds."""
        width = min(2 * k + 32, len(self.bank))
        exact = torch.from_numpy(queries)
        rounded = exact.to(self.dtype)
        sent = rounded.to(self.device)
        values = torch.empty((len(queries), 0), device=self.device)
        rows = torch.empty((len(queries), 0), dtype=torch.int64, device=self.device)
        for start, size, block in self._read():
            found = [self._best(part, block, size, width) for part in sent.split(QUERY_ROWS)]
            values = torch.cat([values, torch.cat([item[0] for item in found])], dim=1)
            rows = torch.cat([rows, torch.cat([item[1] for item in found]) + start], dim=1)
            if values.shape[1] > width:
                values, places = values.topk(width, dim=1)
                rows = rows.gather(1, places)
        values, places = values.sort(dim=1, descending=True)
        rows = rows.gather(1, places)
        shift = (exact.double() @ self.mean.double())[:, None].numpy()
        estimate = values.double().cpu().numpy()
        error = self._error(exact, rounded)[:, None]
        upper = shift + estimate + OUTPUT[self.precision] * np.abs(estimate) + error
        return Candidates(rows.cpu().numpy(), upper, shift + estimate, width == len(self.bank))

    def _error(self, exact: torch.Tensor, rounded: torch.Tensor) -> Array:
        """(M,) float64 bound on |q·b' - q̃·b̃| for every row of the bank; the products' storing comes on top."""
        back = rounded.float()
        norms, lost, kept = (_norms(rows) for rows in (exact, exact - back, back))
        accumulated = 2 * (exact.shape[1] + 4) * 2.0**-24 * kept * self.length
        accumulated = accumulated + 2.01 * self._cut() * kept * self.length
        wide = 4 * (exact.shape[1] + 4) * 2.0**-53 * norms * (self.length + self.residual + self.mean_norm)
        bound: Array = (norms * self.residual + lost * self.length + accumulated + wide + TINY).numpy()
        return bound * (1 + 1e-9)

    def _cut(self) -> float:
        """Relative rounding of operands within a float32 product, where torch may multiply in a narrower format."""
        if self.dtype != torch.float32:
            return 0.0
        if self.device.type != "cpu":
            return 2.0**-10  # TF32; whether it is on can be set in several places
        setting = getattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision", "none")
        return 0.0 if setting in ("none", "ieee") else 2.0**-8

    def _read(self) -> Iterator[tuple[int, int, torch.Tensor]]:
        """First row, rows, and (rows padded to whole chunks, D) block of the bank in the fast form."""
        starts = range(0, len(self.bank), BANK_ROWS)
        if self._blocks:
            yield from (
                (start, min(BANK_ROWS, len(self.bank) - start), self._blocks[start // BANK_ROWS]) for start in starts
            )
            return
        for start in starts:
            size = min(BANK_ROWS, len(self.bank) - start)
            block = self._convert(start, size)
            if self.kept:
                self._blocks.append(block)
            yield start, size, block

    def _convert(self, start: int, size: int) -> torch.Tensor:
        padded = -(-size // CHUNK) * CHUNK
        block = torch.zeros((padded, self.bank.shape[1]), dtype=self.dtype)
        for first in range(0, size, CONVERTED_ROWS):
            stop = min(first + CONVERTED_ROWS, size)
            rows = torch.from_numpy(np.array(self.bank[start + first : start + stop], dtype=np.float32))
            centred = rows - self.mean
            narrow = block[first:stop].copy_(centred)
            lost = float(_norms(centred - narrow).max())
            length = float(_norms(narrow.float()).max())
            rounding = 2.0**-22 * (length + lost + self.mean_norm)  # of the two subtractions
            self.residual = max(self.residual, lost + rounding)
            self.length = max(self.length, length)
        return block.to(self.device)

    def _best(
        self, queries: torch.Tensor, block: torch.Tensor, size: int, width: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, w) float32 products and (B, w) places in the block of the w = min(width, size) largest, in any order."""
        padded = len(block)
        if self._scores.numel() < len(queries) * padded:
            self._scores = torch.empty(QUERY_ROWS * padded, dtype=self.dtype, device=self.device)
        scores = self._scores[: len(queries) * padded].view(len(queries), padded)
        torch.mm(queries, block.T, out=scores)
        scores[:, size:] = -torch.inf
        width = min(width, size)
        if width * CHUNK * 2 > padded or self.device.type != "cpu":
            values, places = scores[:, :size].float().topk(width, dim=1, sorted=False)
            return values, places
        return _by_chunks(scores, width)


def _norms(rows: torch.Tensor) -> torch.Tensor:
    """(N,) float64, not below the norms of float32 rows, whose squares float32 may round or lose to underflow."""
    above: torch.Tensor = rows.norm(dim=1).double() * (1 + 2.0**-10) + 2.0**-62 * rows.shape[1] ** 0.5
    return above


def _by_chunks(scores: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``width`` largest of each row: they lie in the ``width`` chunks with the largest maxima.

    A chunk is every (columns / CHUNK)-th column. Positive floats order like their bits read as integers, which
    processors compare several times as fast as bfloat16; where a negative one is reached, floats decide.
    """
    count, columns = len(scores), scores.shape[1] // CHUNK
    integers = scores.view(torch.int16 if scores.dtype == torch.bfloat16 else torch.int32).view(count, CHUNK, columns)
    chunks = integers.amax(dim=1).topk(width, dim=1, sorted=False).indices
    inside = integers.gather(2, chunks[:, None, :].expand(-1, CHUNK, -1)).flatten(1)
    values, places = inside.topk(width, dim=1, sorted=False)
    if int(values.min()) < 0:
        found = scores.float().topk(width, dim=1, sorted=False)
        return found.values, found.indices
    columns_found = chunks.gather(1, places % width) + places // width * columns
    return values.contiguous().view(scores.dtype).float(), columns_found
