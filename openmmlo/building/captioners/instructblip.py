"""InstructBLIP, the captioner of the paper, in its Flan-T5 and Vicuna flavours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
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

PINNED = {
    "Salesforce/instructblip-flan-t5-xl": "bf9bd58cb3bb06e88c03b80f9cc346b90094bc6d",
    "Salesforce/instructblip-vicuna-7b": "19103d0c5b5263c8a7891012e08573439fb6607f",
}
"""Commits of the checkpoints on the Hub; others are looked up and recorded."""

FLAVOURS = {"t5": "flan-t5", "llama": "vicuna"}
_LLAMA_VOCABULARY = 32_000
_VICUNA_BOS = 2


@dataclass(frozen=True)
class InstructBlip:
    """InstructBLIP (Dai et al., NeurIPS 2023, arXiv:2305.06500) with the paper's prompt.

    Args:
        model: name on the Hub (flan-t5-xl 4.0, flan-t5-xxl 12.2, vicuna-7b 7.9, vicuna-13b 14.2 billion weights), or
            a folder written by ``save_pretrained``.
        revision: branch, tag or commit; by default a pinned commit where one is known, else ``main``.
        preset: ``lavis`` (the original library's defaults) or ``greedy``; the values after it override its own.
        prompt: asked of every image.
        dtype: ``auto`` is bfloat16 on accelerators and float32 on CPUs.
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` (worker i takes device i) or ``cuda:N``.

    Images are prepared by Pillow, whose result equals the original library's transform bit for bit. The repetition
    penalty weighs generated tokens only, as in the original library; transformers' own would also punish the words of
    the prompt in a decoder-only model.
    """

    model: str = "Salesforce/instructblip-flan-t5-xl"
    revision: str | None = None
    preset: str = "lavis"
    prompt: str = PAPER_PROMPT
    num_beams: int | None = None
    max_new_tokens: int | None = None
    min_length: int | None = None
    repetition_penalty: float | None = None
    length_penalty: float | None = None
    dtype: Dtype = "auto"
    device: str = "auto"
    name: str = field(default="instructblip", init=False)
    _found: Checkpoint | None = field(default=None, init=False, repr=False, compare=False)
    _processor: Any = field(default=None, init=False, repr=False, compare=False)
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.dtype not in get_args(Dtype):
            raise ConfigError(f"dtype is {self.dtype!r}; expected one of {', '.join(get_args(Dtype))}.")
        if not self.prompt.strip():
            raise ConfigError("InstructBLIP needs a prompt; leave it out for the paper's.")
        self._generation()

    def identity(self) -> dict[str, Any]:
        """What decides the captions. Fetches the configuration where it is not at hand.

        Raises:
            ModelError: a checkpoint that cannot be had or is no InstructBLIP, or float16 with T5.
        """
        config = self._config()
        return {
            "captioner": self.name,
            **source_identity(self._checkpoint()),
            "flavour": _flavour(config),
            "preset": self.preset,
            "generation": {**self._generation().values(), "do_sample": False, "penalised": "generated tokens"},
            "prompt": self.prompt,
            "dtype": resolve_dtype(self.dtype, self.device),
            "image_backend": "pil",
        }

    def check(self) -> list[Finding]:
        try:
            self._config()
            self.processor()
        except ModelError as error:
            return [Finding("error", str(error))]
        return findings(self._checkpoint(), self.device, self.dtype)

    def prepare(self, sample: Sample, image: Image) -> Any:
        """(3, H, W) float32 pixels, normalised; H and W are the checkpoint's."""
        pixels = self.processor().image_processor(image, input_data_format="channels_last", return_tensors="np")
        return pixels["pixel_values"][0]

    def load(self, worker: int = 0) -> None:
        """Load the weights.

        Raises:
            ModelError: the checkpoint is not at hand, or its parts do not fit each other.
        """
        self._config()
        device = worker_device(self.device, worker)
        dtype = resolve_dtype(self.dtype, self.device)
        folder = all_files(self._checkpoint())
        model = load_model("InstructBlipForConditionalGeneration", folder, device, dtype)
        self._keep("_loaded", _Loaded(model, self.processor(), self.prompt, self._generation()))

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        if self._loaded is None:
            self.load()
        loaded: _Loaded = self._loaded
        return loaded.caption(prepared)

    def processor(self) -> Any:
        """The checkpoint's InstructBlipProcessor, checked against its configuration; loaded once a process."""
        if self._processor is None:
            config = self._config()
            self._keep("_processor", _load_processor(self._checkpoint(), config, self.prompt))
        return self._processor

    def _generation(self) -> Generation:
        names = ("num_beams", "max_new_tokens", "min_length", "repetition_penalty", "length_penalty")
        return generation(self.preset, {name: getattr(self, name) for name in names})

    def _checkpoint(self) -> Checkpoint:
        if self._found is None:
            self._keep("_found", locate(self.model, self.revision, PINNED))
        found: Checkpoint = self._found  # type: ignore[assignment]
        return found

    def _config(self) -> dict[str, Any]:
        config = read_config(small_files(self._checkpoint()))
        kind = config.get("model_type")
        if kind != "instructblip":
            raise ModelError(
                f"{self.model!r} is a {kind or 'nameless'} checkpoint, not an instructblip one. "
                "Other image-text models: --captioner image-text-to-text."
            )
        check_dtype(self.dtype, config)
        return config

    def _keep(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Options, and where the checkpoint was found, so that all processes take the same commit; no weights."""
        kept = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**kept, "_processor": None, "_loaded": None}


class _Loaded:
    """A model with the prompt's tokens on its device."""

    def __init__(self, model: Any, processor: Any, prompt: str, search: Generation) -> None:
        import torch
        from PIL import Image
        from transformers import GenerationConfig

        self.model = model
        self.tokenizer = processor.tokenizer
        self.decoder_only = bool(model.config.use_decoder_only_language_model)
        inputs = processor(images=Image.new("RGB", (8, 8)), text=prompt, return_tensors="pt")
        inputs.pop("pixel_values")
        self.text = {name: tokens.to(model.device) for name, tokens in inputs.items()}
        self.prompt_length = self.text["input_ids"].shape[1]
        self.penalty = search.repetition_penalty
        least = "min_new_tokens" if self.decoder_only else "min_length"
        language = model.language_model
        language.generation_config = GenerationConfig(
            num_beams=search.num_beams,
            max_new_tokens=search.max_new_tokens,
            length_penalty=search.length_penalty,
            repetition_penalty=1.0 if self.decoder_only else search.repetition_penalty,
            do_sample=False,
            use_cache=True,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            bos_token_id=self.tokenizer.bos_token_id,
            decoder_start_token_id=language.generation_config.decoder_start_token_id,
            **{least: search.min_length},
        )
        self.torch = torch

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor

        torch = self.torch
        pixels = torch.stack([torch.from_numpy(item) for item in prepared])
        text = {name: tokens.expand(len(prepared), -1) for name, tokens in self.text.items()}
        extra: dict[str, Any] = {}
        if self.decoder_only and self.penalty != 1.0:
            penalty = RepetitionPenaltyLogitsProcessor(self.penalty, prompt_ignore_length=self.prompt_length)
            extra["logits_processor"] = LogitsProcessorList([penalty])
        with torch.inference_mode():
            output = self.model.generate(pixel_values=pixels.to(self.model.device, self.model.dtype), **text, **extra)
        if self.decoder_only:
            output = self._without_prompt(output)
        captions = self.tokenizer.batch_decode(output, skip_special_tokens=True)
        return [caption.strip() for caption in captions]

    def _without_prompt(self, output: Any) -> Any:
        """Cut the echoed prompt; versions of transformers that do not echo it are left alone."""
        prompt = self.text["input_ids"]
        start = output[:, : self.prompt_length]
        if start.shape[1] == self.prompt_length and bool((start == prompt).all()):
            return output[:, self.prompt_length :]
        return output


def _flavour(config: Mapping[str, Any]) -> str:
    kind = str(config.get("text_config", {}).get("model_type"))
    return FLAVOURS.get(kind, kind)


def _load_processor(checkpoint: Checkpoint, config: Mapping[str, Any], prompt: str) -> Any:
    folder = small_files(checkpoint)
    with quiet(), explained(folder):
        from transformers import AutoImageProcessor, InstructBlipProcessor

        processor = InstructBlipProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        processor.image_processor = AutoImageProcessor.from_pretrained(
            folder, backend="pil", local_files_only=True, trust_remote_code=False
        )
    _check_processor(processor, config, prompt)
    return processor


def _check_processor(processor: Any, config: Mapping[str, Any], prompt: str) -> None:
    """Refuse at once what would fail, or go wrong in silence, after hours of work."""
    if getattr(processor.image_processor, "backend", None) != "pil":
        raise ModelError(
            "This transformers gives no Pillow image processor for InstructBLIP (backend='pil'), and the torchvision "
            "one prepares images differently. Upgrade: pip install --upgrade transformers"
        )
    queries = config.get("num_query_tokens")
    if processor.num_query_tokens is None or queries is None:
        where = "processor_config.json" if processor.num_query_tokens is None else "config.json"
        raise ModelError(
            f"The checkpoint's {where} has no num_query_tokens, so no image tokens would reach the language model. "
            "Take a newer revision of the checkpoint (the Hub's were amended in November 2024)."
        )
    tokenizer = processor.tokenizer
    image_token = tokenizer.convert_tokens_to_ids(str(processor.image_token))
    ids = _prompt_ids(processor, prompt)
    if processor.num_query_tokens != queries or ids.count(image_token) != queries:
        raise ModelError(
            f"The model has {queries} query tokens, but its processor inserts {ids.count(image_token)} image tokens; "
            "the checkpoint's files are of different versions."
        )
    if config.get("image_token_index") != image_token:
        raise ModelError(
            f"config.json names image token {config.get('image_token_index')}, the tokenizer's is {image_token}; "
            "the checkpoint's files are of different versions."
        )
    _check_length(processor, config, prompt)
    if _flavour(config) == "vicuna":
        _check_vicuna(tokenizer, ids[queries])


def _prompt_ids(processor: Any, prompt: str) -> list[int]:
    from PIL import Image

    encoded = processor(images=Image.new("RGB", (8, 8)), text=prompt)
    return list(encoded["input_ids"][0])


def _check_length(processor: Any, config: Mapping[str, Any], prompt: str) -> None:
    room = config.get("qformer_config", {}).get("max_position_embeddings", 512)
    length = len(processor.qformer_tokenizer(prompt)["input_ids"])
    if length > room:
        raise ModelError(f"The prompt has {length} tokens, the Q-Former has room for {room}. Use a shorter prompt.")


def _check_vicuna(tokenizer: Any, first: int) -> None:
    """Vicuna was tuned with ``</s>`` (2) before the prompt and an added padding token (32,000)."""
    if tokenizer.bos_token != "</s>" or tokenizer.bos_token_id != _VICUNA_BOS or first != _VICUNA_BOS:
        raise ModelError(
            f"The tokenizer begins the prompt with token {first} and names {tokenizer.bos_token!r} "
            f"({tokenizer.bos_token_id}) as its beginning; InstructBLIP's Vicuna expects '</s>' ({_VICUNA_BOS}). "
            "Take tokenizer_config.json and tokenizer.json from the original checkpoint."
        )
    if tokenizer.pad_token_id not in (_LLAMA_VOCABULARY, tokenizer.vocab_size):
        raise ModelError(
            f"The tokenizer pads with {tokenizer.pad_token!r} ({tokenizer.pad_token_id}); InstructBLIP's Vicuna has a "
            f"padding token of its own after Llama's vocabulary ({_LLAMA_VOCABULARY}). "
            "Take the tokenizer files from the original checkpoint."
        )
