"""Any image-text checkpoint of transformers' AutoModelForImageTextToText: BLIP, LLaVA, Qwen-VL, SmolVLM and so on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from openmmlo.building.captioners import PAPER_PROMPT
from openmmlo.building.captioners.generation import Generation, generation
from openmmlo.building.captioners.loading import (
    Dtype,
    check_dtype,
    findings,
    load_model,
    resolve_dtype,
    worker_device,
)
from openmmlo.errors import ConfigError, ModelError
from openmmlo.models.checkpoints import (
    Checkpoint,
    all_files,
    locate,
    read_config,
    small_files,
    source_identity,
)
from openmmlo.models.loading import explained, quiet
from openmmlo.records import Finding, Sample

if TYPE_CHECKING:
    from PIL.Image import Image

_PROBES = ((640, 480), (240, 720), (96, 96))


@dataclass(frozen=True)
class ImageTextToText:
    """Any checkpoint that AutoModelForImageTextToText loads.

    Args:
        model: name on the Hub (OWNER/NAME) or a folder written by ``save_pretrained``; there is no default.
        revision: branch, tag or commit; ``main`` by default, and the commit it points to is recorded.
        preset: ``greedy`` or ``lavis``; the values after it override its own. ``min_length`` counts new tokens.
        prompt: asked of every image. With a chat template it becomes the user's message beside the image; without
            one it is handed over as it is, and empty hands over the image alone.
        dtype: ``auto`` is bfloat16 on accelerators and float32 on CPUs.
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` (worker i takes device i) or ``cuda:N``.

    Where images of all shapes give inputs of one shape, they are prepared ahead, one by one. Where the shape follows
    the image (tiles, patches), padding is each architecture's own affair: then the image itself travels, and the
    processor sees the whole batch when it is captioned.
    """

    model: str = ""
    revision: str | None = None
    preset: str = "greedy"
    prompt: str = PAPER_PROMPT
    num_beams: int | None = None
    max_new_tokens: int | None = None
    min_length: int | None = None
    repetition_penalty: float | None = None
    length_penalty: float | None = None
    dtype: Dtype = "auto"
    device: str = "auto"
    name: str = field(default="image-text-to-text", init=False)
    _found: Checkpoint | None = field(default=None, init=False, repr=False, compare=False)
    _prompted: Any = field(default=None, init=False, repr=False, compare=False)
    _model: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError(
                "Captioner image-text-to-text needs a model: the name of one on the Hub, for example "
                "HuggingFaceTB/SmolVLM2-2.2B-Instruct or Salesforce/blip-image-captioning-large, or a folder."
            )
        if self.dtype not in get_args(Dtype):
            raise ConfigError(f"dtype is {self.dtype!r}; expected one of {', '.join(get_args(Dtype))}.")
        self._generation()

    def identity(self) -> dict[str, Any]:
        """What decides the captions. Fetches configuration and processor where they are not at hand.

        Raises:
            ModelError: a checkpoint that cannot be had or does not fit.
        """
        config = self._config()
        prompted = self._processor()
        return {
            "captioner": self.name,
            **source_identity(self._checkpoint()),
            "architecture": config.get("model_type", ""),
            "preset": self.preset,
            "generation": {**self._generation().values(), "do_sample": False},
            "prompt": self.prompt,
            "text": prompted.text or "",
            "dtype": resolve_dtype(self.dtype, self.device),
            "image_backend": prompted.backend,
        }

    def check(self) -> list[Finding]:
        try:
            self._config()
            self._processor()
        except ModelError as error:
            return [Finding("error", str(error))]
        return findings(self._checkpoint(), self.device, self.dtype)

    def prepare(self, sample: Sample, image: Image) -> Any:
        """Model inputs by name (arrays with a first axis of 1), or (H, W, 3) uint8 where their shape varies."""
        import numpy as np

        prompted = self._processor()
        return prompted.encode([image]) if prompted.uniform else np.asarray(image.convert("RGB"))

    def load(self, worker: int = 0) -> None:
        """Load the weights.

        Raises:
            ModelError: the checkpoint is not at hand, or is of no architecture that makes text from images.
        """
        self._config()
        self._processor()
        device = worker_device(self.device, worker)
        dtype = resolve_dtype(self.dtype, self.device)
        folder = all_files(self._checkpoint())
        self._keep("_model", load_model("AutoModelForImageTextToText", folder, device, dtype))

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        import numpy as np
        import torch
        from PIL import Image

        if self._model is None:
            self.load()
        prompted, model = self._processor(), self._model
        if prompted.uniform:
            arrays = {name: np.concatenate([item[name] for item in prepared]) for name in prepared[0]}
        else:
            arrays = prompted.encode([Image.fromarray(item) for item in prepared])
        inputs = {}
        for name, array in arrays.items():
            tensor = torch.from_numpy(array)
            kind = model.dtype if tensor.is_floating_point() else tensor.dtype
            inputs[name] = tensor.to(model.device, kind)
        search = self._generation()
        with torch.inference_mode(), quiet():
            output = model.generate(
                **inputs,
                do_sample=False,
                num_beams=search.num_beams,
                max_new_tokens=search.max_new_tokens,
                min_new_tokens=search.min_length,
                repetition_penalty=search.repetition_penalty,
                length_penalty=search.length_penalty,
            )
        if not _encoder_decoder(model.config):
            output = without_prompt(output, inputs.get("input_ids"))
        texts = prompted.tokenizer.batch_decode(output, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _generation(self) -> Generation:
        names = ("num_beams", "max_new_tokens", "min_length", "repetition_penalty", "length_penalty")
        return generation(self.preset, {name: getattr(self, name) for name in names})

    def _checkpoint(self) -> Checkpoint:
        if self._found is None:
            self._keep("_found", locate(self.model, self.revision, {}))
        found: Checkpoint = self._found  # type: ignore[assignment]
        return found

    def _config(self) -> dict[str, Any]:
        config = read_config(small_files(self._checkpoint()))
        check_dtype(self.dtype, config)
        return config

    def _processor(self) -> PromptedProcessor:
        if self._prompted is None:
            self._keep("_prompted", _load_processor(small_files(self._checkpoint()), self.prompt))
        prompted: PromptedProcessor = self._prompted
        return prompted

    def _keep(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Options, and where the checkpoint was found, so that all processes take the same commit; no weights."""
        kept = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**kept, "_prompted": None, "_model": None}


class PromptedProcessor:
    """A processor with one prompt.

    Args:
        text: what goes into the processor beside each image; None for the image alone.
    """

    def __init__(self, processor: Any, text: str | None) -> None:
        self.processor = processor
        self.text = text
        self.tokenizer = processor.tokenizer
        self.tokenizer.padding_side = "left"
        bos = self.tokenizer.bos_token
        # A template that writes the beginning itself must not get a second one from the tokenizer.
        self.twice = bool(text and bos and text.startswith(bos))
        self.backend = str(getattr(processor.image_processor, "backend", "unknown"))

    def encode(self, images: Sequence[Image]) -> dict[str, Any]:
        """Model inputs of a batch, by name, as arrays."""
        arguments: dict[str, Any] = {"images": list(images), "return_tensors": "np"}
        if self.text is not None:
            arguments |= {"text": [self.text] * len(images), "padding": True}
            if self.twice:
                arguments["add_special_tokens"] = False
        return dict(self.processor(**arguments))

    @cached_property
    def uniform(self) -> bool:
        """Whether images of different shapes give inputs of one shape, equal alone and in a batch."""
        import numpy as np
        from PIL import Image

        probes = [Image.new("RGB", size, (40 * index, 90, 200)) for index, size in enumerate(_PROBES)]
        alone = [self.encode([probe]) for probe in probes]
        shapes = [{name: value.shape for name, value in item.items()} for item in alone]
        if any(shape != shapes[0] for shape in shapes) or any(size[:1] != (1,) for size in shapes[0].values()):
            return False
        together = self.encode(probes)
        return together.keys() == alone[0].keys() and all(
            np.array_equal(together[name], np.concatenate([item[name] for item in alone])) for name in together
        )


def without_prompt(output: Any, prompt: Any) -> Any:
    """Cut the prompt that a decoder-only model repeats before its answer.

    output (B, T), prompt (B, P) or None -> (B, T - P). BLIP replaces the prompt's first token and leaves out its
    last, so the first is not compared, and the last may be missing.
    """
    if prompt is None:
        return output
    for length in (prompt.shape[1], prompt.shape[1] - 1):
        if 1 < length <= output.shape[1] and bool((output[:, 1:length] == prompt[:, 1:length]).all()):
            return output[:, length:]
    return output


def _encoder_decoder(config: Any) -> bool:
    return bool(config.is_encoder_decoder or config.get_text_config().is_encoder_decoder)


def _load_processor(folder: Any, prompt: str) -> PromptedProcessor:
    with quiet(), explained(folder):
        from transformers import AutoImageProcessor, AutoProcessor

        local: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        processor = AutoProcessor.from_pretrained(folder, **local)
        if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
            raise ModelError(
                f"Checkpoint {folder.name!r} has no processor for images and text together, only a "
                f"{type(processor).__name__}; it is no image-text model."
            )
        # Pillow's results are the same on all machines; architectures without it keep their torchvision processor.
        processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil", **local)
        prompted = PromptedProcessor(processor, _text(processor, prompt))
        _check_image_token(prompted, folder.name)
        _ = prompted.uniform  # found out here, where the processor's advice is kept quiet
    return prompted


def _text(processor: Any, prompt: str) -> str | None:
    if getattr(processor, "chat_template", None) is None:
        return prompt or None
    content = [{"type": "image"}] + ([{"type": "text", "text": prompt}] if prompt else [])
    text: str = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    return text


def _check_image_token(prompted: PromptedProcessor, name: str) -> None:
    """Refuse a prompt without a place for the image, where the architecture wants one."""
    from PIL import Image

    token = getattr(prompted.processor, "image_token", None)
    if token is None or prompted.text is None:
        return
    try:
        ids = prompted.encode([Image.new("RGB", (64, 64))])["input_ids"][0]
    except ValueError:
        if str(token) in prompted.text:
            raise
        ids = []
    if prompted.tokenizer.convert_tokens_to_ids(str(token)) not in ids:
        raise ModelError(
            f"Checkpoint {name!r} has no chat template and its prompt holds no {str(token)!r}, so no image would "
            "reach it. Write the prompt as the model's card shows, "
            f"for example --prompt 'USER: {token}\\n... ASSISTANT:'."
        )
