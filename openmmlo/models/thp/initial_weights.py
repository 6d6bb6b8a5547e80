"""Weights that others trained, as a start: BERT's for the text part, timm's for the image part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from openmmlo.errors import ModelError
from openmmlo.models.checkpoints import require_files
from openmmlo.models.weights import read_weights

if TYPE_CHECKING:
    import torch

    from openmmlo.models.thp.model import ThpModel

WEIGHTS = ("model.safetensors", "pytorch_model.bin")

_WORDS = "embeddings.word_embeddings.weight"
_POSITIONS = "embeddings.position_embeddings.weight"
_SENTENCES = "embeddings.token_type_embeddings.weight"


def load_bert(model: ThpModel, state: Mapping[str, torch.Tensor]) -> None:
    """Put a BERT's weights into the text part: embeddings, both self-attentions, networks, and the language head.

    Args:
        state: of transformers' ``BertModel`` or ``BertForPreTraining``, of the model's width and depth. Words that
            BERT does not know ([DEC], [ENC]) keep their random vectors, and so does the cross-attention; positions
            beyond the model's are left out. The vector of BERT's first sentence, which every text here is, is added
            to the positions, so that texts without image read as in BERT.

    Raises:
        ModelError: a weight is missing or of another shape.
    """
    import torch

    given = {_plain(name): tensor for name, tensor in state.items()}
    absent = [name for name in (_WORDS, _POSITIONS, _SENTENCES) if name not in given]
    if absent:
        raise ModelError(f"These are no weights of a BERT: {', '.join(absent)} is missing.")
    positions = given[_POSITIONS] + given[_SENTENCES][0]
    given[_POSITIONS] = positions[: model.config.text_length]
    with torch.no_grad():
        for name, parameter in model.text.named_parameters():
            if ".crossattention." not in name:
                source = name.replace(".causal_attention.", ".attention.")
                words = model.config.vocab_size if name == _WORDS else None
                _fill(parameter, given, source, words)
        if "cls.predictions.bias" in given:
            for name, parameter in model.language_head.named_parameters():
                words = model.config.vocab_size if name == "bias" else None
                _fill(parameter, given, f"cls.predictions.{name}", words)


def _plain(name: str) -> str:
    """A weight's name without the prefix of a model around BERT, in today's spelling of norms."""
    name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name))
    return name.removeprefix("bert.")


def _fill(parameter: torch.Tensor, given: Mapping[str, torch.Tensor], source: str, words: int | None) -> None:
    """Copy one weight; of a table with a row a word, as many rows as were given."""
    tensor = given.get(source)
    rows = parameter if tensor is None or words is None else parameter[: len(tensor)]
    if tensor is None or tensor.shape != rows.shape:
        found = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
        raise ModelError(
            f"BERT's weight {source} {found}; expected {tuple(parameter.shape)}. The text part must have BERT's width "
            "and depth, at least its words, and at most its positions."
        )
    rows.copy_(tensor)


def fetch_bert(name: str = "bert-base-uncased") -> dict[str, torch.Tensor]:
    """State of a BERT in a folder, in the cache or on the Hub. Raises ModelError where it is not at hand."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    folder = Path(name).expanduser()
    if folder.is_dir():
        for file in WEIGHTS:
            if (folder / file).is_file():
                return read_weights(folder / file)
        raise ModelError(f"Folder {name!r} holds none of {', '.join(WEIGHTS)}.")
    require_files(name, WEIGHTS)
    for file in WEIGHTS:
        cached = try_to_load_from_cache(name, file)
        if isinstance(cached, str):
            return read_weights(Path(cached))
    return read_weights(Path(hf_hub_download(name, WEIGHTS[0])))


def load_timm(model: ThpModel, file: Path | None = None) -> None:
    """Put timm's pretrained weights into the image part; positions are resampled to the image size by timm.

    Args:
        file: weights of the same timm model at hand, in place of those on the Hub.

    Raises:
        ModelError: no such weights, or they are not at hand.
    """
    import timm

    from openmmlo.models.thp.image_encoder import create_network

    name, options = model.config.image_encoder, model.config.image_options
    if file is None:
        settings = timm.get_pretrained_cfg(name)
        if settings is None or not settings.hf_hub_id:
            raise ModelError(f"timm has no pretrained weights for {name!r} on the Hub; name a file of them.")
        require_files(settings.hf_hub_id, WEIGHTS)
        more = {}
    else:
        state = read_weights(file)
        more = {"pretrained_cfg_overlay": {"state_dict": state}}
    network = create_network(name, options, pretrained=True, **more)
    model.image_encoder.network.load_state_dict(network.state_dict())
