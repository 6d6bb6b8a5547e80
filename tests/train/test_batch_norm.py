"""BatchNorm over processes: which layers it takes the place of, and that alone it is torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.layers import BatchNormAct2d
from training import TinyObjective

from openmmlo.train.batch_norm import SharedBatchNorm, synchronise_batch_norm


def test_batch_norm_is_synchronised_where_it_can_be() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert synchronise_batch_norm(TinyObjective(), 2, cpu)
    alone = TinyObjective(normed=True)
    assert synchronise_batch_norm(alone, 1, cpu)
    assert type(alone.model.norm) is torch.nn.BatchNorm1d
    on_processors, on_cuda = TinyObjective(normed=True), TinyObjective(normed=True)
    names = set(on_processors.state_dict())
    weight = on_processors.model.norm.weight
    assert synchronise_batch_norm(on_processors, 2, cpu)
    assert isinstance(on_processors.model.norm, SharedBatchNorm)
    assert on_processors.model.norm.weight is weight
    assert set(on_processors.state_dict()) == names
    assert synchronise_batch_norm(on_cuda, 2, cuda)
    assert isinstance(on_cuda.model.norm, torch.nn.SyncBatchNorm)
    with_activation = TinyObjective()
    with_activation.model.norm = BatchNormAct2d(8)
    assert not synchronise_batch_norm(with_activation, 2, cpu)


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3, 2)])
def test_shared_batch_norm_of_one_process_is_torchs(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]) -> None:
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda _values: None)
    plain = (torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d)(8)
    torch.nn.init.uniform_(plain.weight), torch.nn.init.uniform_(plain.bias)
    mine = SharedBatchNorm.of(copy.deepcopy(plain))
    generator = torch.Generator().manual_seed(0)
    for mode in (True, True, False):
        inputs = [(3 + 2 * torch.randn(shape, generator=generator)).requires_grad_()]
        inputs.append(inputs[0].detach().clone().requires_grad_())
        outputs = [layer.train(mode)(value) for layer, value in zip((plain, mine), inputs, strict=True)]
        torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
        gradient = torch.randn(shape, generator=generator)
        for output in outputs:
            output.backward(gradient)
        torch.testing.assert_close(inputs[1].grad, inputs[0].grad, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(mine.weight.grad, plain.weight.grad, rtol=1e-4, atol=1e-5)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(mine.state_dict()[name], value)
