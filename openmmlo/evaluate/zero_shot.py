"""Zero-shot classification: text embeddings of class names become a linear head on unit image features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openmmlo.errors import ModelError
from openmmlo.evaluate.head import Head
from openmmlo.evaluate.prompts.writing import ClassNames, Prompts, write_prompts
from openmmlo.progress import Progress, Silent
from openmmlo.records import ClassInfo

if TYPE_CHECKING:
    from openmmlo.models.encoder import Encoder

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """A head, and what was chosen for it: templates, class names, how texts of a class were combined."""

    head: Head
    choices: dict[str, Any]


def zero_shot_head(
    encoder: Encoder,
    classes: Sequence[ClassInfo],
    templates: str = "photo",
    descriptors: Mapping[str, Sequence[str]] | Path | None = None,
    class_names: ClassNames = "own",
    batch_size: int = 256,
    progress: Progress | None = None,
) -> ZeroShot:
    """The head of :func:`head_from_prompts` for prompts as :func:`write_prompts` writes them."""
    prompts = write_prompts(classes, templates, descriptors, class_names)
    texts = [text for own in prompts.texts for text in own]
    head = head_from_prompts(encoder, prompts, batch_size, progress)
    choices = {**prompts.record, "scale": head.scale, "truncated": encoder.count_truncated(texts)}
    return ZeroShot(head, choices)


def head_from_prompts(
    encoder: Encoder, prompts: Prompts, batch_size: int = 256, progress: Progress | None = None
) -> Head:
    """A linear head of kind ``zero-shot``.

    Radford et al., Learning Transferable Visual Models, ICML 2021 (arXiv:2103.00020): unit embedding per text, mean
    over a class's texts, unit length again (for descriptors the mean is kept, see Prompts); logits are the model's
    scale times the inner product with unit image features.

    Raises:
        ModelError: the model reads no texts, or a text's embedding is zero or not finite; the text is named.
    """
    if "text" not in encoder.reads or encoder.logit_scale is None:
        raise ModelError(
            f"Model {encoder.name!r} does not compare images with texts, so it has no zero-shot head. "
            "Use a dual encoder (CLIP, SigLIP), or one of the other classifiers."
        )
    shown = progress or Silent()
    texts = list(dict.fromkeys(text for own in prompts.texts for text in own))
    cut = encoder.count_truncated(texts)
    if cut:
        shown.say(f"{cut:,} of {len(texts):,} prompts are longer than {encoder.name} reads; their ends are cut off.")
    rows = {text: row for row, text in enumerate(texts)}
    unit = _unit_embeddings(encoder, texts, batch_size, shown)
    weight = np.stack([unit[[rows[text] for text in own]].mean(axis=0) for own in prompts.texts])
    if prompts.renormalise:
        lengths = np.linalg.norm(weight, axis=1, keepdims=True)
        if (lengths < 1e-6).any():
            name = prompts.names[int(lengths.argmin())]
            raise ModelError(
                f"{encoder.name}: the embeddings of class {name!r} cancel out; their mean has no direction."
            )
        weight = weight / lengths
    return Head(
        "zero-shot",
        len(prompts.texts),
        weight=weight.astype(np.float32),
        unit_features=True,
        scale=encoder.logit_scale,
    )


def _unit_embeddings(encoder: Encoder, texts: list[str], batch_size: int, shown: Progress) -> Array:
    """(len(texts), D) float64 of unit length."""
    import torch

    shown.start(len(texts), 0)
    parts = []
    try:
        for start in range(0, len(texts), batch_size):
            batch = texts[start : start + batch_size]
            with torch.inference_mode():
                parts.append(encoder.encode_texts(batch).cpu().numpy().astype(np.float64))
            shown.advance(len(batch), 0)
    finally:
        shown.close()
    found = np.concatenate(parts)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    wrong = ~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0)
    if wrong.any():
        text = texts[int(wrong.argmax())]
        raise ModelError(
            f"{encoder.name}: the embeddings of {int(wrong.sum()):,} of {len(texts):,} prompts are zero or not finite "
            f"(first: {text!r}). Try dtype float32; else the checkpoint is damaged."
        )
    unit: Array = found / lengths
    return unit
