"""Softmax with temperature on images that took a step towards their predicted class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from openmmlo.errors import ConfigError, DataError
from openmmlo.evaluate.detectors import Fitted, Unfit
from openmmlo.evaluate.detectors.reasons import no_logits, one_class
from openmmlo.evaluate.detectors.rows import Rows
from openmmlo.evaluate.detectors.softmax import peak
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head

if TYPE_CHECKING:
    import torch

    from openmmlo.models.encoder import Encoding

TEMPERATURE = 1000.0
ETA = 0.0014


@dataclass(frozen=True)
class ODIN:
    """One minus the largest softmax probability at temperature T, on images that took a step of eta.

    Liang et al., Enhancing The Reliability of Out-of-distribution Image Detection in Neural Networks, ICLR 2018
    (arXiv:1706.02690): T = 1000, eta = 0.0014. The step is made where pixels are, at extraction
    (:func:`perturbed_pixels`); the scores are of the perturbed bank.

    Attributes:
        temperature: T.
        eta: the step with which the perturbed bank was extracted; 0 reads the bank itself.
    """

    temperature: float = TEMPERATURE
    eta: float = ETA
    name: str = field(default="odin", init=False)
    post_relu: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"odin: temperature is {self.temperature}; expected a number above 0.")
        if not self.eta >= 0:
            raise ConfigError(f"odin: eta is {self.eta}; expected 0 or more.")

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        read = banks
        if self.eta:
            without = [bank.name for bank in banks if bank.perturbed is None]
            if without:
                return (
                    "It reads images after a gradient step on their pixels, and there are none of "
                    f"{', '.join(without)}; extract with the perturbed bank."
                )
            read = [bank.perturbed for bank in banks if bank.perturbed is not None]
        return no_logits(head, read) or one_class(head)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        return Fitted(self._score, {"scale": head.scale})

    def _score(self, rows: Rows) -> np.ndarray:
        read = rows.perturbed if self.eta else rows
        if read is None:
            raise Unfit(f"Bank {rows.bank.name!r} holds no perturbed rows; extract with the perturbed bank.")
        return peak(read.logits, self.temperature).doubt


def perturbed_pixels(
    pixels: torch.Tensor,
    encode: Callable[[torch.Tensor], Encoding],
    head: Head,
    channel_std: Sequence[float],
    temperature: float = TEMPERATURE,
    eta: float = ETA,
) -> torch.Tensor:
    """Pixels after a step that raises the probability of the predicted class.

    x - eta * sign(gradient of CE(z / T, argmax z)) / channel_std; eta = 0 gives the pixels as they are. The gradient
    is of each image alone as long as the model, in eval mode, does not mix images. Compute it in float32: at T = 1000
    half precision loses small gradients. Gradients of the model's weights are not touched.

    Args:
        pixels: (B, 3, H, W) float32, normalised.
        encode: the model's ``encode_images``.
        head: the one that the detector will use.
        channel_std: (3,) what the channels were divided by.
        temperature: T.
        eta: length of the step, in units of pixels from 0 to 1.

    Returns:
        (B, 3, H, W), detached.

    Raises:
        DataError: the head has no logits, or a gradient is NaN or infinite.
    """
    import torch

    if eta == 0:
        return pixels.detach().clone()
    with torch.inference_mode(False), torch.enable_grad():
        leaf = pixels.detach().clone().requires_grad_(True)
        logits = _logits(encode(leaf), head) / temperature
        loss = torch.nn.functional.cross_entropy(logits, logits.detach().argmax(dim=1), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, leaf)
    strange = int((~torch.isfinite(gradient)).flatten(1).any(dim=1).sum())
    if strange:
        raise DataError(
            f"odin: {strange} of {len(pixels)} images of a batch have a gradient that is NaN or infinite. "
            "Compute in float32, or leave odin out."
        )
    deviation = torch.as_tensor(channel_std, dtype=leaf.dtype, device=leaf.device).view(1, -1, 1, 1)
    moved: torch.Tensor = leaf.detach() - eta * gradient.sign() / deviation
    return moved


def _logits(encoding: Encoding, head: Head) -> torch.Tensor:
    """(B, C) of the head, in torch: ``Head.inputs`` and ``Head.apply`` have no gradient."""
    import torch

    features = encoding.features
    if head.weight is None:
        if encoding.logits is None or head.columns is None:
            raise DataError("odin: the model gives no logits and the head is not linear. Leave odin out.")
        return encoding.logits.float()[:, torch.tensor(head.columns, device=features.device)]
    inputs = features.float()
    if head.unit_features:
        inputs = inputs / (torch.linalg.vector_norm(inputs, dim=1, keepdim=True) + 1e-10)
    found: torch.Tensor = inputs @ torch.tensor(head.weight, dtype=torch.float32, device=inputs.device).T
    if head.bias is not None:
        found = found + torch.tensor(head.bias, dtype=torch.float32, device=inputs.device)
    return found * head.scale
