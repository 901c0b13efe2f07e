"""What is done to features before a model sees them, against slow definitions video by video."""

import math

import numpy as np
import pytest
import torch

from first_level.config import ModelConfig, build
from yt8m.cli import InputError
from yt8m.config import validated
from yt8m.dataset import Source
from yt8m.derived import source_of
from yt8m.dynamics import DB3, sparse_part
from yt8m.frames import SCALE, SHIFT, Frames
from yt8m.sampling import CHOICES, RANDOM
from yt8m.settings import Inputs, Statistic
from yt8m.statistics import summaries, widths
from yt8m.store import Dims

LENGTHS = (7, 1, 12, 2, 5, 30)
STATISTICS = Statistic.__args__


def _frames(lengths=LENGTHS, rgb: int = 6, audio: int = 3, seed: int = 0) -> Frames:
    """Few different bytes, so that there are equal ones."""
    generator = torch.Generator().manual_seed(seed)
    parts = (
        torch.randint(100, 112, (sum(lengths), width), generator=generator, dtype=torch.uint8)
        for width in (rgb, audio)
    )
    return Frames(*parts, torch.tensor(lengths))


def _videos(frames: Frames) -> list[np.ndarray]:
    """Each video's frames, rgb and audio side by side: float (T, D)."""
    values = frames.on(torch.device("cpu")).joined.numpy().astype(np.float64)
    return np.split(values, np.cumsum(frames.lengths.numpy())[:-1])


def _source(store, level="video", **inputs) -> Source:
    return Source(store, level, Inputs(**inputs))


def _load(source: Source, rows, training: bool = False, seed: int = 0):
    torch.manual_seed(seed)
    return source.load(np.asarray(rows), torch.device("cpu"), training)


def _dequantised(store, row: int) -> np.ndarray:
    """rgb and audio of a video's frames: float32 (T, R + A)."""
    rgb, audio, _ = store.frames(np.array([row]))
    return np.concatenate([rgb, audio], 1).astype(np.float32) * np.float32(SCALE) + np.float32(
        SHIFT
    )


def _places(choice: str, length: int, most: int, training: bool, seed: int = 0) -> list[int]:
    torch.manual_seed(seed)
    index, kept = CHOICES[choice](torch.tensor([3, length]), most, training)
    assert len(index) == int(kept.sum())
    return (index[int(kept[0]) :] - 3).tolist()


def test_choices_at_prediction():
    assert _places("stride", 10, 4, True) == _places("stride", 10, 4, False) == [0, 2, 5, 7]
    assert _places("first", 10, 4, True) == _places("first", 10, 4, False) == [0, 1, 2, 3]
    assert _places("subsequence", 10, 4, False) == [3, 4, 5, 6]
    assert _places("random_stride", 10, 4, False) == [1, 3, 6, 8]
    assert _places("random", 10, 4, False) == _places("bootstrap", 10, 4, False) == [0, 2, 5, 7]


@pytest.mark.parametrize("most", [1, 4, 9, 10, 50])
def test_choices_in_training(most):
    m = min(most, 10)
    seen = {choice: set() for choice in CHOICES}
    for seed in range(60):
        places = {c: _places(c, 10, most, True, seed) for c in CHOICES}
        for choice, found in places.items():
            seen[choice].add(tuple(found))
            assert len(found) == m
            assert found == sorted(found)
            assert 0 <= found[0] <= found[-1] < 10
        assert np.all(np.diff(places["subsequence"]) == 1)
        assert np.all(np.diff(places["random"]) > 0)
        steps = np.diff(places["random_stride"])
        assert np.isin(steps, [10 // m, -(-10 // m)]).all()
    for choice in ("subsequence", "random_stride", "random"):
        expected = {"subsequence": 10 - m + 1, "random_stride": 10, "random": math.comb(10, m)}
        assert len(seen[choice]) <= expected[choice]
        assert (len(seen[choice]) > 1) == (m < 10), choice
    assert len(seen["stride"]) == len(seen["first"]) == 1
    assert len(seen["bootstrap"]) > 1
    if m < 10:
        reached = {place for found in seen["random"] for place in found}
        assert reached == set(range(10))


def test_bootstrap_draws_with_replacement():
    draws = [_places("bootstrap", 10, 10, True, seed) for seed in range(200)]
    counts = np.bincount(np.concatenate(draws), minlength=10) / 200
    assert np.abs(counts - 1).max() < 0.25
    distinct = np.mean([len(set(draw)) for draw in draws])
    assert abs(distinct - 10 * (1 - 0.9**10)) < 0.3


@pytest.mark.parametrize("training", [False, True])
def test_segments_are_means_of_every_frame_once(store, training):
    rows, most = np.arange(20), 4
    source = _source(store, "frame", sampling="segments", max_frames=most, normalise="none")
    different = False
    batch = _load(source, rows, training)
    for place, row in enumerate(rows):
        frames = _dequantised(store, row)
        n, k = len(frames), min(most, len(frames))
        found = batch.features[place][batch.mask[place]].numpy()
        assert len(found) == k
        cuts = [j * n // k for j in range(k)] + [n]
        equal = np.stack([frames[a:b].mean(0) for a, b in zip(cuts, cuts[1:], strict=False)])
        if not training:
            np.testing.assert_allclose(found, equal, atol=1e-5)
            continue
        different |= not np.allclose(found, equal, atol=1e-5)
        begin = 0  # some cuts explain what was found
        for mean in found:
            means = frames[begin:].cumsum(0) / np.arange(1, n - begin + 1)[:, None]
            begin += int(np.abs(means - mean).max(1).argmin()) + 1
            np.testing.assert_allclose(means[np.abs(means - mean).max(1).argmin()], mean, atol=1e-4)
        assert begin == n
    assert different == training


@pytest.mark.parametrize("threshold", [0.01, 0.03, 1.5])
def test_scenes_begin_where_the_cosine_distance_passes_the_threshold(threshold):
    from yt8m.sampling import scenes

    frames = _frames()
    index, counts = scenes(frames.on("cpu"), threshold)
    expected, first = [], 0
    for video in _videos(frames):
        unit = video / np.linalg.norm(video, axis=1, keepdims=True)
        cuts = [t for t in range(1, len(video)) if 1 - unit[t] @ unit[t - 1] > threshold]
        bounds = [0, *cuts, len(video)]
        middles = [(a + b - 1) // 2 for a, b in zip(bounds, bounds[1:], strict=False)]
        expected.append([first + middle for middle in middles])
        first += len(video)
    assert counts.tolist() == [len(middles) for middles in expected]
    assert index.tolist() == sum(expected, [])
    assert len(index) == len(LENGTHS) if threshold > 1 else len(LENGTHS) < len(index) < sum(LENGTHS)


def test_a_subset_mean_is_a_mean_of_some_frames(store):
    rows = np.arange(30)
    source = _source(store, "video", sampling="subset_mean", max_frames=2, normalise="none")
    shares = []
    plain, mixed = _load(source, rows), _load(source, rows, training=True)
    for place, row in enumerate(rows):
        frames = _dequantised(store, row)
        np.testing.assert_allclose(plain.features[place], frames.mean(0), atol=1e-5)
        found = mixed.features[place].numpy()
        errors = {}
        for a in range(len(frames)):
            for b in range(a + 1, len(frames)):
                d = frames[b] - frames[a]
                share = float((found - frames[a]) @ d / (d @ d))
                errors[np.abs(frames[a] + share * d - found).max()] = share
        assert min(errors) < 1e-4
        shares.append(errors[min(errors)])
    assert 0 <= min(shares) < 0.3 < 0.7 < max(shares) <= 1


@pytest.mark.parametrize("sampling", RANDOM)
@pytest.mark.parametrize("level", ["video", "frame"])
def test_randomness_is_in_training_alone_and_repeats_with_its_seed(store, splits, sampling, level):
    inputs = Inputs(sampling=sampling, max_frames=3)
    source = source_of(store, level, inputs, splits)
    rows = np.arange(40)
    one, two = (_load(source, rows, True, seed=5).features for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, _load(source, rows, True, seed=6).features)
    state = torch.get_rng_state()
    first = source.load(rows, torch.device("cpu")).features
    assert torch.equal(torch.get_rng_state(), state), "a prediction drew random numbers"
    assert torch.equal(first, _load(source, rows, seed=6).features)
    together = source.load(rows, torch.device("cpu"))
    for place in range(5):
        alone = source.load(rows[place : place + 1], torch.device("cpu")).features[0]
        kept = slice(None) if together.mask is None else together.mask[place]
        torch.testing.assert_close(alone, together.features[place][kept])


@pytest.mark.parametrize("sampling", ["stride", "scenes", "first"])
def test_what_is_not_random_draws_nothing(store, sampling):
    source = _source(store, "frame", sampling=sampling, max_frames=3)
    one, two = (_load(source, np.arange(20), True, seed) for seed in (1, 2))
    assert torch.equal(one.features, two.features)


def test_skipping_leaves_the_last_frame(store):
    rows = np.arange(10)
    for skip in (0, 4, 1000):
        batch = _load(_source(store, "frame", skip_frames=skip, normalise="none"), rows)
        for place, row in enumerate(rows):
            frames = _dequantised(store, row)
            expected = frames[min(skip, len(frames) - 1) :]
            found = batch.features[place][batch.mask[place]]
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_wavelet_is_db3():
    k = np.arange(6)
    for power in range(3):
        assert abs(np.sum(np.array(DB3) * (k - 2.0) ** power)) < 1e-9
    for shift in (0, 2, 4):
        product = np.dot(DB3[shift:], DB3[: 6 - shift])
        assert abs(product - (shift == 0)) < 1e-9


@pytest.mark.parametrize("dynamics", ["centred", "high_pass"])
def test_dynamics_equal_their_definition(store, dynamics):
    rows = np.arange(12)
    batch = _load(_source(store, "frame", dynamics=dynamics, normalise="none"), rows)
    for place, row in enumerate(rows):
        frames = _dequantised(store, row)
        n = len(frames)
        if dynamics == "centred":
            expected = frames - frames.mean(0)
        else:
            mirrored = np.concatenate([frames, frames[::-1]] * 8)  # of any length from 1 on
            expected = [
                sum(g * mirrored[(t + 2 - j) % (2 * n)] for j, g in enumerate(DB3))
                for t in range(n)
            ]
        found = batch.features[place][batch.mask[place]]
        np.testing.assert_allclose(found, np.array(expected), atol=2e-5)


def test_high_pass_takes_away_what_is_quadratic_in_time(store):
    from yt8m.dynamics import high_pass

    t = torch.arange(20.0)[:, None]
    values = torch.cat([1 + 0 * t, t, 0.1 * t * t], 1)
    found = high_pass(Frames(values, values[:, :0], torch.tensor([20]))).rgb
    torch.testing.assert_close(found[3:-2], torch.zeros_like(found[3:-2]), atol=1e-4, rtol=0)
    assert (found[:, 0].abs() < 1e-6).all()


def _slow_pcp(m: np.ndarray) -> np.ndarray:
    """The sparse part, by the textbook with full singular value decompositions."""
    w = 1 / math.sqrt(max(m.shape))
    spectral = np.linalg.norm(m, 2)
    y = m / max(spectral, np.abs(m).max() / w)
    mu, s = 1.25 / spectral, np.zeros_like(m)
    for _ in range(100):
        u, values, v = np.linalg.svd(m - s + y / mu, full_matrices=False)
        low = (u * np.maximum(values - 1 / mu, 0)) @ v
        rest = m - low + y / mu
        s = np.sign(rest) * np.maximum(np.abs(rest) - w / mu, 0)
        error = m - low - s
        if np.linalg.norm(error) <= 1e-4 * np.linalg.norm(m):
            break
        y, mu = y + mu * error, mu * 1.5
    return s


@pytest.mark.parametrize(("longest", "width"), [(12, 40), (40, 12)])
def test_pcp_equals_the_textbook_and_ignores_padding_and_batch_mates(longest, width):
    generator = np.random.default_rng(0)
    lengths = [longest, 1, longest // 2, 5]
    frames = np.zeros((4, longest, width))
    for video, n in zip(frames, lengths, strict=True):
        video[:n] = generator.normal(size=(n, 1)) * generator.normal(size=(1, width))
        video[:n][generator.random((n, width)) < 0.1] += 5
    found = sparse_part(torch.from_numpy(frames), torch.tensor(lengths))
    for video, sparse, n in zip(frames, found.numpy(), lengths, strict=True):
        assert not sparse[n:].any()
        np.testing.assert_allclose(sparse[:n], _slow_pcp(video[:n]), atol=1e-6)
    black = torch.zeros(2, 3, 4, dtype=torch.float64)
    assert torch.equal(sparse_part(black, torch.tensor([3, 1])), black)


def test_pcp_finds_what_is_sparse():
    generator = np.random.default_rng(1)
    low = generator.normal(size=(40, 2)) @ generator.normal(size=(2, 60))
    sparse = (generator.random((40, 60)) < 0.05) * generator.choice([-4.0, 4.0], size=(40, 60))
    found = sparse_part(torch.from_numpy(low + sparse)[None], torch.tensor([40]))[0].numpy()
    assert np.abs(found - sparse).max() < 0.05


def _slow_statistic(name: str, video: np.ndarray) -> np.ndarray:
    if name == "top5":
        ordered = np.sort(video, 0)[::-1]
        return np.concatenate([ordered[min(k, len(video) - 1)] for k in range(5)])
    if name == "mode":
        columns = (np.unique(column, return_counts=True) for column in video.T)
        return np.array([values[counts.argmax()] for values, counts in columns])
    if name == "length":
        return np.array([math.log(len(video)) / math.log(360)])
    return getattr(np, name)(video, 0)


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_equal_their_definition(name):
    frames = _frames()
    rgb, audio = summaries(frames.on("cpu"), (name,), frames.lengths)
    for part, columns in ((rgb, slice(0, 6)), (audio, slice(6, 9))):
        assert widths((name,), part.shape[1]) == [part.shape[1]]
        for found, video in zip(part, _videos(frames), strict=True):
            expected = _slow_statistic(name, video[:, columns])
            np.testing.assert_allclose(found, expected, atol=2e-6)


def test_statistics_are_side_by_side_and_normalised_each(store, splits):
    names = ("top5", "length", "mean", "std")
    rows = np.arange(15)
    sides = []
    for normalise in ("none", "l2"):
        inputs = Inputs(statistics=names, normalise=normalise)
        source = source_of(store, "video", inputs, splits)
        sides.append(_load(source, rows))
        assert source.dims.rgb == sides[-1].rgb.shape[1] == 7 * store.dims.rgb + 1
        assert source.dims.audio == sides[-1].audio.shape[1] == 7 * store.dims.audio + 1
    plain, unit = sides
    for part, scaled in ((plain.rgb, unit.rgb), (plain.audio, unit.audio)):
        width = (part.shape[1] - 1) // 7
        pieces = zip(part.split([5 * width, 1, width, width], 1),
                     scaled.split([5 * width, 1, width, width], 1), strict=True)  # fmt: skip
        for name, (before, after) in zip(names, pieces, strict=True):
            norm = 1 if name == "length" else before.norm(dim=1, keepdim=True)
            scale = 1 if name == "length" else before.shape[1] ** 0.5
            torch.testing.assert_close(after, before / norm * scale)
    for place, row in enumerate(rows):
        frames = _dequantised(store, row)
        rgb = frames[:, : store.dims.rgb]
        expected = np.concatenate([_slow_statistic(name, rgb) for name in names])
        np.testing.assert_allclose(plain.rgb[place], expected, atol=2e-3)  # kept as float16


def test_batch_mates_do_not_change_statistics():
    frames = _frames((30, 4)).on("cpu")
    alone = Frames(frames.rgb[30:], frames.audio[30:], frames.lengths[1:])
    together = summaries(frames, STATISTICS, frames.lengths)
    for many, one in zip(together, summaries(alone, STATISTICS, alone.lengths), strict=True):
        torch.testing.assert_close(many[1], one[0])


@pytest.mark.parametrize("modalities", ["both", "rgb", "audio"])
@pytest.mark.parametrize("normalise", ["none", "l2", "standard", "whiten"])
@pytest.mark.parametrize(
    ("level", "options"),
    [
        ("video", {}),
        ("video", {"statistics": ["mean", "length", "top5"]}),
        ("video", {"statistics": ["std"], "sampling": "centroids", "clusters": 8}),
        ("video", {"sampling": "subset_mean"}),
        ("video", {"skip_frames": 3, "feature_share": 0.3}),
        ("frame", {"feature_share": 0.01, "sampling": "random", "max_frames": 4}),
        ("frame", {"dynamics": "pcp", "sampling": "segments", "max_frames": 5}),
        ("frame", {"sampling": "subset_mean"}),
        ("frame", {"sampling": "centroids", "clusters": 8, "max_frames": 3}),
    ],
)
def test_dims_are_what_load_gives(store, splits, modalities, normalise, level, options):
    values = {"modalities": modalities, "normalise": normalise, **options}
    source = source_of(store, level, validated(values, Inputs, "test"), splits)
    for training in (False, True):
        batch = _load(source, np.arange(9), training)
        assert (batch.rgb.shape[-1], batch.audio.shape[-1]) == (source.dims.rgb, source.dims.audio)
        assert torch.isfinite(batch.features).all()
        assert {batch.rgb.dtype, batch.audio.dtype} == {torch.float32}  # of an unused one too
        assert (batch.rgb.shape[-1] > 0) == (modalities != "audio")
        if level == "frame":
            assert batch.mask.shape[1] <= source.dims.max_frames
            assert not batch.features[~batch.mask].any()


def test_feature_share_is_fixed_by_its_seed(store):
    rows = np.arange(30)
    whole = _load(_source(store), rows).rgb
    chosen = {}
    for seed in (0, 1):
        part = _load(_source(store, feature_share=0.5, feature_seed=seed), rows).rgb
        equal = (part[:, :, None] == whole[:, None]).all(0)  # which of the columns each one is
        assert equal.sum(1).tolist() == [1] * 12
        chosen[seed] = equal.int().argmax(1).tolist()
        assert chosen[seed] == sorted(chosen[seed])
        assert torch.equal(
            part, _load(_source(store, feature_share=0.5, feature_seed=seed), rows).rgb
        )
    assert chosen[0] != chosen[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"statistics": []}, "statistics"),
        ({"statistics": ["mean", "mean"]}, "statistics: one is named twice"),
        ({"statistics": ["average"]}, "Input should be 'mean', 'std'"),
        ({"statistics": ["std"], "sampling": "subset_mean"}, "only .* fits"),
        ({"sampling": "scene"}, "Input should be 'stride'"),
        ({"feature_share": 0.0}, "greater than 0"),
    ],
)
def test_wrong_settings_are_named(values, message):
    with pytest.raises(InputError, match=message):
        validated(values, Inputs, "x.toml")


def test_a_model_that_cannot_have_its_inputs_says_so():
    video = ModelConfig(arch="linear", inputs=Inputs(skip_frames=20, statistics=("mean", "std")))
    message = (
        "x.toml: inputs.skip_frames, inputs.statistics need frames and the data has none; give"
    )
    with pytest.raises(InputError, match=message):
        build(video, Dims(6, 3, 9, 0), "x.toml")
    frame = ModelConfig(arch="attention_net", inputs=Inputs(statistics=("mean", "std")))
    with pytest.raises(InputError, match="x.toml: inputs.statistics are for video-level models"):
        build(frame, Dims(6, 3, 9, 12), "x.toml")


def test_a_distilled_model_takes_what_its_export_can_make():
    from distill.config import DistillConfig

    for inputs, name in (
        ({"statistics": ["std"]}, "statistics"),
        ({"feature_share": 0.5}, "share"),
    ):
        with pytest.raises(InputError, match=f"d.toml: inputs = .*{name}: an export takes"):
            validated({"inputs": inputs}, DistillConfig, "d.toml")
    with pytest.raises(InputError, match='an export can do "none" and "l2"'):
        validated({"inputs": {"normalise": "whiten"}}, DistillConfig, "d.toml")
