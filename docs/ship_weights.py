"""Put a trained checkpoint into the package, with a card that holds what ``openmmlo eval`` measured of it.

python docs/ship_weights.py trained/finetune/thp-mini results/miniature/trained-finetune-thp-mini --name thp-mini
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from openmmlo.evaluate.result import read_result
from openmmlo.models import open_model
from openmmlo.models.card_results import results_of
from openmmlo.models.checkpoints import read_config
from openmmlo.models.thp.card import render_card
from openmmlo.models.thp.opening import NAMES, SHIPPED
from openmmlo.models.thp.training import read_training
from openmmlo.train.outcome import file_digest

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "training.json", "log.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("result", type=Path, help="folder that openmmlo eval wrote for it")
    parser.add_argument("--name", choices=sorted(NAMES), required=True)
    arguments = parser.parse_args()
    training, result = read_training(arguments.checkpoint), read_result(arguments.result)
    if training is None:
        parser.error(f"{arguments.checkpoint} holds no training.json: it is no finished run")
    if training["digests"]["weights"] != file_digest(arguments.checkpoint / "model.safetensors"):
        parser.error("the weights are not those that training.json tells of")
    identity = open_model(str(arguments.checkpoint), device="cpu").identity()
    if result["model"]["identity"]["weights"] != identity["weights"]:
        parser.error("the result is of other weights")
    if result["departures"]:
        parser.error(f"the result is not the benchmark's: {'; '.join(result['departures'])}")
    folder = SHIPPED / arguments.name
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        shutil.copyfile(arguments.checkpoint / file, folder / file)
    card = render_card(arguments.name, read_config(folder), training, results_of(result), packaged=True)
    (folder / "README.md").write_text(card, encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
