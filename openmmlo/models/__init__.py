"""Names of models come in; encoders of images and texts behind one door go out.

A name is a known one (``pixels``, ``thp-vit-b``), has a known prefix (``hf:``, ``timm:``, ``open_clip:``), is a folder
with a checkpoint, or is ``package.module:factory``.
"""

from openmmlo.models.encoder import Classifier, Encoder, Encoding, Transform
from openmmlo.models.labels import LabelMatch, label_columns
from openmmlo.models.opening import MODELS, open_model

__all__ = ["MODELS", "Classifier", "Encoder", "Encoding", "LabelMatch", "Transform", "label_columns", "open_model"]
