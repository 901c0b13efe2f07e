"""What a value of a feature and an id may be, and how frames are quantised.

N videos.
"""

import numpy as np

# Frames of YouTube-8M are quantised to 255 steps from -2 to 2; those of every kind are stored so.
QUANTUM = np.float32(4 / 255)
LOWEST = np.float32(4 / 512 - 2)
NOTHING = 127  # the frame value next to 0
LARGEST = 65504  # the largest float16, in which stores keep values of whole videos
ROUNDED_TO_INFINITY = 65520  # from here on a float16 is infinite
UNFIT = f"has a value that is not finite or beyond {LARGEST}"
MOST_ID = 1024  # bytes: an array of ids is as wide as the longest


def dequantise(quantised: np.ndarray) -> np.ndarray:
    """uint8 frame features to float32: q * 4/255 + 4/512 - 2, in [-1.992, 2.008]."""
    return quantised.astype(np.float32) * QUANTUM + LOWEST


def quantise(values: np.ndarray) -> np.ndarray:
    """float32 -> uint8: the official dequantisation in reverse; beyond [-2, 2] is clipped."""
    return np.clip(np.rint((values - LOWEST) / QUANTUM), 0, 255).astype(np.uint8)


def find_unfit(values: np.ndarray) -> np.ndarray:
    """Which videos have a value that no stage takes, since float16 cannot hold it: (N, ...) -> bool
    (N,). The same rule for training and for predicting."""
    axes = tuple(range(1, values.ndim))
    with np.errstate(invalid="ignore"):  # NaN is neither above nor below
        low, high = values.min(axes), values.max(axes)
        return ~((low > -ROUNDED_TO_INFINITY) & (high < ROUNDED_TO_INFINITY))


def is_id(identity: bytes) -> bool:
    """Whether every stage can take it for an id, the file of predictions too: 1 to 1,024 bytes of
    UTF-8 without a zero."""
    if not 0 < len(identity) <= MOST_ID or 0 in identity:
        return False
    try:
        return identity.isascii() or bool(identity.decode())
    except UnicodeDecodeError:
        return False


def explain_id(identity: bytes) -> str:
    """What an error says of bytes that are no id."""
    rest = "..." if len(identity) > 40 else ""
    text = f"1 to {MOST_ID:,} bytes of UTF-8 without a zero byte are allowed"
    return f"{identity[:40]!r}{rest} cannot be an id; {text}"
