"""Labels as people write them: every way gives the same ones, or one line with both readings."""

import numpy as np
import pytest
from convert_world import IDS, VIDEO, converted, write_parquet

from folds.conversion.label_files import LabelOptions, read_labels
from yt8m.base.cli import InputError
from yt8m.records.vocabulary import Vocabulary

NONE, ANIMALS = Vocabulary([]), Vocabulary(["Bird", "cat", "dog", "tabby cat"])
NUMBERS = {"a": [0, 7], "b": [], "c": [3], "d": [3, 7]}


def labels_of(path, vocabulary=NONE, **options):
    """The classes of each video, by name where they have names."""
    known = read_labels(path, vocabulary, LabelOptions(**options))
    names = known.vocabulary.names or range(known.classes)
    rows = np.split(known.labels.indices, known.labels.indptr[1:-1])
    found = zip(known.ids.tolist(), rows, strict=True)
    return {key.decode(): [names[number] for number in row] for key, row in found}


def write(path, *cells, header="id,labels", end="\n"):
    """A CSV of the videos a, b, ... with these cells in quotes."""
    lines = [
        f'{name},"{cell.replace(chr(34), chr(34) * 2)}"'
        for name, cell in zip("abcdef", cells, strict=False)
    ]
    path.write_text(end.join([header, *lines, ""]), newline="", encoding="utf-8")
    return path


@pytest.mark.parametrize("column", ["labels", "label"])
@pytest.mark.parametrize(
    "cells",
    [
        ("7 0", "", "3", "7 3"),
        ("7,0", "", "3", "3,7"),
        ("7, 0,7", " ", "3,", " 3 ,7"),
        ("7;0", "nan", "3", "3;7"),
        ("7|0", "NaN", "3", "3 | 7"),
        ("7.0 0.0", "<NA>", "3.0", "3. 7."),
        ("7\t0", "None", "3", "3\n7"),
        ("[7, 0]", "[]", "[3]", "[3, 7]"),
        ("[7 0]", "[]", "3", "[3 7]"),
        ("(7, 0)", "()", "(3,)", "{3, 7}"),
        ("[7. 0.]", "[nan]", "[3.0]", "[3., 7.]"),
        ('["7","0"]', "null", '["3"]', '["3", "7"]'),
        ("array([7, 0])", "set()", "{3}", "array([3, 7], dtype=int64)"),
        ("[np.int64(7), np.int64(0)]", "[None]", "[np.int64(3)]", "[np.int64(3), np.int64(7)]"),
    ],
)
def test_numbers_in_every_form(tmp_path, column, cells):
    assert labels_of(write(tmp_path / "l.csv", *cells, header=f"id,{column}")) == NUMBERS


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (("dog;tabby cat", "", "Bird"), {}),
        (("tabby cat|dog", "", "Bird|"), {}),
        (('["tabby cat","dog"]', "[]", '["Bird"]'), {}),
        (("['tabby cat', 'dog']", "", "['Bird']"), {}),
        (("['tabby cat' 'dog']", "['nan']", "['Bird']"), {}),
        (("['tabby cat' 'dog']", "[nan]", "['Bird' None]"), {}),
        (("('tabby cat', \"dog\")", "()", "('Bird',)"), {}),
        (("'tabby cat','dog'", "", "'Bird'"), {}),
        (("array(['tabby cat', 'dog'], dtype=object)", "", "{'Bird'}"), {}),
        (("[np.str_('tabby cat'), np.str_('dog')]", "", "[np.str_('Bird')]"), {}),
        (("tabby cat,dog", "", "Bird"), {"separator": "comma"}),
        (("[tabby cat, dog]", "", "[Bird]"), {"separator": "comma"}),
        (("tabby cat / dog", "", "Bird"), {"separator": "/"}),
        (("tabby cat,dog", "", "Bird"), {"vocabulary": ANIMALS}),
        (("tabby cat, dog", "", "Bird"), {"vocabulary": ANIMALS}),
    ],
)
def test_names_in_every_form(tmp_path, cells, options):
    found = labels_of(write(tmp_path / "l.csv", *cells), **options)
    assert {key: sorted(names) for key, names in found.items()} == {
        "a": ["dog", "tabby cat"], "b": [], "c": ["Bird"]
    }  # fmt: skip


def test_commas_between_names_are_taken_where_the_names_come_back(tmp_path):
    path = write(tmp_path / "l.csv", "dog,cat", "cat", "dog", "Bird,cat", "Bird")
    assert labels_of(path)["d"] == ["Bird", "cat"]
    path = write(tmp_path / "l.csv", "Speech, man speaking", "Speech", header="id,label")
    with pytest.raises(InputError, match="may be one label, or the labels 'Speech' and 'man spe"):
        labels_of(path)
    assert labels_of(path, separator="none")["a"] == ["Speech, man speaking"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\n,,\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_tables_of_every_kind(tmp_path, delimiter, mark, end):
    cells = [[" ID", "x", "labels "], ["a", "1", "7 0"], ["b", "2", ""], [" c ", "", " 3"]]
    cells += [["d", "9", '"3 7"']]
    end = end.replace(",", delimiter)
    text = end.join(delimiter.join(row) for row in cells) + end
    (tmp_path / "l.csv").write_text(mark + text, newline="", encoding="utf-8")
    assert labels_of(tmp_path / "l.csv") == NUMBERS


@pytest.mark.parametrize(
    "text",
    [
        "id,label,label\na,7,0\nb,,\nc,3,\nd,7,3\n",
        "id,label_1,label_2\na,7.0,0.0\nb,,\nc,,3.0\nd,7.0,3\n",
        ",id,label1,label2\n0,a,0,7\n1,b,,\n2,c,,3\n3,d,7,3\n",
        "Unnamed: 0,id,0,3,7\n9,a,1,0,1\n8,b,0,0,0\n7,c,0,1,0\n6,d,0,1,1\n",
        "id,0,3,7,1\na,1,0,1.0,0\nb,0,0,0,0\nc,False,True,False,False\nd,0,1,1,0\n",
        "video_id,label\na,7\na,0\nb,\nc,3\nd,7\nd,3\nd,7\n",
    ],
)
def test_several_columns_and_rows(tmp_path, text):
    (tmp_path / "l.csv").write_text(text)
    assert labels_of(tmp_path / "l.csv") == NUMBERS


def test_a_column_a_class_counts_a_class_without_videos(tmp_path):
    (tmp_path / "l.csv").write_text("id,dog,tabby cat,Bird\na,1,1,0\nb,0,0,0\n")
    known = read_labels(tmp_path / "l.csv", NONE)
    assert known.vocabulary.names == ["Bird", "dog", "tabby cat"]
    assert known.labels.indices.tolist() == [1, 2]


def test_columns_of_other_names_are_chosen(tmp_path):
    (tmp_path / "l.csv").write_text("key,label,labels,Tags\na,x,y,dog\nb,x,y,\n")
    assert labels_of(tmp_path / "l.csv", id_column="key", columns=("tags",)) == {
        "a": ["dog"], "b": []
    }  # fmt: skip


@pytest.mark.parametrize(
    "columns",
    [
        {"labels": [[7, 0], [], [3], [3, 7]]},
        {"labels": [[7.0, 0.0], None, [3.0, None], [3.0, 7.0]]},
        {"labels": [["7", "0"], None, ["3"], ["3", "7"]]},
        {"label1": [7.0, float("nan"), 3.0, 3.0], "label2": [0, None, None, 7]},
        {"labels": ["7|0", None, "3", "3|7"]},
    ],
)
def test_parquet(tmp_path, columns):
    write_parquet(tmp_path / "l.parquet", id=list("abcd"), **columns)
    assert labels_of(tmp_path / "l.parquet") == NUMBERS


def test_quotes_are_part_of_a_name_that_is_no_list(tmp_path):
    names = ['"Weird Al" Yankovic', "'Allo 'Allo!", "(G)I-DLE", "[Private]", '("Hi" song)']
    found = labels_of(write(tmp_path / "l.csv", *names, header="id,label"))
    assert [name for (name,) in found.values()] == names


def test_columns_of_a_table_that_nobody_reads_are_named(forms, tmp_path, capsys):
    means = {kind: list(values) for kind, values in forms["means"].items()}
    write_parquet(tmp_path / "t.parquet", id=IDS, **means, labels=["7"] * 5)
    converted(tmp_path, table="t.parquet")
    assert "the table's columns labels were not read; see --labels" in capsys.readouterr().out
    _, videos = converted(tmp_path, table="t.parquet", labels="t.parquet")
    assert videos["e"].labels.tolist() == [7]
    assert "not read" not in capsys.readouterr().out


def test_one_name_in_two_unicode_forms_is_one_class(tmp_path):
    path = write(tmp_path / "l.csv", "caf\u00e9", "cafe\u0301", header="id,label")
    assert labels_of(path) == {"a": ["caf\u00e9"], "b": ["caf\u00e9"]}


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (["makeup tutorial", "cat"], {}, "'makeup tutorial' may be one label, or the labels 'make"),
        (
            ["cat dog"],
            {"vocabulary": Vocabulary(["cat", "cat dog", "dog"])},
            "may be one label, or",
        ),
        (
            ["a,b", "c"],
            {},
            "'a,b' may be one label, or the labels 'a' and 'b'; choose with --label-",
        ),
        (
            ["Male speech, man", "cat, Male speech, man", "cat", "dog, cat", "dog"],
            {},
            "'dog, cat' may be one label, or the labels 'dog' and 'cat'",
        ),
        (["cat,dog", "dog, cat", "cat"], {}, "separator comma or --label-separator none"),
        (
            ["a;b,c", "a"],
            {},
            "may be labels with a semicolon between them, or the labels 'a;b' and",
        ),
        (["a/b", "a", "b", "c/a", "c"], {}, "'a/b' may be one label, or the labels 'a' and 'b'"),
        (["[cat dog]"], {}, "may be one label, or the labels 'cat' and 'dog'"),
        (["cat|dog"], {"header": "id,label"}, "separator bar or --label-separator none"),
        (["a,b", "b"], {"header": "id,label"}, "separator comma or --label-separator none"),
        (["a b", "b", "a", "b c", "c"], {"header": "id,label"}, "choose with --label-separator sp"),
        (["3,0", "7,0"], {}, "'3,0' may be a decimal comma, or the labels 3 and 0"),
        (
            ["0 1 0", "1 0 0"],
            {},
            "cells of 0 and 1 alone may be numbers of classes, or one of them",
        ),
        (["7", "cat"], {}, "label '7' is the number of a class or its name, 'cat' is a name"),
        (["1"], {"vocabulary": Vocabulary(["1", "b"])}, "may be class 1 or the class of this name"),
        (["07", "7"], {}, "labels 07 and 7 may be one class or two"),
        (["-1", "3"], {}, "label -1; whole numbers from 0 to 65535 are allowed"),
        (["7.5", "3"], {}, "label 7.5; whole numbers from 0 to 65535 are allowed"),
        (["3-7", "dog"], {}, "label '3-7' is neither the number of a class nor a name"),
        (["Cat", "cat"], {}, "labels 'Cat' and 'cat' may be one class or two; spell them alike"),
        (["ice  cream", "ice-cream"], {"header": "id,label"}, "may be one class or two"),
        (["cat\u200b", "cat"], {"header": "id,label"}, "may be one class or two"),
        (["none", "cat"], {}, "label 'none' may be a class or mean that a video has none"),
        (["cat"], {"vocabulary": Vocabulary(["cat", "x", "cat"])}, "the name of classes 0 and 2"),
        (["Cat"], {"vocabulary": ANIMALS}, "'Cat' is not a name in the vocabulary; 'cat' is"),
        (["[1 2 ... 9]"], {}, "is no list of labels"),
        (["['cat', dog]"], {}, "is no list of labels"),
        (["1e3", "3"], {}, "label 1e3; whole numbers from 0 to 65535 are allowed"),
        (["{'cat': 1}"], {}, "is no list of labels"),
        (["cat\ndog"], {"header": "id,label"}, "has a line break; close a quote"),
        (["1"], {"header": "id,label,labels"}, "has fewer fields than the header|label and labels"),
        (["cat"], {"separator": ""}, "--label-separator: is empty"),
        (
            ["cat"],
            {"columns": ("tag",)},
            "columns id or .* name them by --id-column and --label-col",
        ),
    ],
)
def test_two_readings_and_mistakes(tmp_path, cells, options, message):
    path = write(tmp_path / "l.csv", *cells, header=options.pop("header", "id,labels"))
    with pytest.raises(InputError, match=message):
        labels_of(path, **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,labels\na,7\nb\n", "row 2 has fewer fields than the header, 2; is the file complete"),
        ("id,labels\na,7,0\n", "line 2 has 3 fields, the header 2; put quotes"),
        ('id,labels\na,"7\nb,3\n', "not a CSV in UTF-8"),
        ("", "it has none"),
        ("a,7\nb,3\n", "columns id or video_id or VideoId, and labels or label, are needed; it ha"),
        ("id,label_0,label_1\na,0,1\nb,1,0\n", "label_0 and label_1 hold 0 and 1, of classes 0"),
        ("id,good\na,1\nb,0\n", "columns id or"),
        ("id,good,bad\na,1,0\nb,0,2\n", "columns id or"),
        ("id,id,label\na,b,1\n", "columns id or"),
        ("id,cat,dog,cat\na,1,0,0\nb,0,0,1\n", "column 'cat' appears twice; give each class one"),
    ],
)
def test_odd_tables(tmp_path, text, message):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        labels_of(tmp_path / "l.csv")


def test_classes_are_listed_before_anything_is_written(forms, tmp_path, capsys, monkeypatch):
    (tmp_path / "l.csv").write_text("id,label\nb1,dog\na22,dog\na22,cat\nstranger,fox\n")

    def stop(*_):
        lines = [line.split("] ")[1] for line in capsys.readouterr().out.splitlines()]
        assert lines == [
            "3 classes, 1 of them without a video; with their videos:",
            "      0 cat: 1", "      1 dog: 2", "      2 fox: 0",
        ]  # fmt: skip
        raise KeyboardInterrupt

    monkeypatch.setattr("folds.conversion.convert.write_new", stop)
    with pytest.raises(KeyboardInterrupt):
        converted(tmp_path, **VIDEO[0], labels="l.csv")


def test_ids_with_a_bom_and_empty_lines_at_the_end(forms, tmp_path):
    ids = (tmp_path / "ids.txt").read_text()
    (tmp_path / "ids.txt").write_text("\ufeff" + ids.replace("\n", "\r\n") + "\r\n", newline="")
    _, videos = converted(tmp_path, **VIDEO[0], labels="labels.csv")
    assert videos["b1"].labels.tolist() == [7]
