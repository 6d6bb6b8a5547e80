"""What docs/spherical.md says in numbers and in code."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from sphere_integrals import distribution_function

from openmmlo.spherical.distribution import ThpDistribution
from openmmlo.spherical.normaliser import log_normaliser, mean_resultant_length
from openmmlo.spherical.sampler import acceptance

PAGE = (Path(__file__).parents[2] / "docs" / "spherical.md").read_text(encoding="utf-8")


def test_its_table_is_what_is_computed() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert [int(d) for d, _ in rows] == [3, 8, 64, 256, 768]
    for d, cells in rows:
        *constants, length = [float(cell.replace("−", "-")) for cell in cells.split(" | ")]
        kappas = torch.tensor([1.0, 4.0, 16.0, 64.0, 128.0])
        assert constants == pytest.approx(log_normaliser(kappas, int(d)).tolist(), abs=1e-9, rel=0)
        assert length == pytest.approx(mean_resultant_length(kappas, int(d))[2].item(), abs=1e-10, rel=0)


def test_its_code_runs() -> None:
    (code,) = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    names: dict[str, torch.Tensor] = {}
    exec(code.replace("print(", "shown = ("), names)
    assert names["logits"].shape == names["peer"].shape == (8, 50)
    assert names["draws"].shape == (1000, 50, 256)
    assert names["densities"].shape == (1000, 50)
    assert f"{names['shown']:.4f}" == "0.0037"


def test_its_rates_of_kept_draws() -> None:
    kappas = torch.logspace(-3, 4, 400, dtype=torch.float64)
    worst = min(float(torch.maximum(*acceptance(kappas, d, 1.0)).min()) for d in range(4, 40))
    assert 0.38 <= worst < 0.39
    sixteen = torch.tensor(16.0, dtype=torch.float64)
    assert min(float(acceptance(sixteen, d, 1.0)[0]) for d in (8, 64, 256, 2048)) > 0.9


def half_of_the_mass(d: int, kappa: float) -> float:
    """Degrees from the centre within which half of the density lies, by quadrature."""
    within = distribution_function(kappa, d)

    def over(angle: float) -> float:
        return float(within(np.array(math.sin(angle / 2) ** 2))) - 0.5

    return math.degrees(brentq(over, 0.1, 3.0, xtol=1e-9))


def test_its_angles_of_half_the_mass() -> None:
    said = [float(number) for number in re.findall(r"(89\.\d+)°", PAGE)]
    assert said == pytest.approx([half_of_the_mass(256, 16.0), half_of_the_mass(256, 128.0)], abs=0.005)


def test_its_steps_of_a_float32_log_density() -> None:
    loc = torch.zeros(2048)
    loc[0] = 1.0
    found = ThpDistribution(loc, 16.0).log_prob(loc.roll(1)).item()
    assert "near\n4,900" in PAGE
    assert found == pytest.approx(4_900, abs=5)
    assert torch.finfo(torch.float32).eps * 2 ** math.floor(math.log2(found)) == pytest.approx(5e-4, rel=0.05)
