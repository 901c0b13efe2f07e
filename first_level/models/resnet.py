"""ResNetLike, the main family of the paper (figure 3 and table 1, rows 3, 5, 10 and 16).

Best published: blocks 4/4, dropout 0.4, mixup 0.3. (B, R), (B, A) -> (B, C).
"""

from yt8m.networks.resnet import ResNetLike


class Model(ResNetLike):
    level = "video"
