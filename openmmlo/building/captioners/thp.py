"""Captions by a T-hp checkpoint's own decoder: a pre-trained one describes images as its training captions do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from openmmlo.building.captioners.generation import Generation, generation
from openmmlo.building.captioners.loading import Dtype, resolve_dtype, worker_device
from openmmlo.errors import ConfigError, ModelError
from openmmlo.models.checkpoints import Checkpoint, all_files, locate
from openmmlo.records import MASK, Finding, Sample

if TYPE_CHECKING:
    from PIL.Image import Image

    from openmmlo.data.transforms import PillowTransform
    from openmmlo.models.thp.opening import Opened


@dataclass(frozen=True)
class Thp:
    """A T-hp checkpoint as captioner.

    Args:
        model: a known name (``thp-mini-pretrained``), a checkpoint's folder, or OWNER/NAME on the Hub.
        weights: file or folder of weights in place of those a known name stands for; a file of the release, too.
        revision: branch, tag or commit on the Hub.
        preset: ``greedy`` or ``lavis`` (five beams); the values after it override its own. No caption is longer than
            the model reads. ``min_length`` counts tokens and the end.
        dtype: ``auto`` is bfloat16 on accelerators and float32 on CPUs; weights stay float32.
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` (worker i takes device i) or ``cuda:N``.

    Its captions are in lower case. A model that was trained on masked captions writes ``[mask]``, too.
    """

    model: str = "thp-mini-pretrained"
    weights: Path | None = None
    revision: str | None = None
    preset: str = "greedy"
    num_beams: int | None = None
    max_new_tokens: int | None = None
    min_length: int | None = None
    repetition_penalty: float | None = None
    length_penalty: float | None = None
    dtype: Dtype = "auto"
    device: str = "auto"
    name: str = field(default="thp", init=False)
    _found: Checkpoint | None = field(default=None, init=False, repr=False, compare=False)
    _opened: Any = field(default=None, init=False, repr=False, compare=False)
    _about: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.dtype not in get_args(Dtype):
            raise ConfigError(f"dtype is {self.dtype!r}; expected one of {', '.join(get_args(Dtype))}.")
        self._generation()

    def identity(self) -> dict[str, Any]:
        """What decides the captions, the digest of the weights among it.

        Raises:
            ModelError: a checkpoint that cannot be had or cannot caption.
        """
        about = self._facts()
        return {
            "captioner": self.name,
            **about.identity,
            "preset": self.preset,
            "generation": {**self._generation().values(), "max_new_tokens": about.longest, "do_sample": False},
            "dtype": resolve_dtype(self.dtype, self.device),
            "image_backend": "pillow",
        }

    def check(self) -> list[Finding]:
        try:
            about = self._facts()
            resolve_dtype(self.dtype, self.device)
        except ModelError as error:
            return [Finding("error", str(error))]
        found = [Finding("ok", f"{about.identity['model']}: a T-hp checkpoint that captions")]
        if about.classes:
            found.append(
                Finding(
                    "warning",
                    f"{about.identity['model']} was fine-tuned to name classes; its decoder shares weights with what "
                    "was trained then, and did not follow",
                    "Caption with the checkpoint that it was fine-tuned from.",
                )
            )
        return found

    def prepare(self, sample: Sample, image: Image) -> Any:
        """(3, H, W) float32 pixels, normalised; H and W are the checkpoint's."""
        transform: PillowTransform = self._facts().transform
        return transform(image).numpy()

    def load(self, worker: int = 0) -> None:
        """Put the weights onto their device.

        Raises:
            ModelError: the checkpoint is not at hand, is damaged, or cannot caption.
        """
        self._model().model.to(worker_device(self.device, worker))

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        import numpy as np
        import torch

        if self._opened is None:
            self.load()
        opened, search = self._model(), self._generation()
        model = opened.model
        number = getattr(torch, resolve_dtype(self.dtype, self.device))
        pixels = torch.from_numpy(np.stack(prepared)).to(model.device)
        mixed = nullcontext() if number == torch.float32 else torch.autocast(model.device.type, dtype=number)
        with torch.inference_mode(), mixed:
            written = model.generate_captions(
                pixels,
                num_beams=search.num_beams,
                max_length=self._facts().longest,
                min_length=search.min_length,
                repetition_penalty=search.repetition_penalty,
                length_penalty=search.length_penalty,
            )
        return [_text(opened.tokenizer, row) for row in written.tolist()]

    def _generation(self) -> Generation:
        names = ("num_beams", "max_new_tokens", "min_length", "repetition_penalty", "length_penalty")
        return generation(self.preset, {name: getattr(self, name) for name in names})

    def _model(self) -> Opened:
        """The checkpoint, opened once in a process."""
        from openmmlo.models.thp.opening import NAMES, open_folder, open_named

        if self._opened is None:
            if self.model in NAMES:
                opened = open_named(self.model, self.weights)
            elif self.weights is not None:
                raise ModelError(
                    f"weights {self.weights.name!r} replace those of a known name, {', '.join(NAMES)}; {self.model!r} "
                    "is none. Leave weights out, or name the architecture."
                )
            else:
                opened = open_folder(all_files(self._checkpoint()))
            if "text decoder" in opened.lacks:
                raise ModelError(
                    f"{self.model!r} from {self.weights and self.weights.name!r} holds no text decoder, as fine-tuned "
                    "files of the release do not: it cannot caption. Name the pre-trained one."
                )
            self._keep("_opened", opened)
        found: Opened = self._opened
        return found

    def _facts(self) -> _About:
        """What is known of the checkpoint without holding its weights; it travels to the other processes."""
        if self._about is None:
            self._keep("_about", self._learn())
        found: _About = self._about
        return found

    def _learn(self) -> _About:
        from openmmlo.models.thp.encoder import configuration_digest, transform_of
        from openmmlo.models.thp.opening import NAMES
        from openmmlo.models.transformers_models import tokenizer_digest
        from openmmlo.models.weights import weights_digest

        opened = self._model()
        config = opened.model.config
        found = None if self.model in NAMES else self._checkpoint()
        identity = {
            "model": self.model if found is None else found.name,
            **({"commit": found.commit} if found is not None and found.commit else {}),
            "architecture": config.architecture,
            "weights": weights_digest(opened.model.state_dict()),
            "tokenizer": tokenizer_digest(opened.tokenizer),
            "configuration": configuration_digest(config),
        }
        longest = min(self._generation().max_new_tokens, opened.text_length - 1)
        return _About(identity, transform_of(config), longest, config.classes)

    def _checkpoint(self) -> Checkpoint:
        if self._found is None:
            self._keep("_found", locate(self.model, self.revision, {}))
        found: Checkpoint = self._found  # type: ignore[assignment]
        return found

    def _keep(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Options, and what was learnt of the checkpoint, so that preparing an image loads no weights."""
        kept = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**kept, "_opened": None}


@dataclass(frozen=True)
class _About:
    """What the captioner knows of its checkpoint.

    Attributes:
        identity: JSON values.
        transform: an image -> pixels.
        longest: tokens of a caption at most.
        classes: of its class head; 0 where it has none.
    """

    identity: dict[str, Any]
    transform: PillowTransform
    longest: int
    classes: int


def _text(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Tokens as text: marks are left out, but for the mask, which stands for a word."""
    marks = set(tokenizer.all_special_ids) - {tokenizer.mask_token_id}
    text: str = tokenizer.decode([token for token in tokens if token not in marks], clean_up_tokenization_spaces=True)
    return text.replace(tokenizer.mask_token, MASK).strip()
