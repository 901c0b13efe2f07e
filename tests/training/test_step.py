"""A training step: averaged weights, clipped gradients, memory that is used again."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from yt8m.base import device
from yt8m.training import checkpoint
from yt8m.training.settings import Training


def test_ema_follows_its_recursion_in_weights_and_batch_statistics():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    settings = Training(ema=0.5, optimizer="adam", lr=0.1)
    objective, folder = torch.nn.Module(), Path("none")
    run = checkpoint.TrainingRun(model, objective, settings, "cpu", folder, "test", "")
    keys = ("0.weight", "1.running_mean", "1.running_var")
    expected = {key: model.state_dict()[key].clone() for key in keys}
    for update in range(1, 9):
        model(torch.randn(16, 3)).square().sum().backward()
        run.step()
        decay = min(0.5, (1 + update) / (10 + update))
        for key in keys:
            expected[key] = decay * expected[key] + (1 - decay) * model.state_dict()[key]
    run.finish()
    for key in keys:
        torch.testing.assert_close(model.state_dict()[key], expected[key])
    assert model[1].num_batches_tracked == 8


def test_determinism_fills_no_tensors():
    device.use_deterministic_kernels()
    assert torch.get_deterministic_debug_mode() == 1, "warn"
    assert not torch.utils.deterministic.fill_uninitialized_memory


def test_jobs_use_freed_memory_again_and_spend_no_time_on_denormal_numbers():
    code = """
import resource, torch
from yt8m.base import processor
processor.set_threads(2)
print(int(torch.full((1 << 20,), 1e-39).mul(0.5).count_nonzero()))
faults = []
for _ in range(40):
    x = torch.ones(5_000_000)
    del x
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[-10])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    denormal, faults = map(int, done.stdout.split())
    assert denormal == 0, "torch's threads handle them one by one"
    assert faults < 4_900, "nine blocks of 20 MB are 44,000 pages"


@pytest.mark.parametrize("most", [0.5, 50.0])
def test_gradients_are_clipped_as_pytorch_clips_them(most):
    ours, theirs = ([torch.nn.Parameter(torch.ones(n)) for n in (3, 4)] for _ in range(2))
    for parameters in (ours, theirs):
        for number, parameter in enumerate(parameters):
            parameter.grad = torch.arange(len(parameter)) + float(number)
        parameters.append(torch.nn.Parameter(torch.ones(2)))  # frozen: no gradient
    expected = torch.nn.utils.clip_grad_norm_(theirs, most)
    assert float(device.clip_gradients(ours, most)) == float(expected)
    for ours_, theirs_ in zip(ours[:2], theirs[:2], strict=True):
        assert torch.equal(ours_.grad, theirs_.grad)
    ours[0].grad[0] = torch.nan
    assert device.clip_gradients(ours, most).isnan()
