"""Every architecture at toy width, with the arguments that tests try."""

from pathlib import Path

from first_level.config import EXPORTED, MODELS, architecture
from yt8m.data.store import Dims

ROOT = Path(__file__).parents[2]
# Not what an export folder tells the sizes of: tests/first_level/test_transfer.py has it.
ARCHS = sorted({path.stem for path in MODELS.glob("[a-z]*.py")} - {EXPORTED})
PLANS = [ROOT / "first_level" / "configs", ROOT / "bench" / "experiments" / "zoo_configs"]
CONFIGS = sorted(path for plans in PLANS for path in plans.glob("*/*.toml"))
DIMS = Dims({"rgb": 6, "audio": 3}, classes=9, max_frames=12, verticals=3)
# Toy sizes of arguments that set a size; everything else keeps its default.
TOY = {"width": 8, "widths": [8], "hidden": 8, "words": 8}
# Arguments to test beside those sizes, each like an architecture of its own; by default {} alone.
VARIANTS: dict[str, list[dict]] = {
    "bilinear": [{"code": 4}],
    "cyclic": [{}, {"times": 1}],
    "gated_mlp": [
        {},
        {"layers": 2, "sort": True},
        {"layers": 3, "residual": True},
        {"heads": 5, "dropout": 0.2},
    ],
    "mlp": [{}, {"halvings": 2}, {"gating": 1, "experts": 2}, {"gating": 2}],
    "moe": [{}, {"experts": 3}],
    "neighbours": [{}, {"neighbours": 2}],
    "recurrent_mlp": [{}, {"cell": "lstm", "layers": 1, "steps": 3}],
    "resnet": [
        {},
        {"rgb_share": 0.625, "tower_blocks": 2},
        {"noise": 0.5},
        {"gating": True},
        {"verticals": True},
        {"hierarchy": True, "gating": True},
    ],
    "attention_net": [{}, {"heads": 2}],
    "dbof": [
        {"projection": 16, "hidden": [8]},
        {"projection": 16, "hidden": [8], "gating": True, "experts": 2},
        {"projection": 0, "hidden": [8, 8]},
    ],
    "frame_convolutions": [{"rgb_channels": [8, 8], "audio_channels": [4, 4], "channels": [8, 9]}],
    "frame_logistic": [{}, {"each_frame": True}],
    "lstm": [
        {"hidden": [8], "layers": 1, "bidirectional": True},
        {"hidden": [], "readout": "ramp", "residual": True, "batch_norm": True},
        {"hidden": [8, 8], "cell": "gru", "bidirectional": True, "residual": True},
    ],
    "lstm_attention": [{"audio_width": 4, "hidden": [8, 8]}],
    "lstm_moe": [{"experts": 5, "active": 2, "expert_width": 8, "dropout": 0.0}],
    "netvlad": [
        {"clusters": 4},
        {"clusters": 4, "gating": 1, "experts": 2},
        {"clusters": 4, "groups": 2, "gating": 4},
    ],
    "transformer": [{"heads": 2, "layers": 2}, {"positions": True}],
}
CASES = [(arch, arguments) for arch in ARCHS for arguments in VARIANTS.get(arch, [{}])]
FRAME_CASES = [case for case in CASES if architecture(case[0], "").level == "frame"]
