"""A built data set comes in; what its masked captions still give away of their class goes out, as JSON.

The masker finds names by its own rules; the audit also looks with others, or it would be blind where the masker is.
"""

from openmmlo.building.measures.audit.measure import measure_audit
from openmmlo.building.measures.audit.thresholds import Exceeded, exceeded, parse_limits

__all__ = ["Exceeded", "exceeded", "measure_audit", "parse_limits"]
