"""A network for each kind of features: the towers of ResNetLike, the pooling of frame-level models.

The paper has two, for rgb and audio. Another kind gets one by the same rule.
"""

from collections.abc import Callable

from torch import Tensor, nn

from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch


class Towers(nn.Module):
    """Batch -> what each kind's network gives of its features (and of the mask, if there is one).

    make: of a kind's name and width, its network. Weights of rgb are called `of_rgb`.
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
