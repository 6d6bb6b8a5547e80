"""A machine comes in; findings on what works, what will not, and how to mend it go out (``openmmlo doctor``).

Nothing here changes anything, and no token is read for more than whether there is one.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from openmmlo import __version__
from openmmlo.records import Finding
from openmmlo.sources import data_root

GIB = 2**30
HUB_PATIENCE = 3.0  # seconds
SPACE_WANTED = 20 * GIB  # a 4-billion-parameter checkpoint in bf16 with room for its download
MEMORY_WANTED = 8 * GIB


def examine() -> list[Finding]:
    """Run every examination; one that fails itself becomes a finding, so that the others are still heard."""
    findings: list[Finding] = []
    for examination in EXAMINATIONS:
        try:
            findings += examination()
        except Exception as error:
            what = f"{examination.__name__} could not be examined: {type(error).__name__}: {error}"
            findings.append(Finding("error", what, "Mend what the message names; then run openmmlo doctor again."))
    return findings


def versions() -> Iterator[Finding]:
    """Python and every package that openmmlo requires, at the version it requires."""
    yield Finding("ok", f"openmmlo {__version__}, Python {platform.python_version()}, {platform.platform()}")
    try:
        required = metadata.requires("openmmlo") or []
    except metadata.PackageNotFoundError:
        yield Finding("warning", "openmmlo runs from a folder, not installed", "In its checkout: pip install -e .")
        return
    good: list[str] = []
    for line in required:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = installed_version(requirement.name)
        if found is not None and requirement.specifier.contains(found, prereleases=True):
            good.append(f"{requirement.name} {found}")
            continue
        what = f"{requirement.name} {found or 'is missing'}; openmmlo needs {requirement.name}{requirement.specifier}"
        yield Finding("error", what, f'pip install "{requirement.name}{requirement.specifier}"')
    yield Finding("ok", ", ".join(sorted(good)))


def installed_version(package: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def torch_and_torchvision() -> Iterator[Finding]:
    """Whether torchvision was built for this torch: a mismatch breaks the import of every model class."""
    torch, torchvision = installed_version("torch"), installed_version("torchvision")
    if torch is None or torchvision is None:
        missing = " and ".join(name for name, at in (("torch", torch), ("torchvision", torchvision)) if at is None)
        yield Finding("error", f"{missing} not installed", "pip install --upgrade torch torchvision")
        return
    remedy = "Install the two as a pair: pip install --upgrade --force-reinstall torch torchvision"
    wanted = torch_wanted_by_torchvision()
    if wanted is not None and not wanted.specifier.contains(torch, prereleases=True):
        yield Finding("error", f"torchvision {torchvision} was built for {wanted}; torch is {torch}", remedy)
        return
    try:
        import_module("torchvision.ops")  # loads the compiled operators, where a mismatch shows
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        yield Finding("error", f"torchvision {torchvision} does not load with torch {torch}: {first}", remedy)
        return
    yield Finding("ok", f"torchvision {torchvision} fits torch {torch}")


def torch_wanted_by_torchvision() -> Requirement | None:
    """What the installed torchvision says of the torch it was built for."""
    found = [Requirement(line) for line in metadata.requires("torchvision") or []]
    return next((requirement for requirement in found if requirement.name == "torch"), None)


def devices() -> Iterator[Finding]:
    """Accelerators with their memory, and whether they compute in bf16."""
    import torch

    count = torch.cuda.device_count()
    for number in range(count):
        about = torch.cuda.get_device_properties(number)
        with torch.cuda.device(number):
            free, total = torch.cuda.mem_get_info()
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        yield Finding(
            "ok" if bf16 else "warning",
            f"cuda:{number} {about.name}, {free / GIB:.0f} of {total / GIB:.0f} GiB free, {'' if bf16 else 'no '}bf16",
            "" if bf16 else "Use --dtype float32: T5 gives NaN in float16.",
        )
    if count:
        return
    if torch.backends.mps.is_available():
        yield Finding("ok", "mps (Apple GPU)")
        return
    built = torch.version.cuda or getattr(torch.version, "hip", None)
    yield Finding(
        "warning",
        "No accelerator in use" + ("" if built else "; this torch was built without one"),
        "The miniature needs none. InstructBLIP over an official data set does: "
        + ("check the driver (nvidia-smi)." if built else "install a torch built for your accelerator."),
    )


def machine() -> Iterator[Finding]:
    """Cores and memory that this process may use."""
    cores = usable_cores()
    memory = usable_memory()
    said = f"{cores} cores, {memory / GIB:.0f} GiB memory" if memory else f"{cores} cores"
    if memory and memory < MEMORY_WANTED:
        yield Finding("warning", said, "Small: use --prefetch 0 and a small --batch-size.")
    else:
        yield Finding("ok", said)


def usable_cores() -> int:
    """Cores this process may run on, which in a container or job are fewer than the machine has."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def usable_memory() -> int | None:
    """Bytes of memory, the limit of a container taken into account; None where the system does not say."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return memory
    return min(memory, int(limit)) if limit.isdecimal() else memory


def hub() -> Iterator[Finding]:
    """Whether checkpoints can be fetched, from where, and whether a token is set."""
    from huggingface_hub import constants, get_session, get_token

    parts = urlsplit(constants.ENDPOINT)
    endpoint = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")  # no user, no password
    if constants.is_offline_mode():
        yield Finding("ok", "The Hub is switched off (HF_HUB_OFFLINE); only checkpoints in the cache can be used")
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_PATIENCE, follow_redirects=True)
    except Exception as error:
        yield Finding(
            "warning",
            f"No answer from the Hub at {endpoint} ({type(error).__name__})",
            "Needed only to fetch checkpoints. Behind a proxy set HTTPS_PROXY; without a network copy the checkpoint "
            "here, give its folder to --model, and set HF_HUB_OFFLINE=1.",
        )
        return
    token = "a token is set" if get_token() else "no token is set, which public checkpoints do not need"
    yield Finding("ok", f"The Hub answers at {endpoint}; {token}")


def disk() -> Iterator[Finding]:
    """Free space where checkpoints are cached and where data sets are likely to be written."""
    from huggingface_hub import constants

    yield space("checkpoint cache", Path(constants.HF_HUB_CACHE), "Set HF_HOME to a larger disk.")
    yield space("this folder", Path.cwd(), "Give --out a folder on a larger disk.")
    root = data_root()
    if root is not None and root.is_dir():
        yield space("OPENMMLO_DATA", root, "Give --out a folder on a larger disk.")


def space(name: str, folder: Path, remedy: str) -> Finding:
    """Free space of the disk that a folder is on, or will be on once it exists."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    what = f"{free / GIB:,.0f} GiB free for {name} ({folder})"
    if not os.access(there, os.W_OK):
        return Finding("warning", f"{name} ({folder}) is not writable", remedy)
    return Finding("ok", what) if free >= SPACE_WANTED else Finding("warning", what, remedy)


def data() -> Iterator[Finding]:
    """The folder that OPENMMLO_DATA names."""
    root = data_root()
    if root is None:
        yield Finding("ok", "OPENMMLO_DATA is not set: --images and --lists say where images and lists are")
    elif not root.is_dir():
        yield Finding("error", f"OPENMMLO_DATA is {root}, which is no folder", "Correct or unset it.")
    else:
        folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        held = ", ".join(folders[:12]) + (f" and {len(folders) - 12} more" if len(folders) > 12 else "")
        yield Finding("ok", f"OPENMMLO_DATA is {root}: {held or 'no folders yet'}. openmmlo check SOURCE tells more")


def weights() -> Iterator[Finding]:
    """Models whose weights come with the package."""
    from openmmlo.models.thp.opening import MINIATURE, shipped

    found = shipped()
    if found:
        yield Finding("ok", f"Weights in the package: {', '.join(found)}")
    absent = [name for name in MINIATURE if name not in found]
    if absent:
        remedy = "Reinstall openmmlo for them, or train them: openmmlo pretrain thp-mini, openmmlo finetune thp-mini."
        yield Finding("warning", f"No weights of {', '.join(absent)} in the package", remedy)


def font() -> Iterator[Finding]:
    """DejaVu Sans, whose pictographs the miniature is drawn from."""
    from matplotlib import get_data_path

    file = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    if file.is_file():
        yield Finding("ok", "DejaVu Sans for the miniature")
    else:
        yield Finding(
            "error", f"matplotlib's DejaVu Sans is missing ({file})", "pip install --force-reinstall matplotlib"
        )


EXAMINATIONS: tuple[Callable[[], Iterator[Finding]], ...] = (
    versions,
    torch_and_torchvision,
    devices,
    machine,
    hub,
    disk,
    data,
    weights,
    font,
)
