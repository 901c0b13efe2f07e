"""Faster layers for training on a CPU, in place of nn.Linear, nn.Dropout and nn.LSTM.

Architectures use torch's own layers. Training swaps these in (yt8m/training/loop.py). linear.py,
dropout.py and recurrence.py each say what they gain.
"""

from torch import nn

from yt8m.networks.dropout import FastDropout
from yt8m.networks.linear import FastLinear
from yt8m.networks.recurrence import FastLSTM

FAST = {nn.Linear: FastLinear, nn.Dropout: FastDropout, nn.LSTM: FastLSTM}


def use_fast_layers(network: nn.Module) -> nn.Module:
    """Swaps the fast layers into a network on a CPU; returns the network.

    Only the classes of the layers change: parameters, their names and their values stay. A network
    on another device, and a subclass of torch's layers, stay as they are.
    """
    if any(parameter.device.type != "cpu" for parameter in network.parameters()):
        return network
    for layer in network.modules():
        if type(layer) in FAST and (type(layer) is not nn.LSTM or _is_simple(layer)):
            layer.__class__ = FAST[type(layer)]
    return network


def _is_simple(lstm: nn.LSTM) -> bool:
    """Whether FastLSTM can compute it."""
    plain = lstm.batch_first and lstm.bias and not lstm.bidirectional
    return plain and lstm.num_layers == 1 and not lstm.proj_size
