"""The report of a small run: as a file, and in a real headless Chromium."""

import json
import re
import shutil

import chromium
import numpy as np
import pytest
import report_world
from report_world import systems_of, words_of

from report import page, summary
from report.figures import ensemble
from report.run import Run
from yt8m.base.cli import InputError
from yt8m.base.files import read_json, write_json
from yt8m.data.splits import Splits
from yt8m.data.store import Store

PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def made(data_set, tmp_path_factory):
    """A run with a holdout, hidden clean labels and its report.html."""
    run, store = tmp_path_factory.mktemp("report") / "plan", Store(data_set / "store")
    report_world.build(run, store, Splits.read(data_set / "folds.safetensors", store.ids))
    (run / "records").mkdir()
    shutil.copy(data_set / "records" / "clean_labels.safetensors", run / "records")
    page.main(run, data_set / "store", run / "report.html", videos=30)
    return run


@pytest.fixture(scope="module")
def bare(data_set, tmp_path_factory):
    """A run without holdout and clean labels."""
    run, store = tmp_path_factory.mktemp("report") / "bare", Store(data_set / "store")
    fold = Splits.read(data_set / "folds.safetensors", store.ids).fold
    report_world.build(run, store, Splits(np.where(fold == -1, 2, fold).astype(np.int8)))
    return run


def _text(run) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


def _data(text: str, name: str):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', text, re.S)[1])


def test_the_file_holds_all_and_refers_to_nothing_outside(made):
    text = _text(made)
    assert not re.search(r"https?://|\bsrc=|@import|url\(", text)
    for anchor in re.findall(r'href="#(\w+)"', text):
        assert f'id="{anchor}"' in text
    for system in (*report_world.MODELS, "stack", "student: six extractors", "export"):
        assert f'<th scope="row">{system}</th>' in text
    assert "Not drawn" not in text
    assert text.count("<figure") == 4 + 2 + 1 + 2 + (3 + 8) + 3
    assert "nan" not in words_of(text.split("<script")[0]).lower().split()


def test_each_figure_stands_in_its_column_of_the_systems(made):
    lines, stack = systems_of(_text(made)), read_json(made / "stacking" / "report.json")
    own = {"stack": stack["stack"], "mean of models": stack["mean"]} | stack["members"]
    differing = set()
    names = ("gap20", "map", "hit1", "perr")
    for system, figures in own.items():
        places = [figures[key] for key in ("out_of_fold", "holdout_single", "holdout")]
        shown = [f"{place[name]:.4f}" for place in places for name in names]
        differing |= {system} if len(set(shown)) == 12 else set()
        cells = lines[system]
        assert cells[1].startswith(f"{shown[0]} ± ")
        assert [*cells[2:5], *cells[6:14]] == shown[1:]
    assert "mean of models" in differing, "an exchange is seen"
    none = ["–"] * 4
    assert lines["export"][1:14] == [*none, "–", "0.8000", "0.7000", "0.9000", "0.6000", *none]
    older = lines["student: ResNetLike"]  # its report has no figure but GAP
    assert older[1:14] == [*none, "–", "0.8000", "–", "–", "–", *none]
    assert _text(made).count("mAP counts only classes") == 1


def test_every_figure_says_what_it_is_of(made):
    figures = re.findall(r"<figure class=.*?</figure>", _text(made), re.S)
    assert len(figures) == 12
    for figure in figures:
        assert re.search(r"videos of the holdout|training videos|\d+ frames", figure)


def test_predictions_are_bounded_and_no_one_predicts_what_it_learnt_from(made, store, splits):
    found = _data(_text(made), "browser-data")
    held, fold = splits.holdout, splits.rows(0)
    assert [group["shown"] for group in found["groups"]] == [15, 15]
    assert [group["total"] for group in found["groups"]] == [len(held), len(fold)]
    assert f"{len(held) - 15} are left out" in words_of(_text(made))
    ids = [set(store.ids[rows].tolist()) for rows in (held, fold)]
    for video in found["videos"]:
        assert video["id"].encode() in ids[video["group"]]
        row = store.ids.tolist().index(video["id"].encode())
        labels = set(store.labels.take([row]).indices.tolist())
        assert labels == {line[0] for line in video["rows"] if line[1]}
        if video["group"]:
            assert {line[4] for line in video["rows"]} == {-1}  # the student learnt from it
    for group in (0, 1):
        mistakes = [video["mistake"] for video in found["videos"] if video["group"] == group]
        assert mistakes == sorted(mistakes, reverse=True)
        assert [v["worst"] for v in found["videos"] if v["group"] == group][:8] == [True] * 8


def test_classes_add_up_to_the_labels(made, store, splits):
    table = _data(_text(made), "class-data")
    labels = store.labels.take(splits.holdout)
    assert sum(row[2] for row in table) == len(labels.indices)
    assert all(row[2] == row[3] + row[5] for row in table)


def test_two_pages_of_a_run_are_the_same(made, data_set, tmp_path):
    page.main(made, data_set / "store", tmp_path / "again.html", videos=30)
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == _text(made)


def test_a_model_that_knows_something_is_missed_and_noise_is_not(made, data_set):
    run = Run(made, data_set / "store")
    lines, whole, _ = ensemble.importance(run, ensemble.draw(run))
    lost = {line["model"]: line["loss"] for line in lines}
    assert lost["sharp"] > 0.02
    assert lost["sharp"] > lost["dull"]
    assert abs(lost["noise"]) < 0.02 < whole


def test_without_a_holdout_it_says_so_and_shows_no_student(bare, data_set):
    older = Run(bare, data_set / "store")
    for line in older.summary["systems"]:
        del line["oof"], line["single"], line["five"]  # as older runs have it
    text = page.render(older, 20)
    assert systems_of(text)["sharp"][2:5] == ["–"] * 3
    assert systems_of(text)["sharp"][1].startswith(
        f"{older.stack['members']['sharp']['gap_oof']:.4f}"
    )
    words = words_of(text)
    assert "there is no holdout" in words
    assert "the stack, out of fold" in words
    assert 'id="clean"' not in text
    found = _data(text, "browser-data")
    assert [group["name"] for group in found["groups"]] == ["training, fold 0"]
    assert {line[4] for video in found["videos"] for line in video["rows"]} == {-1}


def test_a_re_ranked_student_is_its_refitted_models_and_its_booster(made, data_set, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(made, run)
    distill = run / "distill"
    write_json(distill / "config.json", {"refit": {"models": ["sharp"], "copies": 2}})
    names = ("gap20", "map", "hit1", "perr")
    for copy in (0, 1):
        report = distill / "refit" / "sharp" / f"copy{copy}" / "report.json"
        figures = {name: 0.1 * i + 0.02 * copy for i, name in enumerate(names, 1)}
        write_json(report, read_json(distill / "resnet" / "report.json") | {"holdout": figures})
    write_json(distill / "reranker" / "network" / "report.json", {"seconds": 5.0})
    for fold in range(5):
        write_json(distill / "reranker" / f"fold{fold}" / "rows" / "rows.json", {"seconds": 1.0})
    summary.main(run, run / "summary.json")
    found = Run(run, data_set / "store")
    assert list(found.students) == ["refit/sharp/copy0", "refit/sharp/copy1", "resnet"]
    assert found.reranker_seconds == 10
    text = page.render(found, 5)
    words = words_of(text)
    assert systems_of(text)["refitted sharp"][6:10] == ["0.1100", "0.2100", "0.3100", "0.4100"]
    assert "and a network over them" in words
    assert "student: six extractors" not in words


def test_without_frames_verticals_and_videos(made, data_set, monkeypatch):
    monkeypatch.setattr(Store, "has_frames", False)
    run = Run(made, data_set / "store")
    run.store.verticals, run.store.vertical_of = [], np.zeros(0, np.int64)
    text = page.render(run, 0)
    assert "Not drawn: these records have no frames." in text
    assert "Not drawn: the vocabulary of this data set names no verticals." in text
    assert _data(text, "browser-data")["videos"] == []


def test_what_is_missing_is_said(made, data_set, tmp_path):
    with pytest.raises(InputError, match="--videos -1: must be 0 or more"):
        page.main(made, data_set / "store", tmp_path / "x.html", videos=-1)
    run = tmp_path / "run"
    shutil.copytree(made, run)
    (run / "evaluation_predictions.safetensors").unlink()
    with pytest.raises(InputError, match=r"no such file; delete .*evaluation.json, run `make`"):
        page.main(run, data_set / "store", tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


def test_no_browser_is_one_line_that_says_what_to_install(monkeypatch):
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    with pytest.raises(pytest.fail.Exception, match="/nowhere/chromium: no Chromium .*`apt-get"):
        chromium.find()


@pytest.fixture(scope="module")
def browser():
    with chromium.opened() as open_page:
        yield open_page


@pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", PHONE)])
def test_it_loads_without_errors_and_fits(made, browser, scheme, size):
    tab, wrong = browser(made / "report.html", viewport=size, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") == size["width"]
    colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    light = [int(part) > 128 for part in re.findall(r"\d+", colour)]
    assert light == [scheme == "light"] * 3
    one = tab.locator("#theme")
    one.dblclick()
    assert one.inner_text().endswith("dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(253, 253, 251)"
    assert wrong == []
    tab.close()


def test_tables_sort_by_a_click(made, browser):
    tab, wrong = browser(made / "report.html")
    column = "#systems-table tbody td:nth-child(4)"
    tab.locator("#systems-table thead button", has_text="mAP").first.click()

    def shown():
        texts = [text.split()[0] for text in tab.locator(column).all_inner_texts()]
        return [float(text) for text in texts if text != "–"], texts

    values, texts = shown()
    assert len(values) == 6
    assert values == sorted(values, reverse=True)
    assert texts[-1] == "–"  # what has no figure stays last
    tab.locator("#systems-table thead button", has_text="mAP").first.click()
    values, texts = shown()
    assert values == sorted(values)
    assert texts[-1] == "–"
    assert tab.locator("#systems-table [aria-sort]").get_attribute("aria-sort") == "ascending"
    tab.locator("#classes thead button", has_text="F1").click()
    f1 = [float(text) for text in tab.locator("#classes tbody td:last-child").all_inner_texts()]
    assert f1 == sorted(f1, reverse=True)
    assert wrong == []
    tab.close()


def test_videos_are_found_by_id_and_by_class(made, browser):
    tab, wrong = browser(made / "report.html")
    data = _data(_text(made), "browser-data")
    video = next(video for video in data["videos"] if video["group"] == 1)
    tab.select_option("#group", "")
    tab.fill("#search", video["id"])
    assert tab.locator(".video h3").first.inner_text().startswith(video["id"])
    assert tab.locator("#found").inner_text().startswith("1 of the 30")
    name = data["names"][str(video["rows"][0][0])]
    tab.fill("#search", name)
    matching = [
        v for v in data["videos"] if any(data["names"][str(r[0])] == name for r in v["rows"])
    ]
    assert int(tab.locator("#found").inner_text().split()[0]) >= len(matching) > 1
    assert tab.locator("tr.hit").count() >= 1
    tab.fill("#search", "")
    first = float(tab.locator(".video h3 small").first.inner_text().split("mistake ")[1])
    assert first == max(video["mistake"] for video in data["videos"])
    tab.locator(".video summary").first.click()
    tab.wait_for_selector(".video details table")
    assert tab.locator(".video details").first.locator("tbody tr").count() == 3
    tab.fill("#search", "no such thing")
    assert tab.locator(".video").count() == 0
    assert wrong == []
    tab.close()


def test_no_id_and_no_name_becomes_code_or_breaks_the_page(
    made, data_set, browser, tmp_path, monkeypatch
):
    run = Run(made, data_set / "store")
    report_world.poison(run, monkeypatch)
    (tmp_path / "x.html").write_text(text := page.render(run, 60), encoding="utf-8")
    assert text.count("<script") == 3
    tab, wrong = browser(tmp_path / "x.html", viewport=PHONE)
    tab.select_option("#group", "")
    for place in (".video h3", "#classes tbody"):
        assert any("<script>" in text for text in tab.locator(place).all_inner_texts())
    tab.fill("#search", "hacked")
    tab.locator(".video summary").first.click()
    assert tab.evaluate("window.hacked") is None
    assert tab.locator("main img, main a").count() == 0
    assert (tab.evaluate("document.documentElement.scrollWidth"), wrong) == (PHONE["width"], [])
    tab.close()


def test_it_prints_light_and_without_buttons(made, browser):
    tab, wrong = browser(made / "report.html", color_scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    assert not tab.locator("#theme").is_visible()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(tab.pdf()) > 20_000
    assert wrong == []
    tab.close()
