"""Names of models come in; encoders of images and texts behind one door go out.

A name is a known one (``thp-vit-b``), has a known prefix (``hf:``, ``timm:``, ``open_clip:``), is a folder, or is
``package.module:factory``.
"""

from openmmlo.models.encoder import Classifier, Encoder, Encoding, Transform

__all__ = ["Classifier", "Encoder", "Encoding", "Transform"]
