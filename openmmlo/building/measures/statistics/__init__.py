"""A built data set comes in; how long the tails of its classes and words are goes out, as numbers.

``measure_statistics`` gives what ``openmmlo stats`` writes into stats.json; docs/statistics.md has every definition.
"""

from openmmlo.building.measures.statistics.measure import measure_statistics

__all__ = ["measure_statistics"]
