"""Fast layers for a CPU against torch's own, and where they come in."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from yt8m.networks.cpu import FAST, use_fast_layers
from yt8m.networks.dropout import FastDropout
from yt8m.networks.linear import FastLinear
from yt8m.training import loop
from yt8m.training.settings import Training

ROOT = Path(__file__).parents[2]


def _layers(bias: bool = True) -> tuple[FastLinear, nn.Linear]:
    """Both layers with the same small whole numbers, which bf16 has exactly."""
    torch.manual_seed(0)
    ours, theirs = FastLinear(6, 5, bias), nn.Linear(6, 5, bias)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.randint(-2, 3, parameter.shape))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def _gradients(layer: nn.Module, x: Tensor, rounded: bool) -> list[Tensor]:
    """Of x and of the parameters, when a third of all outputs counts."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
        y = layer(x)
    weights = (torch.arange(y.numel()) % 3 == 0).view(y.shape)
    (y.float() * weights).sum().backward()
    return [x.grad, *(p.grad for p in layer.parameters())]


@pytest.mark.parametrize("shape", [(1, 6), (70, 6), (2100, 6), (3, 7, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_those_of_a_linear_layer(shape, bias):
    ours, theirs = _layers(bias)
    x = torch.randint(-1, 2, shape).float()
    found, expected = _gradients(ours, x, rounded=True), _gradients(theirs, x, rounded=False)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


def test_results_are_those_of_autocast():
    ours, theirs = _layers()
    x = torch.randn(9, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(x), theirs(x))
        assert ours(x).dtype == torch.bfloat16
        assert torch.equal(ours.eval()(x), theirs(x))
    assert torch.equal(ours(x), theirs(x))


def test_what_is_frozen_gets_no_gradient():
    ours, _ = _layers()
    ours.weight.requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        ours(torch.randn(4, 6)).sum().backward()
    assert ours.weight.grad is None
    assert torch.equal(ours.bias.grad, torch.full((5,), 4.0))


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_dropout_keeps_its_share_and_the_mean(share):
    torch.manual_seed(0)
    dropout, x = FastDropout(share), torch.ones(501, 401, requires_grad=True)
    y = dropout(x)
    found = y.detach()
    kept = float((found > 0).float().mean())
    assert kept == pytest.approx(1 - share, abs=0.005)
    assert float(found[found > 0].min()) == pytest.approx(1 / (1 - share))
    y.sum().backward()
    torch.testing.assert_close(x.grad, found)
    columns = (found > 0).float().mean(0)
    assert float(columns.std()) == pytest.approx((share * (1 - share) / 501) ** 0.5, rel=0.2)
    torch.manual_seed(0)
    assert torch.equal(dropout(x), found)
    assert dropout.eval()(x) is x
    assert isinstance(dropout, nn.Dropout)


def _net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.LSTM(4, 5, batch_first=True))


def _kinds(network: nn.Module) -> list[type]:
    return [type(layer) for layer in network]


def test_a_network_on_a_cpu_gets_fast_layers_with_the_same_values():
    torch.manual_seed(0)
    plain = _net()
    torch.manual_seed(0)
    fast = use_fast_layers(_net())
    assert _kinds(fast) == [FAST[kind] for kind in _kinds(plain)]
    assert list(fast.state_dict()) == list(plain.state_dict())
    assert all(map(torch.equal, fast.parameters(), plain.parameters()))
    assert not torch.equal(fast(torch.ones(2, 7, 3))[0], plain(torch.ones(2, 7, 3))[0])
    fast.eval(), plain.eval()
    assert torch.equal(fast(torch.ones(2, 7, 3))[0], plain(torch.ones(2, 7, 3))[0])


def test_a_network_elsewhere_keeps_the_layers_of_torch():
    with torch.device("meta"):
        network = _net()
    assert _kinds(use_fast_layers(network)) == [nn.Linear, nn.Dropout, nn.LSTM]


@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2}, {"bidirectional": True}, {"bias": False}, {"proj_size": 2}]
)
def test_other_lstms_and_subclasses_stay_as_they_are(options):
    lstm = nn.LSTM(4, 5, batch_first=bool(options), **options)
    own = type("Own", (nn.Linear,), {})(2, 3)
    use_fast_layers(nn.Sequential(lstm, own))
    assert (type(lstm), type(own).__name__) == (nn.LSTM, "Own")


def test_training_takes_the_fast_layers(tmp_path, monkeypatch):
    network = nn.Linear(3, 2)
    monkeypatch.setattr(loop, "_train_epoch", lambda *_: 0.0)
    store = SimpleNamespace(dims=SimpleNamespace(classes=2), vertical_of=np.zeros(2, np.int16))
    source = SimpleNamespace(store=store)
    examples = loop.Examples(source, np.arange(4), None)
    loop.fit(network, examples, Training(epochs=1), tmp_path, "toy")
    assert type(network) is FastLinear


def test_no_architecture_names_the_fast_layers():
    names = [*(kind.__name__ for kind in FAST.values()), "use_fast_layers"]
    names += [f"networks.{name}" for name in ("cpu", "dropout", "linear", "recurrence")]
    own = {"cpu.py", "dropout.py", "linear.py", "recurrence.py"}
    files = [*ROOT.glob("first_level/models/*.py"), *ROOT.glob("yt8m/networks/*.py")]
    files = [file for file in files if file.parent.name == "models" or file.name not in own]
    assert len(files) > 20
    for file in files:
        assert not [name for name in names if name in file.read_text()], file
