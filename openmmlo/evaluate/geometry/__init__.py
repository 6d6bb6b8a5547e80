"""Feature banks, class embeddings and a head come in; angles in degrees and more of the space go out, as JSON."""

from openmmlo.evaluate.geometry.measure import measure_geometry

__all__ = ["measure_geometry"]
