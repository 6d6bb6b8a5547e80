"""Draw docs/images/spherical.png: T-hp as logits, as a kernel and as a density, beside vMF and the cosine.

python docs/spherical_picture.py
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from openmmlo.spherical import cosine, thp, vmf
from openmmlo.spherical.normaliser import mean_resultant_length

TARGET = Path(__file__).parent / "images" / "spherical.png"

KAPPA = 16.0
THP, VMF, COSINE, GREY = "#2a6f97", "#e09f3e", "#9e2a2b", "#777777"
DIMENSIONS = {3: "#8fbfdc", 8: "#74aed0", 64: "#5d9cc1", 256: "#2a6f97", 768: "#173f57"}

DEGREES = torch.linspace(0, 180, 1801, dtype=torch.float64)
COSINES = torch.cos(torch.deg2rad(DEGREES))


def main() -> None:
    """Draw the picture."""
    figure = Figure(figsize=(13.2, 4.5), dpi=100, facecolor="white")
    logits, kernels, density = figure.subplots(1, 3)
    _logits(logits)
    _kernels(kernels)
    _density(density)
    figure.subplots_adjust(left=0.05, right=0.955, top=0.92, bottom=0.12, wspace=0.26)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    sheet = Image.open(buffer).convert("RGB")
    sheet.quantize(128, dither=Image.Dither.NONE).save(TARGET, optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1000:.0f} kB, {sheet.width} x {sheet.height}")


def _logits(axes: Axes) -> None:
    """Slopes in the cosine: how hard a sample at an angle moves a centre."""
    axes.plot(DEGREES, _slope(vmf), color=VMF, lw=2)
    axes.plot(DEGREES, _slope(cosine), color=COSINE, lw=2)
    slope = _slope(thp)
    axes.plot(DEGREES, slope, color=THP, lw=2.4)
    for level in (KAPPA, 1.0):
        angle = float(np.interp(-level, -slope.numpy(), DEGREES.numpy()))
        axes.plot(angle, level, "o", color=THP, ms=6, zorder=3)
        axes.annotate(f"{angle:.2f}°", (angle, level), (5, 6), textcoords="offset points", fontsize=9.5, color=THP)
    at_right_angles = float(slope[900])
    axes.plot(90, at_right_angles, "o", color=THP, ms=6, zorder=3)
    axes.annotate(
        f"{at_right_angles:.3f} at 90°",
        (90, at_right_angles),
        (6, 6),
        textcoords="offset points",
        fontsize=9.5,
        color=THP,
    )
    axes.text(178, 18, r"vMF: $\kappa\,\cos$", color=VMF, ha="right", va="bottom", fontsize=10)
    axes.text(178, 1.12, "cosine", color=COSINE, ha="right", va="bottom", fontsize=10)
    axes.text(178, 0.05, "T-hp", color=THP, ha="right", va="bottom", fontsize=10)
    axes.set(yscale="log", ylim=(0.02, 60), ylabel="slope of the logit in the cosine")
    _finish(axes, "As logits: distant samples pull less", "angle between sample and centre")


def _kernels(axes: Axes) -> None:
    axes.plot(DEGREES, torch.exp(vmf(COSINES, KAPPA) - KAPPA), color=VMF, lw=2)
    axes.plot(DEGREES, thp(COSINES, KAPPA) / 2, color=THP, lw=2.4)
    axes.text(178, 0.042, r"T-hp: $1/(1+\kappa s)$", color=THP, ha="right", va="bottom", fontsize=10)
    axes.text(64, 1e-5, r"vMF: $e^{-\kappa s}$", color=VMF, ha="right", va="bottom", fontsize=10)
    axes.text(178, 0.5, r"$s = 1-\cos$", color=GREY, ha="right", va="center", fontsize=10)
    axes.set(yscale="log", ylim=(1e-6, 1.6), ylabel="weight, 1 at the centre")
    _finish(axes, "As kernels: the heavier tail", "angle to the centre")


def _density(axes: Axes) -> None:
    kappas = torch.logspace(-1, 4, 200, dtype=torch.float64)
    for d, colour in DIMENSIONS.items():
        lengths = mean_resultant_length(kappas, d)
        axes.plot(kappas, lengths, color=colour, lw=2)
        if d > 3:
            axes.axhline(1 / (d - 2), color=GREY, lw=0.8, ls=(0, (4, 4)), zorder=0)
        axes.annotate(
            f"d = {d}",
            (1e4, float(lengths[-1])),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=colour,
        )
    axes.axvline(KAPPA, color=GREY, lw=0.8, zorder=0)
    axes.text(KAPPA * 1.15, 1.3e-4, r"$\kappa = 16$", color=GREY, fontsize=9.5)
    axes.set(xscale="log", yscale="log", xlim=(0.1, 1e4), ylim=(1e-4, 1.2), ylabel="mean of the cosine to the centre")
    axes.set_title(r"As a density: never past $1/(d-2)$", fontsize=11, loc="left")
    axes.set_xlabel(r"$\kappa$")
    axes.spines[["top", "right"]].set_visible(False)


def _slope(similarity: Callable[..., Any]) -> torch.Tensor:
    leaf = COSINES.clone().requires_grad_()
    found: torch.Tensor = torch.autograd.grad(similarity(leaf, KAPPA).sum(), leaf)[0]
    return found


def _finish(axes: Axes, title: str, label: str) -> None:
    axes.set(xlim=(0, 180), xticks=range(0, 181, 30), xlabel=label)
    axes.xaxis.set_major_formatter("{x:.0f}°")
    axes.set_title(title, fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
