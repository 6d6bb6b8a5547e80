"""Images come in; feature banks on disk, and the nearest neighbours in them, go out."""

from openmmlo.evaluate.features.bank import FeatureBank

__all__ = ["FeatureBank"]
