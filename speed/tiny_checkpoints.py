"""Tiny vision-language checkpoints with random weights, saved as users' checkpoints are saved.

The architectures, processors and file layouts are the full ones; only the sizes are small, and the tokenizers are
trained here on a few sentences. Random weights are spread wide and the query tokens drawn at random: with the usual
initial values every image would get the same caption.

    python speed/tiny_checkpoints.py instructblip-flan-t5 DIR [--width 128]
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

CORPUS = (
    "What does this picture describe? Please describe in detail its size, location, color, "
    "and its relationship to the surroundings.",
    "A small red umbrella stands in the middle of the picture, left of a large green tree.",
    "The image shows a brown dog on the grass; it is about half as tall as the picture and looks to the right.",
    "Two yellow boats are on the blue lake near the wooden bridge, and mountains rise in the background.",
    "In the upper corner there is a white bird, far away from the grey house and the road in front of it.",
    "The black cat is sitting on a chair beside the window. Its size is medium and its color is dark.",
    "Several flowers of purple and orange color surround the old stone fountain at the center of the garden.",
)
FLAVOURS = ("flan-t5", "vicuna")


def make_instructblip(
    folder: Path, flavour: str, width: int = 32, layers: int = 2, query_tokens: int = 32, seed: int = 0
) -> Path:
    """Save an InstructBLIP with random weights, under 200,000 of them at the default width.

    Args:
        flavour: ``flan-t5`` (encoder-decoder) or ``vicuna`` (decoder-only, BOS ``</s>``, an added ``[PAD]``).
        width: hidden size of all parts, a multiple of 16; the number of weights grows with its square.
        layers: of the vision model, the Q-Former and the language model.
    """
    import torch
    from transformers import (
        BlipImageProcessorPil,
        InstructBlipConfig,
        InstructBlipForConditionalGeneration,
        InstructBlipProcessor,
    )

    tokenizer = {"flan-t5": t5_tokenizer, "vicuna": llama_tokenizer}[flavour]()
    processor = InstructBlipProcessor(
        BlipImageProcessorPil(size={"height": 224, "width": 224}),
        tokenizer,
        bert_tokenizer(),
        num_query_tokens=query_tokens,
    )
    text = {"flan-t5": _t5_config, "vicuna": _llama_config}[flavour](tokenizer, width, layers)
    common = {"hidden_size": width, "num_hidden_layers": layers, "intermediate_size": 2 * width}
    config = InstructBlipConfig(
        vision_config={**common, "num_attention_heads": 4, "image_size": 224, "patch_size": 28},
        qformer_config={
            **common,
            "num_attention_heads": 4,
            "vocab_size": len(processor.qformer_tokenizer),
            "max_position_embeddings": 128,
        },
        text_config=text.to_dict(),
        num_query_tokens=query_tokens,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = InstructBlipForConditionalGeneration(config)
    if flavour == "flan-t5":  # Flan-T5 has an output head of its own, where T5 shares the embedding's weights
        model.language_model.lm_head = torch.nn.Linear(width, len(tokenizer), bias=False)
    _randomise(model, torch.Generator().manual_seed(seed))
    return _save(folder, model, processor)


def make_blip(folder: Path, width: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Save a BLIP with random weights: no chat template, the image reaches the text by cross-attention."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil, BlipProcessor

    tokenizer = bert_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    common = {"hidden_size": width, "num_hidden_layers": layers, "intermediate_size": 2 * width}
    config = BlipConfig(
        vision_config={**common, "num_attention_heads": 4, "image_size": 96, "patch_size": 16},
        text_config={
            **common,
            "num_attention_heads": 4,
            "encoder_hidden_size": width,
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "max_position_embeddings": 256,
        },
    )
    model = BlipForConditionalGeneration(config)
    _randomise(model, torch.Generator().manual_seed(seed))
    return _save(folder, model, BlipProcessor(BlipImageProcessorPil(size={"height": 96, "width": 96}), tokenizer))


def make_llava(folder: Path, width: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Save a LLaVA with random weights: a decoder-only language model and a chat template."""
    import torch
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = llama_tokenizer()
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 84}, crop_size={"height": 84, "width": 84}),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=(
            "{% for message in messages %}{{ message.role | upper }}: {% for part in message.content %}"
            "{% if part.type == 'image' %}<image>\n{% else %}{{ part.text }}{% endif %}{% endfor %} {% endfor %}"
            "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
        ),
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            image_size=84,
            patch_size=14,
        ),
        text_config=_llama_config(tokenizer, width, layers),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    model = LlavaForConditionalGeneration(config)
    _randomise(model, torch.Generator().manual_seed(seed))
    return _save(folder, model, processor)


def make_qwen2_vl(folder: Path, width: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Save a Qwen2-VL with random weights: inputs whose shape follows the image's, so batches need its processor."""
    import torch
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessorPil,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = llama_tokenizer()
    marks = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer.add_tokens(marks, special_tokens=True)
    pixels = {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessorPil(size=pixels),
        tokenizer,
        Qwen2VLVideoProcessor(size=pixels),
        chat_template=(
            "{% for message in messages %}{{ message.role }}\n{% for part in message.content %}"
            "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
            "{% else %}{{ part.text }}{% endif %}{% endfor %}\n{% endfor %}"
            "{% if add_generation_prompt %}assistant\n{% endif %}"
        ),
    )
    start, end, image, video = tokenizer.convert_tokens_to_ids(marks)
    text = _llama_config(tokenizer, width, layers).to_dict()
    config = Qwen2VLConfig(
        text_config={
            **{key: text[key] for key in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")},
            **{key: text[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")},
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [width // 32, width // 32, width // 8 - 2 * (width // 32)],
            },
        },
        vision_config={
            "depth": layers,
            "embed_dim": width,
            "hidden_size": width,
            "num_heads": 4,
            "mlp_ratio": 2,
            "patch_size": 14,
        },
        vision_start_token_id=start,
        vision_end_token_id=end,
        image_token_id=image,
        video_token_id=video,
    )
    model = Qwen2VLForConditionalGeneration(config)
    _randomise(model, torch.Generator().manual_seed(seed))
    return _save(folder, model, processor)


MAKERS: dict[str, Callable[..., Path]] = {
    "instructblip-flan-t5": lambda folder, **sizes: make_instructblip(folder, "flan-t5", **sizes),
    "instructblip-vicuna": lambda folder, **sizes: make_instructblip(folder, "vicuna", **sizes),
    "blip": make_blip,
    "llava": make_llava,
    "qwen2-vl": make_qwen2_vl,
}


def t5_tokenizer() -> Any:
    """A T5 tokenizer trained on the corpus: pad 0, ``</s>`` 1, unk 2, no sentinels."""
    from tokenizers import SentencePieceUnigramTokenizer
    from transformers import T5Tokenizer

    special = ["<pad>", "</s>", "<unk>"]
    trained = SentencePieceUnigramTokenizer()
    trained.train_from_iterator(CORPUS, vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False)
    # Training finds the same pieces every time, but their scores and order vary in the last digits.
    pieces = sorted(set(trained.get_vocab()) - set(special))
    text = "".join("\u2581" + sentence.replace(" ", "\u2581") for sentence in CORPUS)
    scores = [math.log((text.count(piece) + 0.5) / len(text)) for piece in pieces]
    vocabulary = [(name, 0.0) for name in special] + list(zip(pieces, scores, strict=True))
    return T5Tokenizer(vocab=vocabulary, extra_ids=0)


def llama_tokenizer() -> Any:
    """A Llama tokenizer trained on the corpus, with Vicuna's convention: BOS ``</s>`` (2), ``[PAD]`` added last."""
    from tokenizers import SentencePieceBPETokenizer
    from transformers import LlamaTokenizer

    trained = SentencePieceBPETokenizer()
    trained.train_from_iterator(CORPUS, vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    model = json.loads(trained.to_str())["model"]
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in model["merges"]]
    tokenizer = LlamaTokenizer(
        vocab=model["vocab"], merges=merges, bos_token="</s>", unk_token="</s>", add_bos_token=True
    )
    tokenizer.add_tokens(["<unk>", "<s>"], special_tokens=True)  # known already; now left out when decoding
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    return tokenizer


def bert_tokenizer() -> Any:
    """A BERT tokenizer of the corpus: its letters, and its words that come more than once.

    The library's WordPiece trainer breaks ties at random, and a checkpoint should be the same every time it is made.
    """
    from transformers import BertTokenizer

    words = Counter(re.findall(r"\w+|[^\w\s]", " ".join(CORPUS).lower()))
    letters = sorted(set("".join(words)))
    pieces = [*letters, *(f"##{letter}" for letter in letters)]
    pieces += sorted(word for word, count in words.items() if count > 1 and len(word) > 1)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(vocabulary)}, truncation_side="left")


def _t5_config(tokenizer: Any, width: int, layers: int) -> Any:
    from transformers import T5Config

    return T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=width // 4,
        d_ff=2 * width,
        num_layers=layers,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )


def _llama_config(tokenizer: Any, width: int, layers: int) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _randomise(model: Any, generator: Any) -> None:
    """Draw all matrices anew, wide enough that different images give different captions."""
    import torch

    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.dim() < 2:
                continue
            wide = "lm_head" in name or name.endswith("query_tokens")
            spread = 1.0 if wide else 2.0 / weights[0].numel() ** 0.5
            weights.copy_(torch.randn(weights.shape, generator=generator) * spread)


def _save(folder: Path, model: Any, processor: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=sorted(MAKERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--layers", type=int, default=2)
    options = parser.parse_args()
    print(MAKERS[options.kind](options.folder, width=options.width, layers=options.layers))


if __name__ == "__main__":
    main()
