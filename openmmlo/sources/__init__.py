"""Image collections as their users have them come in; Samples and a DatasetInfo go out.

Nothing here decodes an image or knows of captions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmmlo.catalog import Catalog
from openmmlo.config import construct
from openmmlo.errors import ConfigError, UnknownName
from openmmlo.records import Finding, Source

SOURCES = Catalog(
    "source",
    {
        "imagenet-lt": "openmmlo.sources.imagenet_lt:ImageNetLT",
        "places-lt": "openmmlo.sources.places_lt:PlacesLT",
        "inaturalist2018": "openmmlo.sources.inaturalist2018:INaturalist2018",
        "cifar100-lt": "openmmlo.sources.cifar_lt:Cifar100LT",
        "cifar10-lt": "openmmlo.sources.cifar_lt:Cifar10LT",
        "imagefolder": "openmmlo.sources.imagefolder:ImageFolder",
        "miniature": "openmmlo.sources.miniature:Miniature",
        "svhn": "openmmlo.sources.svhn:SVHN",
        "lsun": "openmmlo.sources.lsun:LSUN",
        "isun": "openmmlo.sources.isun:ISUN",
        "textures": "openmmlo.sources.textures:Textures",
        "places365": "openmmlo.sources.places365:Places365",
        "imagenet-sketch": "openmmlo.sources.imagenet_sketch:ImageNetSketch",
        "openood": "openmmlo.sources.openood:OpenOOD",
    },
)


def data_root() -> Path | None:
    """The folder ``OPENMMLO_DATA`` names, under which images and lists are looked for; flags override it."""
    value = os.environ.get("OPENMMLO_DATA")
    return Path(value).expanduser() if value else None


def open_source(name: str | Path, options: Mapping[str, Any] | None = None) -> Source:
    """Make a source from its name (or the path of an image folder) and its options.

    Args:
        name: an entry of SOURCES, ``package.module:Class``, or a path to a folder of images.
        options: values for the fields of the source's dataclass, for example ``{"images": "/data/places"}``.

    Raises:
        UnknownName: no such source and no such folder.
        ConfigError: an option that this source does not have.
    """
    values = dict(options or {})
    text = str(name)
    if text not in SOURCES and ":" not in text:
        folder = Path(text).expanduser()
        if not folder.is_dir():
            raise UnknownName("source", text, SOURCES, f" Nor is there a folder {text!r} of images.")
        if "images" in values:
            raise ConfigError(f"The images are in {text!r} or in {str(values['images'])!r}? Give a folder or --images.")
        values["images"] = folder
        text = "imagefolder"
    source: Source = construct(SOURCES.load(text), values, f"source {text}")
    return source


def check(name: str | Path, options: Mapping[str, Any] | None = None, splits: tuple[str, ...] = ()) -> list[Finding]:
    """Say what a source finds and what it misses, before any work. Arguments as for :func:`open_source`."""
    return open_source(name, options).check(splits)
