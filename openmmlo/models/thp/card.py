"""What is known of a checkpoint comes in, its README.md goes out: what it is, how it was trained, what it reaches.

Whatever comes from recipes, data sets or results is quoted or escaped; it can neither break the front matter nor add
markup.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openmmlo.markdown import PAPER, cell, code, table, text
from openmmlo.models.card_results import READS, CardResult, front_matter_yaml, metrics_of, model_index

LICENCE = "apache-2.0"

_HEADS = {
    "thp": "T-hp: the similarity of a feature and a class's centre is 2 / (1 + kappa (1 - cosine))",
    "cosine": "cosine of a feature and a class's centre, times a learnt scale",
    "t-vmf": "t-vMF: the similarity of a feature and a class's centre is (1 + cosine) / (1 + kappa (1 - cosine)) - 1",
    "wrapped-cauchy": "WCDAS: the wrapped Cauchy density of the angle of a feature and a class's centre, r learnt",
    "linear": "linear",
}


def render_card(
    name: str,
    config: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
    results: Sequence[CardResult] = (),
    *,
    repo: str | None = None,
    packaged: bool = False,
    licence: str = LICENCE,
    datasets: Sequence[str] = (),
) -> str:
    """The README.md of a checkpoint: YAML front matter, then a description in Markdown.

    Args:
        name: of the model; of its folder, unless it has a ``repo`` or is ``packaged``.
        config: what config.json holds.
        training: what training.json holds; None where nothing is known of the training.
        results: measured by ``openmmlo eval`` (:func:`results_of`).
        repo: ``owner/name`` on the Hub, where it is known.
        packaged: it comes with openmmlo, under this name.
        licence: of the weights, by the Hub's name for it.
        datasets: it was trained on, by their names on the Hub.
    """
    front = front_matter(name, config, results, licence, datasets)
    place = repo or (name if packaged else f"./{name}")  # a name alone would be that of another model
    code_place = f"SHIPPED / {json.dumps(name)}" if packaged and repo is None else json.dumps(place)
    return f"---\n{front_matter_yaml(front)}---\n\n{_body(name, config, training, results, place, code_place)}"


def front_matter(
    name: str,
    config: Mapping[str, Any],
    results: Sequence[CardResult] = (),
    licence: str = LICENCE,
    datasets: Sequence[str] = (),
) -> dict[str, Any]:
    """The metadata of a card, as plain values; numbers are fractions."""
    task = "image-classification" if config.get("classes") else "zero-shot-image-classification"
    values: dict[str, Any] = {
        "license": licence,
        "library_name": "openmmlo",
        "pipeline_tag": task,
        "language": ["en"],
        "tags": ["long-tailed-recognition", "out-of-distribution-detection", "vision-language", "t-hp", "openmmlo"],
    }
    if datasets:
        values["datasets"] = list(datasets)
    if not results:
        return values
    values["metrics"] = metrics_of(results)
    values["model-index"] = model_index(name, task, results)
    return values


def _body(
    name: str,
    config: Mapping[str, Any],
    training: Mapping[str, Any] | None,
    results: Sequence[CardResult],
    place: str,
    code_place: str,
) -> str:
    sections = [
        f"# {text(name)}",
        _what(config),
        "## How to use it",
        _use(config, place, code_place),
        "## What it reaches",
        _reached(results, place),
        "## How it was trained",
        _trained(training),
        "## Limits",
        _limits(config),
        "## Citation",
        code(PAPER, "bibtex"),
    ]
    return "\n\n".join(sections) + "\n"


def _what(config: Mapping[str, Any]) -> str:
    classes = config.get("classes") or 0
    reads = "the image, or the image with its caption" if config.get("reads") == "both" else "the image alone"
    facts = [
        ("architecture", text(config.get("architecture") or "of its own")),
        ("image encoder", f"{text(config['image_encoder'])}, {text(config['image_size'])} pixels a side"),
        (
            "text encoder and decoder",
            f"{text(config['text_layers'])} layers, width {text(config['text_width'])}, texts of at most "
            f"{text(config['text_length'])} tokens, a vocabulary of {config['vocab_size']:,}",
        ),
        ("contrast of images and texts", f"{text(config['similarity'])}, kappa {text(config['kappa'])}"),
    ]
    if classes:
        facts += [
            ("classes", f"{classes:,}, whose names are in config.json"),
            ("class layer", text(_HEADS.get(config["head"], config["head"]))),
            ("reads", reads),
        ]
    kind = (
        f"A classifier of {classes:,} classes"
        if classes
        else "An encoder of images and texts into one space, which also matches and captions"
    )
    about = (
        f"{kind}, built as the T-hp model (Yang, Lu and Yu, ICLR 2025, arXiv:2405.13459): an image encoder, a text "
        "encoder that can look at the image, and a decoder that shares its weights but for self-attention."
    )
    return f"{about}\n\n{table(('', ''), facts)}"


_PYTHON = """from PIL import Image
from transformers import AutoModel

from openmmlo.models.thp import register
from openmmlo.models.thp.encoder import transform_of
{imports}
register()
model = AutoModel.from_pretrained({place}).eval()
pixels = transform_of(model.config)(Image.open("picture.png")).unsqueeze(0)
{does}"""


def _use(config: Mapping[str, Any], place: str, code_place: str) -> str:
    does = "images = model.embed_images(model.image_tokens(pixels))"
    if config.get("classes"):
        does = "features, logits = model.classify(pixels)"
        if config.get("class_names"):
            does += "\nprint(model.config.class_names[int(logits.argmax())])"
    imports = "from openmmlo.models.thp.opening import SHIPPED\n" if code_place.startswith("SHIPPED") else ""
    python = _PYTHON.format(imports=imports, place=code_place, does=does)
    own = f" --benchmark {shlex.quote(config['benchmark'])}" if config.get("benchmark") else ""
    return "\n\n".join((code(f"openmmlo eval --model {shlex.quote(place)}{own}", "bash"), code(python, "python")))


def _reached(results: Sequence[CardResult], place: str) -> str:
    if not results:
        return f"Nothing was measured. `openmmlo eval --model {text(shlex.quote(place))} --benchmark NAME` does."
    rows = [
        (
            f"{text(item.benchmark)} {item.version}",
            text(item.set),
            READS[item.reads],
            text(item.label),
            f"{100 * item.value:.2f}",
        )
        for item in results
    ]
    return "\n\n".join(
        (
            "In percent, by `openmmlo eval`. The numbers that read images alone are the ones to compare.",
            table(("benchmark", "set", "reads", "number", "%"), rows),
        )
    )


def _trained(training: Mapping[str, Any] | None) -> str:
    if training is None:
        return "Nothing is known of its training."
    parts = []
    if command := training.get("command"):
        parts.append(code(str(command), "bash"))
    for title, key in (("data", "data"), ("the run", "log"), ("SHA-256", "digests"), ("recipe", "recipe")):
        if values := training.get(key):
            parts.append(table((title, ""), _facts(values)))
    return "\n\n".join(parts)


def _facts(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return [(text(key), "–" if value is None else cell(value)) for key, value in values.items()]


def _limits(config: Mapping[str, Any]) -> str:
    lines = [
        "Captions are written by a model that saw the image, test images included, and masks do not hide everything "
        "that gives a class away. A number that reads captions is not one of seeing: it stands beside images alone and "
        "beside the leak audit of the data set (`openmmlo audit`), and is not to be compared with models that read "
        "images.",
        "It carries what its data carry: frequent things are known better than rare ones, and what the images and "
        "captions leave out is not known at all.",
        "Similarities and softmax probabilities are scores, not calibrated probabilities.",
    ]
    if config.get("classes"):
        lines += [
            "It names one of its classes for any image. Whether an image shows one of them, a detector says.",
            "Its projections, matching head and decoder are those of pre-training; they did not follow when what they "
            "read was fine-tuned. Embed, match and caption with the checkpoint that it began from.",
        ]
    return "\n".join(f"- {line}" for line in lines)
