"""Each setting of [booster] reaches LightGBM, and the network learns as a plain loop does."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from stacking.config import Stacking, parameters
from stacking.learners.network import fit_head
from stacking.table import FoldRows, Rows
from yt8m.data.splits import seed_of, uniform
from yt8m.networks.candidate_head import CandidateHead

M, F, L = 4, 5, 3  # candidates; columns without and with labels


def test_every_setting_of_a_booster_reaches_lightgbm():
    booster = {
        "objective": "binary",
        "max_rounds": 77,
        "early_stopping_rounds": 6,
        "learning_rate": 0.11,
        "num_leaves": 9,
        "min_data_in_leaf": 13,
        "lambda_l2": 2.5,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.6,
        "max_bin": 31,
        "quantised": True,
        "extra": {"path_smooth": 1.5},
    }
    found = parameters(Stacking.model_validate({"booster": booster, "seed": 8}), threads=3)
    same = {k: v for k, v in booster.items() if k not in ("max_rounds", "early_stopping_rounds")}
    for name in ("quantised", "extra"):
        del same[name]
    assert found == same | {
        "num_iterations": 77,
        "early_stopping_round": 6,
        "use_quantized_grad": True,
        "path_smooth": 1.5,
        "metric": "binary_logloss",
        "bagging_freq": 1,
        "seed": 8,
        "num_threads": 3,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
        "bin_construct_sample_cnt": 100_000,
    }
    plain = parameters(Stacking(), threads=1)
    assert (plain["metric"], plain["bagging_freq"]) == ("cross_entropy", 0)
    assert plain["use_quantized_grad"] is False


def _groups() -> list[FoldRows]:
    """Rows of two folds; the columns of each variant differ."""
    rng, groups = np.random.default_rng(0), []
    for videos, variant in ((21, 1), (16, 3)):
        labels = (rng.random((videos, M)) < 0.3).astype(np.uint8)
        columns = rng.normal(size=(videos, M, F)).astype(np.float32)
        columns[:, :, 0] += labels
        columns[:, :, 2] = 7.0  # a constant
        known = rng.normal(size=(5, videos, M, L)).astype(np.float32) * 100  # some are clipped
        ids = np.array([f"{variant}-{i}".encode() for i in range(videos)])
        groups.append(FoldRows(Rows(ids, labels, labels, columns, known, ids), variant))
    return groups


@pytest.mark.parametrize(("fold", "more"), [(2, {}), (4, {"ema": 0.5, "steps_per_epoch": 3})])
def test_the_network_learns_as_a_plain_loop_does(tmp_path, fold, more):
    training = {"epochs": 3, "batch_size": 8, "lr": 0.05, "clip": 0.05, "weight_decay": 0.5}
    network = {"width": 6, "layers": 2, "training": training | {"seed": 9, "warmup": 0.3} | more}
    settings = Stacking.model_validate({"seed": 6, "network": network, "learner": "network"})
    groups = _groups()
    head, history = fit_head(groups, F + L, settings, fold, tmp_path, "made")
    parts = [(g.rows.features, g.rows.label_features[g.variant]) for g in groups]
    columns = torch.from_numpy(np.concatenate([np.concatenate(part, 2) for part in parts]))
    labels = torch.from_numpy(np.concatenate([g.rows.labels for g in groups]).astype("f"))
    seed = seed_of(6, "stacking network", fold, 9)
    torch.manual_seed(seed)
    plain = CandidateHead(F + L, 6, 2)
    order, start = [], 0  # the sums of a scale are in the order in which it reads the videos
    for group in groups:
        order.append(start + np.sort(np.argsort(uniform(group.rows.ids, "stacking network 6"))))
        start += len(group.rows.ids)
    flat = columns[np.concatenate(order)].reshape(-1, F + L).double()
    spread = flat.std(0, correction=0)
    spread[2] = math.inf
    plain.centre.copy_(flat.mean(0))
    plain.scale.copy_(1 / spread)
    weights = [p for p in plain.parameters() if p.ndim > 1]
    biases = [p for p in plain.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": 0.5}, {"params": biases, "weight_decay": 0.0}],
        lr=0.05, fused=True,
    )  # fmt: skip
    average = {k: v.clone() for k, v in plain.state_dict().items()}
    steps, count, losses, updates = more.get("steps_per_epoch", 5), len(columns), [], 0
    for step in range(3 * steps):
        chosen = np.random.default_rng(seed_of(seed, "order", step // 5)).permutation(count)
        chosen = np.sort(np.array_split(chosen, 5)[step % 5])
        done = step / (3 * steps)
        cosine = (1 + math.cos(math.pi * (done - 0.3) / 0.7)) / 2
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (max(done, 1e-3) / 0.3 if done < 0.3 else cosine)
        logits = plain(columns[chosen])
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        assert nn.utils.clip_grad_norm_(plain.parameters(), 0.05) > 0.05, "or it clips nothing"
        optimizer.step()
        losses.append(loss.item())
        updates += 1
        decay = min(more.get("ema", 0.0), (1 + updates) / (10 + updates))
        average = {k: average[k].lerp(v, 1 - decay) for k, v in plain.state_dict().items()}
    for name, value in head.state_dict().items():
        torch.testing.assert_close(value, average[name], atol=1e-5, rtol=1e-4)
    means = np.reshape(losses, (3, steps)).mean(1)
    assert [line["loss"] for line in history] == pytest.approx(means.tolist(), rel=1e-4)
    assert [line["epoch"] for line in history] == [1, 2, 3]
