"""Exact nearest neighbours of 10,000 queries in 50,000 × 768, k = 50, against faiss and torch used directly.

Peers: faiss's IndexFlatIP with all queries at once; a torch loop of float32 products into one buffer, 1,024 queries at
a time, and top-k. Both run once before the first pair, and the faster is the peer of all pairs. Its results must be
ours: cosines to float32 rounding, and rows wherever neighbours differ by more than that; otherwise the measurement ends
with an error. Banks: random directions, and clusters (a thousand loose, a hundred tight). The usual pattern is faiss
queried 200 at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
import torch
from measure import Line, interleaved, seconds

from openmmlo.evaluate.features.neighbour_prefilter import has_bfloat16
from openmmlo.evaluate.features.neighbours import nearest, unit

ROWS, QUERIES, SIZE, K = 50_000, 10_000, 768, 50
BLOCK = 1024
USUAL = 200
ROUNDING = 2e-6

Array = np.ndarray[Any, np.dtype[Any]]
Found = tuple[Array, Array]


def measure(pairs: int) -> list[Line]:
    """Four lines of ratios of time, peer over ours: three banks against the faster peer, one against batches of 200."""
    bar = 1.5 if has_bfloat16() else 1.0
    lines = []
    for name, clusters, noise in (
        ("random directions", 0, 0.0),
        ("1,000 loose clusters", 1000, 1.0),
        ("100 tight clusters", 100, 0.3),
    ):
        bank, queries = drawn(clusters, noise)
        lines.append(_line(f"Exact neighbours, 50,000 × 768, {name}", bank, queries, PEERS, bar, pairs))
    bank, queries = drawn(0, 0.0)
    usual = {"faiss, 200 queries at a time": lambda rows, asked: by_faiss(rows, asked, USUAL)}
    lines.append(_line("Exact neighbours, 50,000 × 768, random directions", bank, queries, usual, 4, pairs))
    return lines


def _line(
    name: str, bank: Array, queries: Array, peers: dict[str, Callable[[Array, Array], Found]], bar: float, pairs: int
) -> Line:
    found = nearest(bank, queries, K)
    times = {}
    for peer, search in peers.items():
        started = time.perf_counter()
        same(found.cosines, found.indices, *search(bank, queries), peer)
        times[peer] = time.perf_counter() - started
    fastest = min(times, key=lambda peer: times[peer])
    return interleaved(
        name,
        lambda: 1 / seconds(lambda: nearest(bank, queries, K)),
        lambda: 1 / seconds(lambda: peers[fastest](bank, queries)),
        peer_name=fastest,
        bar=bar,
        at_least=True,
        pairs=pairs,
        detail=lambda ours, theirs: f"{1 / ours:.2f} and {1 / theirs:.2f} s; {found.how}",
    )


def drawn(clusters: int, noise: float) -> tuple[Array, Array]:
    """Unit rows of a bank and of queries; ``noise`` is the length of what is added to a cluster's direction."""
    generator = np.random.default_rng(0)
    bank, queries = (generator.standard_normal((rows, SIZE), dtype=np.float32) for rows in (ROWS, QUERIES))
    if clusters:
        centres = unit(generator.standard_normal((clusters, SIZE), dtype=np.float32))
        for features in (bank, queries):
            features *= noise / SIZE**0.5
            features += centres[generator.integers(0, clusters, len(features))]
    return unit(bank), unit(queries)


def by_faiss(bank: Array, queries: Array, batch: int = QUERIES) -> Found:
    index = faiss.IndexFlatIP(bank.shape[1])
    index.add(bank)
    parts = [index.search(queries[start : start + batch], K) for start in range(0, len(queries), batch)]
    cosines, rows = zip(*parts, strict=True)
    return np.concatenate(cosines), np.concatenate(rows)


def by_torch(bank: Array, queries: Array) -> Found:
    rows, buffer = torch.from_numpy(bank), torch.empty((BLOCK, len(bank)))
    parts = [
        torch.mm(part, rows.T, out=buffer[: len(part)]).topk(K, dim=1)
        for part in torch.from_numpy(queries).split(BLOCK)
    ]
    cosines, places = torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])
    return cosines.numpy(), places.numpy()


PEERS: dict[str, Callable[[Array, Array], Found]] = {
    "faiss IndexFlatIP": by_faiss,
    "torch block GEMM + top-k": by_torch,
}


def same(cosines: Array, indices: Array, other: Array, places: Array, peer: str) -> None:
    """Raises RuntimeError where a peer finds other neighbours than ties within float32 rounding explain."""
    apart = np.diff(cosines, axis=1) < -ROUNDING  # between one neighbour and the next
    edge = np.zeros((len(cosines), 1), bool)
    alone = np.concatenate([~edge, apart], axis=1) & np.concatenate([apart, edge], axis=1)
    differ = int(((indices != places) & alone).sum())
    if differ or np.abs(cosines - other).max() > ROUNDING:
        raise RuntimeError(f"{peer}: {differ} neighbours differ, cosines by {np.abs(cosines - other).max():.2g}")
