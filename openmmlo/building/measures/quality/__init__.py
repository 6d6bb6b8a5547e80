"""Captions of a built data set come in; a card goes out that says what they are worth, head against tail.

How long they are, how many a text encoder cuts, how many repeat themselves, refuse, echo the prompt, or copy another.
"""

from openmmlo.building.measures.quality.measure import measure_quality

__all__ = ["measure_quality"]
