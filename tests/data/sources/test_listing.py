"""Folders and label files as the world writes them: valid, but unusual."""

import csv
import io
import os
import tempfile
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from metaecg.data.readers.raw import RecordError
from metaecg.data.sources import recording_folder, source, wfdb_folder
from metaecg.data.sources.listing import Item, label, unread_columns, walk
from metaecg.errors import MetaecgError

MISSING = ("", "nan", "NaN", "NAN", "None", "null", "NULL", "NA", "n/a", "N/A", "unknown", "?", "-")
NO_LABEL = "no label: its row in labels.csv has none"
NAMES = ("a", "b 1", "Rec.2", "ä", "x-y_z", "100", "1.5")
FOLDERS = ("", "AFIB/", "AFIB/deep/er/", "my class/", "2.0/")


@st.composite
def tables(draw):
    """Files with labels and patients, and a way to write the table down."""
    stems = draw(
        st.lists(
            st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES)),
            min_size=1,
            max_size=6,
            unique_by=lambda pair: "".join(pair).lower(),
        )
    )
    endings = st.sampled_from((".csv", ".CSV", ".npy", ".edf"))
    files = [f"{folder}{name}{draw(endings)}" for folder, name in stems]
    rows = []
    for file in files:
        codes = draw(st.lists(st.sampled_from(("AFIB", "SR", "164889003", "my class")), max_size=2))
        patient = draw(st.sampled_from(("", "ann", "7", *files)))
        rows.append((file, tuple(dict.fromkeys(codes)), patient))
    return rows, draw(st.randoms(use_true_random=False))


def written_path(rng, root, file, ending, beside):
    """One of the ways to say which file is meant."""
    whole, short = root / file, file.removesuffix(ending)
    ways = [file, f"./{file}", file.replace("/", "\\"), str(whole), f" {file} "]
    ways += [short, str(root / short), f"{root}/./{file}", os.path.relpath(whole, beside)]
    return rng.choice(ways)


def write_table(rng, path, rows):
    """Rows of (path, codes, patient) with the separators, capitals and marks of some program."""
    separator = rng.choice(",;\t")
    heading = ["path", "label", "patient", "age"]
    change = rng.choice([str.upper, str.title, str.lower, lambda text: f" {text} "])
    text = io.StringIO()
    end = rng.choice(["\n", "\r\n"])
    if rng.random() < 0.2:
        text.write(f"sep={separator}{end}")
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    order = rng.sample(range(4), 4)
    writer.writerow([change(heading[i]) for i in order])
    for name, codes, patient in rows:
        label = rng.choice([";", "; "]).join(codes)
        if codes and all(code.isdigit() for code in codes) and len(codes) == 1:
            label += rng.choice(["", ".0"])  # as pandas does beside an empty cell
        cells = [name, label or rng.choice(MISSING), patient or rng.choice(MISSING), "70"]
        writer.writerow([cells[i] for i in order])
    text.write(rng.choice(["", end, separator * 3 + end]))
    encoding = rng.choice(["utf-8", "utf-8-sig"])
    path.write_text(text.getvalue(), encoding=encoding, newline="")


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(tables(), st.booleans())
def test_a_table_says_the_same_however_it_is_written(table, wfdb):
    rows, rng = table
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "records")
        named = {patient for _, _, patient in rows if patient}
        expected, endings = [], {}
        for file, codes, patient in rows:
            stem, ending = os.path.splitext(file)
            path = stem if wfdb else file
            endings[file] = path, ".hea" if wfdb else ending
            for one in (f"{stem}.hea", f"{stem}.dat") if wfdb else (file,):
                (root / one).parent.mkdir(parents=True, exist_ok=True)
                (root / one).touch()
            own = f"record {path}" if path in named else path
            why = "" if codes else NO_LABEL
            expected.append(Item(path, path, patient or own, codes, problem=why))
        place = rng.choice([root, root.parent, root / "zz"])
        place.mkdir(exist_ok=True)
        lines = []
        for file, codes, patient in rows:
            path, ending = endings[file]
            # Several rows of one recording add up; a patient may be missing in one of them.
            split = [(codes, patient)]
            if rng.random() < 0.3:
                split = [(codes[:1], patient), (codes, rng.choice(["", patient]))]
            for some, whose in split:
                name = written_path(rng, root, path + ending if wfdb else file, ending, place)
                lines.append((name, some, whose))
        write_table(rng, place / "labels.csv", lines)
        listing = wfdb_folder if wfdb else recording_folder
        found = listing.list_folder(root, str(place / "labels.csv"))
        assert found == sorted(expected)


def test_words_for_nothing_are_no_label_and_no_patient(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").touch()
    table = tmp_path / "labels.csv"
    for word in MISSING:
        table.write_text(f"path,label,patient\na.csv,{word},{word}\nb.csv,SR;{word},{word}\n")
        assert recording_folder.list_folder(tmp_path, str(table)) == [
            Item("a.csv", "a.csv", "a.csv", (), problem=NO_LABEL),
            Item("b.csv", "b.csv", "b.csv", ("SR",)),
        ], word
        with pytest.raises(RecordError, match="no label"):
            source.check_codes((word,) if word else ())
        assert source.check_codes((word, "SR")) == ("SR",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label,Path\na,SR,b\n", "column 'path' is there twice"),
        ("path,label\na,SR\n", "'a' is any of a.csv, a.npy"),
        ("path,label\n,SR\n", "line 2: no path"),
        ("path,label,patient\na.csv,SR,ann\na.csv,SR,nan\na.csv,SR,bob\n", "line 4: patient 'bob'"),
    ],
)
def test_what_is_ambiguous_is_refused_with_its_line(tmp_path, content, message):
    (tmp_path / "a.csv").touch()
    (tmp_path / "a.npy").touch()
    (tmp_path / "labels.txt").write_text(content)
    with pytest.raises(MetaecgError, match=message):
        recording_folder.list_folder(tmp_path, str(tmp_path / "labels.txt"))


def test_linked_folders_are_entered_or_named_and_never_vanish(tmp_path):
    root, outside = tmp_path / "in", tmp_path / "out"
    for path in (root / "AFIB" / "deep", outside / "more"):
        path.mkdir(parents=True)
    for path in (root / "AFIB" / "deep" / "a.csv", outside / "more" / "b.csv"):
        path.touch()
    (root / "AF").symlink_to(root / "AFIB")
    (root / "again").symlink_to("AF")  # a link to a link
    (root / "SR").symlink_to(outside)
    (root / "AFIB" / "up").symlink_to(root)  # a circle
    (root / "AFIB" / "deep" / "here").symlink_to(".")
    (root / "gone").symlink_to(tmp_path / "nowhere")
    (root / "c.csv").symlink_to(root / "AFIB" / "deep" / "a.csv")
    files = {"AFIB/deep/a.csv", "AF/deep/a.csv", "again/deep/a.csv", "c.csv", "gone"}
    found = walk(root)
    assert (set(found.files), found.elsewhere) == (files, ("SR",))
    items = recording_folder.list_folder(root, "folders")
    assert {item.path for item in items} == {*files, "SR"}
    [outcome] = source.read_item(root, items[-1], None, None)
    assert outcome.reason == (
        "a linked folder that leads outside of --input; copy it, or import it by itself"
    )


def test_a_linked_folder_given_as_input_is_a_folder_like_any(tmp_path):
    (tmp_path / "real" / "SR").mkdir(parents=True)
    (tmp_path / "real" / "SR" / "a.csv").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "labels.csv").write_text(f"path,label\n{tmp_path}/real/SR/a.csv,AFIB\n")
    expected = [Item("SR/a.csv", "SR/a.csv", "SR/a.csv", ("AFIB",))]
    for folder in ("real", "link"):
        found = recording_folder.list_folder(tmp_path / folder, str(tmp_path / "labels.csv"))
        assert found == expected


def test_absolute_paths_elsewhere_and_paths_that_lead_out_stay_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").touch()
    (tmp_path / "b.csv").touch()
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label\n{tmp_path}/b.csv,SR\n../b.csv,SR\n/etc/passwd,SR\n")
    items = recording_folder.list_folder(tmp_path / "in", str(table))
    reasons = [
        source.read_item(tmp_path / "in", item, None, recording_folder.read)[0].reason
        for item in items
    ]
    assert len(items) == 4
    unlabelled = "no label: no row of labels.csv names it; a path there is relative to --input or "
    assert sorted(reasons) == [f"{unlabelled}to the file", *["points outside the folder"] * 3]


def test_folders_are_resolved_once_for_all_rows(tmp_path, monkeypatch):
    (tmp_path / "table.csv").write_text(
        "path,label\n" + "".join(f"{tmp_path}/a/{n}.csv,X\n" for n in range(500))
    )
    asked = []
    resolve = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: asked.append(path) or resolve(path))
    paths = [f"a/{n}.csv" for n in range(500)]
    items = label(paths, str(tmp_path / "table.csv"), tmp_path)
    assert {item.codes for item in items} == {("X",)}
    assert len(asked) < 10


def test_what_lies_in_the_folder_itself_has_no_label_of_folders():
    inside, loose = label(["a.csv", "AFIB/b.csv"], "folders", Path("nowhere"))
    assert (inside.codes, inside.problem) == (("AFIB",), "")
    assert loose.codes == ()
    assert loose.problem == (
        "no label: it lies in --input itself, and labels are the names of sub-folders; give "
        "--input the folder above, or --labels=FILE.csv"
    )


@pytest.mark.parametrize(
    ("heading", "remark"),
    [
        ("path,label,patient", ()),
        ("Path, LABEL ,Patient,", ()),
        ("path,label,pat_id", ("not read in l.csv: 'pat_id'; read are path, label and patient",)),
        (
            "a,b,path,c,label,d,e,f,g",
            ("not read in l.csv: 'a', 'b', 'c', 'd', 'e' and 2 more; read are path, label and "
             "patient",),
        ),
    ],
)  # fmt: skip
def test_columns_that_are_not_read_are_named(tmp_path, heading, remark):
    table = tmp_path / "l.csv"
    table.write_text(f"{heading}\n{','.join('x' * len(heading.split(',')))}\n")
    assert unread_columns(str(table)) == remark


def test_only_a_table_has_columns(tmp_path):
    assert unread_columns("folders") == unread_columns("header") == ()
    (tmp_path / "l.csv").write_text("path,label,pat_id\n")
    assert unread_columns(str(tmp_path / "l.csv")) == ()  # and no recording
