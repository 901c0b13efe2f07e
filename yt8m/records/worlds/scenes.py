"""Frames of synthetic videos: scenes that show topics, in two modalities, quantised as the real.

A class looks one of three ways, its modes (so a linear model cannot have it all); a quarter of the
classes are seen and not heard, a quarter mostly heard, and some are shown in one short scene only
(so that an average over frames loses them). Row norms differ severalfold between videos.
n videos, T frames, S scenes, K topics, C classes, M modes, D = R or A features.
"""

from dataclasses import dataclass

import numpy as np

from yt8m.records.values import quantise
from yt8m.records.worlds.topics import LATENT, World

MODES = 3
MOST_SCENES = 5
SEEN_ONLY, HEARD_MOSTLY, BRIEF = 0.25, 0.25, 0.2  # fractions of the classes
SHOWN = (0.9, 0.6, 0.6)  # chance that a scene shows the first, second, third topic
GAIN = 0.36  # spread of the log of row norms: the 1st to the 99th percentile is 1 : 5.4, as real
LEVEL = {"rgb": 0.6, "audio": 0.7}  # root mean square of a feature


@dataclass(frozen=True)
class Appearance:
    """prototypes float32 (C, M, D), by modality; strength float32 (C,); brief bool (C,)."""

    prototypes: dict[str, np.ndarray]
    strength: dict[str, np.ndarray]
    brief: np.ndarray


@dataclass(frozen=True)
class Clips:
    """Frames of n videos, one after the other. rgb uint8 (sum T, R), audio uint8 (sum T, A),
    lengths int64 (n,), shown bool (sum T, K): whether a frame shows the k-th topic."""

    rgb: np.ndarray
    audio: np.ndarray
    lengths: np.ndarray
    shown: np.ndarray


def make_appearance(world: World, rgb: int, audio: int, rng: np.random.Generator) -> Appearance:
    """How each class looks and sounds."""
    prototypes = {}
    for name, width in (("rgb", rgb), ("audio", audio)):
        basis = rng.standard_normal((LATENT, width)) / np.sqrt(LATENT)
        shared = world.latent @ basis * np.sqrt(LATENT)
        modes = rng.standard_normal((world.classes, MODES, width))
        prototypes[name] = (0.8 * shared[:, None] + 0.6 * modes).astype(np.float32)
    kind = rng.random(world.classes)
    seen, heard = kind < SEEN_ONLY, kind > 1 - HEARD_MOSTLY
    strength = {
        "rgb": np.where(heard, 0.25, 1.0).astype(np.float32),
        "audio": np.where(seen, 0.0, np.where(heard, 1.2, 0.6)).astype(np.float32),
    }
    brief = rng.random(world.classes) < BRIEF
    brief[: world.num_verticals] = False
    return Appearance(prototypes, strength, brief)


def make_clips(
    world: Appearance, topics: np.ndarray, max_frames: int, noise: float, rng: np.random.Generator
) -> Clips:
    """Frames of videos with these topics (int64 (n, K), -1 = none).

    noise: of scenes and frames, relative to a topic's signal; 1 is the default of the command.
    """
    videos = len(topics)
    shortest = max(1, max_frames // 3)
    lengths = rng.integers(shortest, max_frames + 1, videos)
    scenes, scene_of = _cut(lengths, rng)
    on = _schedule(world, topics, scenes, rng)
    owner = np.repeat(np.arange(videos), lengths)
    mode = rng.integers(0, MODES, topics.shape)
    gain = np.exp(rng.normal(0, GAIN, videos)).astype(np.float32)
    frames = {}
    for name in ("rgb", "audio"):
        scene = _scene_content(world, name, topics, mode, on, noise, rng)
        values = scene[owner, scene_of]
        values += (0.8 * noise) * rng.standard_normal(values.shape, dtype=np.float32)
        values *= (gain * np.float32(LEVEL[name] / np.sqrt(1 + noise**2)))[owner, None]
        frames[name] = quantise(values)
    return Clips(frames["rgb"], frames["audio"], lengths, on[owner, scene_of])


def concatenate(pieces: list[Clips]) -> Clips:
    """The videos of all pieces, in order."""
    names = ("rgb", "audio", "lengths", "shown")
    return Clips(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in names))


def _cut(lengths: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Scenes a video (n,) and the scene of every frame (sum T,); every scene has a frame."""
    videos = len(lengths)
    scenes = np.minimum(rng.integers(1, MOST_SCENES + 1, videos), lengths)
    weights = rng.random((videos, MOST_SCENES)) + 0.1
    weights[np.arange(MOST_SCENES) >= scenes[:, None]] = 0
    share = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    ends = np.floor(share * (lengths - scenes)[:, None] + 1e-9) + np.arange(1, MOST_SCENES + 1)
    place = np.concatenate([np.arange(length) for length in lengths])
    scene_of = (place[:, None] >= np.repeat(ends, lengths, axis=0)).sum(axis=1)
    return scenes, np.minimum(scene_of, np.repeat(scenes, lengths) - 1)


def _schedule(world: Appearance, topics, scenes, rng) -> np.ndarray:
    """Which scenes show which topics: bool (n, S, K), each topic in one scene at least."""
    videos, most = topics.shape
    real = np.arange(MOST_SCENES) < scenes[:, None]
    on = rng.random((videos, MOST_SCENES, most)) < np.array(SHOWN[:most])
    on &= ~(world.brief[topics] & (topics >= 0))[:, None, :]
    sure = (rng.random(topics.shape) * scenes[:, None]).astype(np.int64)
    on |= np.arange(MOST_SCENES)[None, :, None] == sure[:, None, :]
    return on & real[:, :, None] & (topics >= 0)[:, None, :]


def _scene_content(world: Appearance, name: str, topics, mode, on, noise: float, rng) -> np.ndarray:
    """What the frames of a scene have in common: float32 (n, S, D)."""
    width = world.prototypes[name].shape[2]
    content = rng.standard_normal((len(topics), MOST_SCENES, width), dtype=np.float32)
    content *= np.float32(0.5 * noise)
    content += np.float32(0.5 * noise) * rng.standard_normal((len(topics), 1, width), np.float32)
    for k in range(topics.shape[1]):
        looks = world.prototypes[name][topics[:, k], mode[:, k]]
        looks = looks * world.strength[name][topics[:, k], None] * np.float32(1 if k == 0 else 0.8)
        content += on[:, :, k, None] * looks[:, None]
    return content
