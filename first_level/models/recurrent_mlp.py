"""MondayFCN3 and 4: GRU or LSTM layers that are shown one vector again and again. (B, D) -> (B, C).

The last output of the last layer -> C. Published: GRU 1024 x 2 and 1024 x 4 layers over 10 steps,
512 x 3 over 30 (MondayFCN3); LSTM 256 x 3 over 10 (MondayFCN4).
"""

from torch import Tensor, nn

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


class Model(nn.Module):
    level = "video"

    def __init__(
        self, dims: Dims, width: Size = 1024, layers: Size = 2, steps: Size = 10, cell: str = "gru"
    ):
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell = {cell!r}; allowed: {', '.join(CELLS)}")
        self.recurrent = CELLS[cell](dims.width, width, layers)
        self.steps = steps
        self.classifier = nn.Linear(width, dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        outputs, _ = self.recurrent(batch.joined.expand(self.steps, -1, -1))  # (steps, B, W)
        return self.classifier(outputs[-1])
