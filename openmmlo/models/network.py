"""The encoder that every library's networks become: device, precision and gradients are decided here once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openmmlo.errors import ModelError
from openmmlo.models.checkpoints import first_line
from openmmlo.models.encoder import Classifier, Encoding, Reads, Transform
from openmmlo.models.launch import local_index
from openmmlo.models.loading import device_kind
from openmmlo.models.weights import weights_digest

if TYPE_CHECKING:
    import torch

PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, eq=False)
class TextReader:
    """How a network reads texts.

    Attributes:
        tokenize: texts -> arguments of ``encode``, padded and cut as the family was trained.
        encode: tokens on the network's device -> (B, D).
        lengths: texts -> tokens each has before it is cut, marks included.
        limit: tokens that are read.
        digest: of the tokenizer.
    """

    tokenize: Callable[[Sequence[str]], Mapping[str, torch.Tensor]]
    encode: Callable[[Mapping[str, torch.Tensor]], torch.Tensor]
    lengths: Callable[[Sequence[str]], Sequence[int]]
    limit: int
    digest: str


class NetworkEncoder:
    """An :class:`~openmmlo.models.encoder.Encoder` around one torch module.

    Args:
        name: what it was asked for.
        module: holds all weights; put into eval mode, without gradients of weights.
        transform: of a model that reads no images it is never called.
        facts: what decides a feature beside weights and texts: library, architecture, configuration, revision.
        images: pixels -> Encoding, or None.
        texts: or None.
        pairs: pixels and the tokens of their captions -> Encoding, or None; the captions are tokenized by ``texts``.
        remarks: what is to be known beside its numbers.
    """

    def __init__(
        self,
        name: str,
        module: torch.nn.Module,
        transform: Transform,
        facts: Mapping[str, Any],
        images: Callable[[torch.Tensor], Encoding] | None = None,
        texts: TextReader | None = None,
        classifier: Classifier | None = None,
        logit_scale: float | None = None,
        pairs: Callable[[torch.Tensor, Mapping[str, torch.Tensor]], Encoding] | None = None,
        remarks: Sequence[str] = (),
    ) -> None:
        import torch

        self.name = name
        self.module = module.eval().requires_grad_(False)
        self.transform = transform
        self.classifier = classifier
        self.logit_scale = logit_scale
        self.device = torch.device("cpu")
        self.dtype = torch.float32
        self._images = images
        self._texts = texts
        self._pairs = pairs
        self.remarks = tuple(remarks)
        self._facts = {**facts, "weights": weights_digest(module.state_dict())}

    @property
    def reads(self) -> frozenset[Reads]:
        found: set[Reads] = set()
        if self._images is not None:
            found.add("image")
        if self._texts is not None:
            found.add("text")
        if self._pairs is not None:
            found.add("pair")
        return frozenset(found)

    def identity(self) -> dict[str, Any]:
        """See the Protocol; the precision of the computation is part of it."""
        texts = self._texts
        reader = {"text_length": texts.limit, "tokenizer": texts.digest} if texts is not None else {}
        return {**self._facts, **reader, "precision": str(self.dtype).removeprefix("torch.")}

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> NetworkEncoder:
        """Move it there; weights stay float32, and ``dtype`` is what matrices are multiplied in (autocast)."""
        import torch

        self.device = torch.device(device)
        self.module.to(self.device)
        if dtype is not None:
            self.dtype = dtype
        return self

    def encode_images(self, pixels: torch.Tensor) -> Encoding:
        """Raises ModelError where it reads no images, or none of this size."""
        if self._images is None:
            raise ModelError(f"Model {self.name!r} reads no images, only {self._readings()}.")
        return self._encoded(self._images, pixels)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        reader = self._reader()
        tokens = self._tokens(reader, texts)
        with self._computing():
            return reader.encode(tokens).float()

    def encode_pairs(self, pixels: torch.Tensor, texts: Sequence[str]) -> Encoding:
        pairs = self._pairs
        if pairs is None:
            raise ModelError(f"Model {self.name!r} does not read an image together with its caption.")
        tokens = self._tokens(self._reader(), texts)
        return self._encoded(lambda images: pairs(images, tokens), pixels)

    def count_truncated(self, texts: Sequence[str]) -> int:
        reader = self._reader()
        return sum(length > reader.limit for length in reader.lengths(list(texts))) if texts else 0

    def _encoded(self, encode: Callable[[torch.Tensor], Encoding], pixels: torch.Tensor) -> Encoding:
        try:
            with self._computing():
                found = encode(pixels.to(self.device))
        except (ValueError, AssertionError) as error:
            size = " x ".join(str(side) for side in pixels.shape[1:])
            raise ModelError(
                f"Model {self.name!r} does not take pixels of {size}: {first_line(str(error))} Use its own transform."
            ) from error
        return Encoding(found.features.float(), None if found.logits is None else found.logits.float())

    def _tokens(self, reader: TextReader, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        return {name: value.to(self.device) for name, value in reader.tokenize(list(texts)).items()}

    def _reader(self) -> TextReader:
        if self._texts is None:
            raise ModelError(
                f"Model {self.name!r} reads no texts, only {self._readings()}. "
                "Zero-shot classification needs a model with a text encoder, such as CLIP or SigLIP."
            )
        return self._texts

    def _readings(self) -> str:
        return " and ".join(f"{kind}s" for kind in sorted(self.reads))

    def _computing(self) -> AbstractContextManager[Any]:
        import torch

        if self.dtype == torch.float32:
            return nullcontext()
        context: AbstractContextManager[Any] = torch.autocast(self.device.type, dtype=self.dtype)
        return context


def chosen_device(device: str) -> torch.device:
    """The device that an option means: ``auto`` takes an accelerator where there is one. Raises ModelError."""
    import torch

    kind = device_kind(device)
    if device in ("auto", "cuda") and kind == "cuda":  # of processes started together each takes a device of its own
        return torch.device("cuda", local_index() % torch.cuda.device_count())
    return torch.device(kind if device == "auto" else device)


def chosen_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    """What matrices are multiplied in; None means float32. Raises ModelError for any other name."""
    import torch

    name = "float32" if dtype is None else str(dtype).removeprefix("torch.")
    if name not in PRECISIONS:
        raise ModelError(f"dtype is {name!r}; expected one of {', '.join(PRECISIONS)}.")
    found: torch.dtype = getattr(torch, name)
    return found
