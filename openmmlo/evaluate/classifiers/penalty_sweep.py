"""The search for C of a linear probe, as CLIP does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

COARSE = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)
"""Decimal logarithms of C that are tried first."""

PER_DECADE = 8
"""Steps a decade that the search ends at."""

FALLS = 2


def sweep(score: Callable[[float], float], coarse: Sequence[float] = COARSE) -> tuple[float, dict[float, float]]:
    """The C with the best score, and the score of every C that was tried.

    Radford et al., ICML 2021 (arXiv:2103.00020), appendix A.3, which CoOp's linear probe follows: 10^-6 to 10^6 in
    steps of two decades, then half the step around the best, until there are eight steps a decade. Deviation: the
    coarse steps go upwards, and stop once two of them have scored below the best, for fits with a larger C take the
    longest and are not chosen. Of equally good ones the smaller C, which shrinks more, is taken.

    Args:
        score: C -> accuracy on validation samples; called in the order in which warm starts serve.
        coarse: rising, evenly spaced decimal logarithms.
    """
    tried: dict[float, float] = {}

    def best() -> float:
        return min(tried, key=lambda place: (-tried[place], place))

    for place in coarse:
        tried[place] = score(10.0**place)
        if sum(tried[later] < tried[best()] for later in tried if later > best()) >= FALLS:
            break
    step = (coarse[1] - coarse[0]) / 2 if len(coarse) > 1 else 0.0
    while step >= 1 / PER_DECADE:
        around = best()
        for place in (around - step, around + step):
            if coarse[0] <= place <= coarse[-1] and place not in tried:
                tried[place] = score(10.0**place)
        step /= 2
    return 10.0 ** best(), {10.0**place: tried[place] for place in sorted(tried)}
