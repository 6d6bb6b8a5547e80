"""Put a trained checkpoint into the package, with a card that holds what ``openmmlo eval`` measured of it.

python docs/ship_weights.py trained/finetune/thp-mini results/miniature/trained-finetune-thp-mini --name thp-mini
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from openmmlo.models.checkpoints import read_config
from openmmlo.models.thp.card import render_card, results_of
from openmmlo.models.thp.opening import NAMES, SHIPPED
from openmmlo.models.thp.training import read_training

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "training.json", "log.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("result", type=Path, help="folder that openmmlo eval wrote for it")
    parser.add_argument("--name", choices=sorted(NAMES), required=True)
    arguments = parser.parse_args()
    result = json.loads((arguments.result / "result.json").read_text(encoding="utf-8"))
    folder = SHIPPED / arguments.name
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        shutil.copyfile(arguments.checkpoint / file, folder / file)
    config, training = read_config(folder), read_training(folder)
    card = render_card(arguments.name, config, training, results_of(result))
    (folder / "README.md").write_text(card, encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
