"""A last look at texts before they are published: no key and no path of this machine may stand in them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from openmmlo.errors import PublishRefused

_SECRET = re.compile(r"(TOKEN|KEY|SECRET|PASSWORD|PASSPHRASE)S?$", re.IGNORECASE)
_SHORTEST_SECRET, _SHORTEST_PATH = 12, 5


def refuse_private(name: str, text: str, folder: Path) -> None:
    """Raises PublishRefused, naming what was found but never its value, where a text holds what must stay here."""
    from huggingface_hub import get_token

    secrets = {f"variable {key}": value for key, value in os.environ.items() if _SECRET.search(key)}
    secrets["your Hugging Face token"] = get_token() or ""
    for what, value in secrets.items():
        if len(value) >= _SHORTEST_SECRET and value in text:
            raise PublishRefused(f"{name} holds the value of {what}. Take it out of the options, and make it again.")
    for what, path in (("your home folder", Path.home()), ("the data set's folder", folder.resolve())):
        if len(str(path)) >= _SHORTEST_PATH and f"{path}{os.sep}" in text:
            raise PublishRefused(f"{name} holds the path of {what}. Give relative paths or names, and make it again.")
