"""A built data set comes in; what its captions are worth goes out, as numbers in JSON files beside it.

``statistics`` counts words and classes, ``quality`` looks the captions over, ``audit`` asks what the masks let through.
Each reads rows in batches, gives a dict of JSON values that is the same for the same data, and begins with
``format``, ``openmmlo`` and ``dataset`` (the data set's digest), by which :mod:`~openmmlo.building.measures.store`
knows whether a file is of the data beside it. ``measure.py`` takes all of them after a build.
"""

from openmmlo.catalog import Catalog

MEASURES = Catalog(
    "measure",
    {
        "stats": "openmmlo.building.measures.statistics:measure_statistics",
        "quality": "openmmlo.building.measures.quality:measure_quality",
        "audit": "openmmlo.building.measures.audit:measure_audit",
    },
)
"""Name of the file -> ``measure(dataset, progress=...) -> dict``, in the order in which they are taken."""
