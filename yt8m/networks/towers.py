"""A network for each kind of features: towers of ResNetLike, pooling of frame-level models.

The paper has two, for rgb and audio. Any other kind gets one by the same rule.
"""

from collections.abc import Callable

from torch import Tensor, nn

from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch


class Towers(nn.Module):
    """Batch -> the output of each kind's network for its features (and the mask, of frames).

    make: (name, width) of a kind -> its network. The weights of rgb are named `of_rgb`.
    """

    def __init__(self, dims: Dims, make: Callable[[str, int], nn.Module]):
        super().__init__()
        self.names = list(dims.features)
        for name, width in dims.features.items():  # "of_": a kind may be called "type"
            self.add_module(f"of_{name}", make(name, width))

    def __getitem__(self, name: str) -> nn.Module:
        return self.get_submodule(f"of_{name}")

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        mask = () if batch.mask is None else (batch.mask,)
        return {name: self[name](batch.features[name], *mask) for name in self.names}
