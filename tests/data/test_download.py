"""Whatever layout the data comes in, the same folder is made of it: whole, or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

import competitions
from runner.console import Advance
from runner.contract import Competition, Multiclass
from runner.data.download import data_folder, download
from runner.errors import ArchiveError, DataError, HostError, PluginError
from runner.hosts.protocol import Host, RemoteFile
from runner.workspace import Workspace
from tests.archives.packing import Files, lay, pack, packed, tree

DOG, PLANET, ICEBERG = (competitions.load(name) for name in ("dog-breed", "planet", "iceberg"))
FOLDERS = replace(
    DOG, labels=Multiclass(), train_images="train/{label}/{id}", valid_images="valid/{label}/{id}", name="folders"
)


def record(number: int, **label: int) -> dict[str, object]:
    band = [number + 0.5] * 75 * 75
    return {"id": f"{number}", "band_1": band, "band_2": band, "inc_angle": 34.5, **label}


LABELS, SAMPLE = b"id,breed\na,beagle\nb,pug\n", b"id,beagle,pug\nc,0.5,0.5\n"
DOG_FILES = {
    "labels.csv": LABELS,
    "sample_submission.csv": SAMPLE,
    "train/a.jpg": b"a",
    "train/b.jpg": b"b",
    "test/c.jpg": b"c",
}
PLANET_FILES = {
    "train_v2.csv": b"image_name,tags\ntrain_0,clear\n",
    "sample_submission_v2.csv": b"image_name,tags\ntest_0,clear\nfile_0,clear\n",
    "train-jpg/train_0.jpg": b"0",
    "test-jpg/test_0.jpg": b"1",
    "test-jpg-additional/file_0.jpg": b"2",
}
ICEBERG_FILES = {
    "train.json": json.dumps([record(1, is_iceberg=1), record(2, is_iceberg=0)]).encode(),
    "test.json": json.dumps([record(3)]).encode(),
    "sample_submission.csv": b"id,is_iceberg\n3,0.5\n",
}
FOLDER_FILES = {
    "train/beagle/a.jpg": b"a",
    "train/pug/b.jpg": b"b",
    "valid/pug/v.jpg": b"v",
    "test/c.jpg": b"c",
    "sample_submission.csv": SAMPLE,
}


def inside(files: Files, folder: str) -> dict[str, bytes]:
    """The files of one folder, by their names in it."""
    return {name.removeprefix(folder): content for name, content in files.items() if name.startswith(folder)}


def under(files: Files, folder: str) -> dict[str, bytes]:
    return {folder + name: content for name, content in files.items()}


def one(files: Files, name: str) -> dict[str, bytes]:
    return {name.rpartition("/")[2]: files[name]}


def zipped(files: Files, *names: str) -> dict[str, bytes]:
    """`labels.csv.zip` for `labels.csv`, and `train.zip` of bare images for `train/`."""
    return {
        f"{name.rstrip('/')}.zip": packed("x.zip", inside(files, name) if name[-1] == "/" else one(files, name))
        for name in names
    }


DOG_LAYOUTS = {
    "laid open": DOG_FILES,
    "deep in folders": under(DOG_FILES, "old/dogs/"),
    "old vintage, bare images": zipped(DOG_FILES, "labels.csv", "sample_submission.csv", "train/", "test/"),
    "old vintage, images in a folder": {
        **zipped(DOG_FILES, "labels.csv", "sample_submission.csv"),
        "train.zip": packed("x.zip", under(inside(DOG_FILES, "train/"), "train/")),
        "test.zip": packed("x.zip", under(inside(DOG_FILES, "test/"), "all/test/")),
    },
    "new vintage": {"dog-breed-identification.zip": packed("x.zip", DOG_FILES)},
    "new vintage under another name": {"all (1).zip": packed("x.zip", under(DOG_FILES, "dogs/"))},
    "zips in a zip": {
        "dog-breed-identification.zip": packed(
            "x.zip", zipped(DOG_FILES, "labels.csv", "sample_submission.csv", "train/", "test/")
        )
    },
    "a mix": {
        "labels.csv": LABELS,
        "sub/sample_submission.csv": SAMPLE,
        "train.7z": packed("x.7z", inside(DOG_FILES, "train/")),
        "test.tar.gz": packed("x.tar.gz", inside(DOG_FILES, "test/")),
    },
    "a zip that was saved as the table in it": {
        **DOG_FILES,
        "labels.csv": packed("x.zip", {"labels.csv": LABELS}),
    },
    "open and packed side by side": {**DOG_FILES, "train.zip": b"never looked at"},
    "with what a Mac and a notebook leave": {
        **DOG_FILES,
        ".DS_Store": b"x",
        "train/._a.jpg": b"x",
        ".ipynb_checkpoints/labels.csv": b"x",
    },
}
JPG_ARCHIVES = {
    f"{name}.tar.7z": packed(f"{name}.tar.7z", under(inside(PLANET_FILES, f"{name}/"), f"{name}/"))
    for name in ("train-jpg", "test-jpg", "test-jpg-additional")
}
MIRROR = {
    "planet/planet/train_classes.csv": PLANET_FILES["train_v2.csv"],
    "planet/planet/sample_submission.csv": PLANET_FILES["sample_submission_v2.csv"],
    **under({n: c for n, c in PLANET_FILES.items() if "jpg" in n}, "planet/planet/"),
}
PLANET_LAYOUTS = {
    "old vintage": {
        **zipped(PLANET_FILES, "train_v2.csv", "sample_submission_v2.csv"),
        **JPG_ARCHIVES,
        "train-tif-v2.tar.7z": b"never looked at",
    },
    "later vintage": {
        **JPG_ARCHIVES,
        **{f"{n}/{n}": PLANET_FILES[n] for n in ("train_v2.csv", "sample_submission_v2.csv")},
    },
    "both versions of the tables": {
        **PLANET_FILES,
        "train_classes.csv": b"stale",
        "sample_submission.csv": b"stale",
    },
    "the mirror": MIRROR,
    "the mirror, zipped": {"archive.zip": packed("x.zip", MIRROR)},
}
SEVEN = {
    "train.json.7z": packed("x.7z", {"data/processed/train.json": ICEBERG_FILES["train.json"]}),
    "test.json.7z": packed("x.7z", {"data/processed/test.json": ICEBERG_FILES["test.json"]}),
    "sample_submission.csv.7z": packed("x.7z", one(ICEBERG_FILES, "sample_submission.csv")),
}
ICEBERG_LAYOUTS = {
    "laid open": ICEBERG_FILES,
    "each in its 7z": SEVEN,
    "one zip of 7z": {"statoil-iceberg-classifier-challenge.zip": packed("x.zip", SEVEN)},
}
FOLDER_LAYOUTS = {
    "laid open": FOLDER_FILES,
    "one tar": {"dogs.tar.gz": packed("x.tar.gz", under(FOLDER_FILES, "dogs/"))},
    "a zip a folder": zipped(FOLDER_FILES, "train/", "valid/", "test/", "sample_submission.csv"),
}
CASES = [
    pytest.param(competition, files, layout, id=f"{competition.name}, {name}")
    for competition, files, layouts in (
        (DOG, DOG_FILES, DOG_LAYOUTS),
        (PLANET, PLANET_FILES, PLANET_LAYOUTS),
        (ICEBERG, ICEBERG_FILES, ICEBERG_LAYOUTS),
        (FOLDERS, FOLDER_FILES, FOLDER_LAYOUTS),
    )
    for name, layout in layouts.items()
]
UNPACKED = {"train.npy", "train.csv", "test.npy", "test.csv"}


class Shelf:
    """A host that holds archives in a folder, and counts what is fetched."""

    name = "shelf"

    def __init__(self, folder: Path):
        self.folder = folder
        self.fetched: list[str] = []

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        assert slug
        return tuple(RemoteFile(name, len(content)) for name, content in sorted(tree(self.folder).items()))

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        assert slug
        part = path.with_name("subset")
        with (self.folder / file.name).open("rb") as theirs, part.open("wb") as ours:
            shutil.copyfileobj(theirs, ours)
        part.replace(path)
        self.fetched.append(file.name)
        advance(file.size)


def shelf(folder: Path, files: Files) -> Shelf:
    return Shelf(lay(folder, files))


def as_host(held: Shelf) -> Host:
    return held  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sync", lambda: None)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def workspace(workspace_folder: Path) -> Workspace:
    return Workspace.at(workspace_folder)


def content(folder: Path) -> dict[str, bytes]:
    """The data alone, without what the runner says about it."""
    own = (".complete", "manifest.json")
    return {name: data for name, data in tree(folder).items() if name not in own}


@pytest.mark.parametrize(("competition", "files", "layout"), CASES)
def test_every_layout_becomes_the_same_folder(
    competition: Competition, files: Files, layout: Files, tmp_path: Path, workspace: Workspace
) -> None:
    source = lay(tmp_path / "source", layout)
    folder = download(competition, workspace, source)
    assert folder == workspace.data_dir(competition.name) == data_folder(competition, workspace)
    made = content(folder)
    assert {name: data for name, data in made.items() if name not in UNPACKED} == files
    assert set(made) >= UNPACKED if competition.prepare else UNPACKED.isdisjoint(made)
    assert tree(source) == layout
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [competition.name]


@pytest.mark.parametrize(("competition", "files", "layout"), CASES)
def test_a_host_gives_the_same_folder_as_the_disk(
    competition: Competition, files: Files, layout: Files, tmp_path: Path, workspace: Workspace
) -> None:
    folder = download(competition, workspace, as_host(shelf(tmp_path / "shelf", layout)))
    assert {name: data for name, data in content(folder).items() if name not in UNPACKED} == files


def test_one_archive_is_a_source_too(tmp_path: Path, workspace: Workspace) -> None:
    folder = download(DOG, workspace, pack(tmp_path / "dogs.7z", DOG_FILES))
    assert content(folder) == DOG_FILES


def test_a_host_is_asked_only_for_what_is_needed(tmp_path: Path, workspace: Workspace) -> None:
    held = shelf(tmp_path / "shelf", {**PLANET_LAYOUTS["old vintage"], "sample_code.zip": b"x"})
    download(PLANET, workspace, as_host(held))
    assert sorted(held.fetched) == [
        "sample_submission_v2.csv.zip", "test-jpg-additional.tar.7z", "test-jpg.tar.7z",
        "train-jpg.tar.7z", "train_v2.csv.zip",
    ]  # fmt: skip


def test_a_host_that_lists_images_one_by_one_is_asked_for_the_one_archive(tmp_path: Path, workspace: Workspace) -> None:
    images = {f"train/{number}.jpg": b"x" for number in range(60)}
    files = {**DOG_FILES, **images}
    held = shelf(tmp_path / "shelf", {**files, f"{DOG.slug}.zip": packed("x.zip", files)})
    assert content(download(DOG, workspace, as_host(held))) == files
    assert held.fetched == [f"{DOG.slug}.zip"]


def test_a_host_that_lacks_something_is_told_so_before_anything_is_fetched(
    tmp_path: Path, workspace: Workspace
) -> None:
    held = shelf(tmp_path / "shelf", {"labels.csv.zip": b"x", "train-tif.tar.7z": b"x"})
    with pytest.raises(DataError) as raised:
        download(DOG, workspace, as_host(held))
    assert raised.value.message.startswith("missing: sample_submission.csv, train/, test/\n")
    assert "labels.csv.zip, train-tif.tar.7z" in raised.value.message
    assert raised.value.fix and raised.value.fix.endswith("runner dog-breed download --from DIR")
    assert held.fetched == []


def test_a_name_that_leads_out_is_not_taken_from_a_host_either(tmp_path: Path, workspace: Workspace) -> None:
    class Crooked(Shelf):
        def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
            honest = (file for file in super().list_files(slug) if file.name != "labels.csv")
            return (*honest, RemoteFile("../../../labels.csv", 1))

    held = Crooked(lay(tmp_path / "shelf", DOG_FILES))
    with pytest.raises(HostError, match=r"'../../../labels.csv' climbs out"):
        download(DOG, workspace, as_host(held))
    assert held.fetched == []


def test_what_was_fetched_is_not_fetched_again(tmp_path: Path, workspace: Workspace) -> None:
    held = shelf(tmp_path / "shelf", DOG_LAYOUTS["old vintage, bare images"])
    whole = (held.folder / "train.zip").read_bytes()
    (held.folder / "train.zip").write_bytes(whole[:-9])
    with pytest.raises(ArchiveError, match=r"(?s)train.zip is a zip cut off.*runner dog-breed download$"):
        download(DOG, workspace, as_host(held))
    (held.folder / "train.zip").write_bytes(whole)
    held.fetched.clear()
    assert content(download(DOG, workspace, as_host(held))) == DOG_FILES
    assert held.fetched == ["train.zip"]


def test_the_manifest_says_what_was_taken_and_names_no_path_of_this_disk(tmp_path: Path, workspace: Workspace) -> None:
    layout = {**zipped(DOG_FILES, "labels.csv", "test/"), "sample_submission.csv": SAMPLE}
    layout |= under(inside(DOG_FILES, "train/"), "dogs/train/")
    folder = download(DOG, workspace, lay(tmp_path / "source", layout))
    text = (folder / "manifest.json").read_text()
    manifest = json.loads(text)
    listing = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in inside(DOG_FILES, "train/").items()
    )
    assert str(tmp_path) not in text
    assert manifest["competition"] == DOG.slug
    assert manifest["source"] == "disk"
    assert manifest["files"] == {"./": 2, "test/": 1, "train/": 2}
    assert {entry["name"]: (entry["size"], entry["sha256"]) for entry in manifest["taken"]} == {
        **{n: (len(layout[n]), hashlib.sha256(layout[n]).hexdigest()) for n in layout if "/" not in n},
        "dogs/train/": (2, hashlib.sha256(listing.encode()).hexdigest()),
    }


def test_everything_missing_is_said_at_once(tmp_path: Path, workspace: Workspace) -> None:
    source = lay(tmp_path / "source", {"label.csv": b"x", "train/a.jpg": b"a", "train/b.jpg": b"b"})
    with pytest.raises(DataError) as raised:
        download(DOG, workspace, source)
    assert raised.value.message == (
        "missing: labels.csv, sample_submission.csv, test/\n  found instead: label.csv, train/ (2 files)"
    )
    assert raised.value.fix and raised.value.fix.endswith(f"runner dog-breed download --from {source}")
    assert not workspace.data_dir("dog-breed").exists()


def test_the_additional_test_folder_may_be_missing_but_not_both(
    tmp_path: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {name: data for name, data in PLANET_FILES.items() if "additional" not in name}
    assert content(download(PLANET, workspace, lay(tmp_path / "small", small))) == small
    assert "test-jpg-additional/ is not there" in capsys.readouterr().err
    none = {name: data for name, data in small.items() if "test-jpg" not in name}
    with pytest.raises(DataError, match="missing: test-jpg/, test-jpg-additional/"):
        download(PLANET, workspace, lay(tmp_path / "none", none), force=True)


@pytest.mark.parametrize("packing", ["open", "packed"])
def test_two_that_are_as_good_are_both_named(packing: str, tmp_path: Path, workspace: Workspace) -> None:
    files = {name: data for name, data in DOG_FILES.items() if name != "labels.csv"}
    twice = {"1/labels.csv": LABELS, "2/labels.csv": LABELS}
    if packing == "packed":
        twice = {f"{name}.zip": packed("x.zip", one(twice, name)) for name in twice}
    with pytest.raises(DataError, match=r"labels.csv is there twice: .*1/labels.csv.* and .*2/labels.csv"):
        download(DOG, workspace, lay(tmp_path / "source", {**files, **twice}))


def test_the_shallowest_of_two_folders_is_taken(tmp_path: Path, workspace: Workspace) -> None:
    layout = {**DOG_FILES, "backup/train/z.jpg": b"z", "train/old/train/y.jpg": b"y"}
    folder = download(DOG, workspace, lay(tmp_path / "source", layout))
    assert content(folder) == {**DOG_FILES, "train/old/train/y.jpg": b"y"}


def test_a_link_in_the_users_folder_is_followed_and_a_circle_of_them_ends(tmp_path: Path, workspace: Workspace) -> None:
    elsewhere = lay(tmp_path / "big disk", inside(DOG_FILES, "train/"))
    source = lay(tmp_path / "source", {n: d for n, d in DOG_FILES.items() if not n.startswith("train/")})
    (source / "train").symlink_to(elsewhere)
    (source / "test" / "up").symlink_to(source)
    folder = download(DOG, workspace, source)
    assert content(folder) == DOG_FILES
    assert not (folder / "train").is_symlink()


def test_an_archive_too_deep_in_archives_is_refused(tmp_path: Path, workspace: Workspace) -> None:
    bundle = packed("0.zip", DOG_FILES)
    for level in range(1, 7):
        bundle = packed("x.zip", {f"{level}.zip": bundle})
    with pytest.raises(ArchiveError, match="5 archives deep"):
        download(DOG, workspace, lay(tmp_path / "source", {"x.zip": bundle}))


def test_a_source_that_is_not_there_is_named(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        download(DOG, workspace, tmp_path / "nowhere")


def test_a_full_disk_is_noticed_first(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=64 * 2**20 + 50))
    for source in (lay(tmp_path / "a", DOG_FILES), lay(tmp_path / "b", DOG_LAYOUTS["new vintage"])):
        with pytest.raises(DataError, match=r"\d+ B needed, 50 B free"):
            download(DOG, workspace, source)
    held = shelf(tmp_path / "c", DOG_LAYOUTS["new vintage"])
    with pytest.raises(DataError, match=r"kB needed, 50 B free"):
        download(DOG, workspace, as_host(held))
    assert held.fetched == []


def test_complete_data_is_left_alone(tmp_path: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    held = shelf(tmp_path / "shelf", DOG_FILES)
    folder = download(DOG, workspace, as_host(held))
    held.fetched.clear()
    assert download(DOG, workspace, as_host(held)) == folder
    assert held.fetched == []
    assert "complete already" in capsys.readouterr().err


def test_force_fills_the_folder_anew(tmp_path: Path, workspace: Workspace) -> None:
    folder = download(DOG, workspace, lay(tmp_path / "1", DOG_FILES))
    changed = {**DOG_FILES, "train/a.jpg": b"another"}
    download(DOG, workspace, lay(tmp_path / "2", changed), force=True)
    assert content(folder) == changed
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["dog-breed"]


def test_force_that_fails_leaves_the_old_data(tmp_path: Path, workspace: Workspace) -> None:
    folder = download(DOG, workspace, lay(tmp_path / "1", DOG_FILES))
    with pytest.raises(DataError):
        download(DOG, workspace, lay(tmp_path / "2", {"labels.csv": b"x"}), force=True)
    assert content(data_folder(DOG, workspace)) == content(folder) == DOG_FILES


@pytest.mark.parametrize("extra", ["notes.txt", "train/mine.jpg"])
def test_force_keeps_what_a_user_added(extra: str, tmp_path: Path, workspace: Workspace) -> None:
    source = lay(tmp_path / "1", DOG_FILES)
    folder = download(DOG, workspace, source)
    lay(folder, {extra: b"mine"})
    download(DOG, workspace, source, force=True)
    assert content(folder) == DOG_FILES
    assert content(folder.with_name("dog-breed.kept-1")) == {**DOG_FILES, extra: b"mine"}


def test_files_put_in_the_data_folder_by_hand_are_not_lost(tmp_path: Path, workspace: Workspace) -> None:
    folder = lay(workspace.data_dir("dog-breed"), {"dogs.zip": packed("x.zip", DOG_FILES)})
    by_hand = tree(folder)
    with pytest.raises(DataError, match="is not complete") as raised:
        data_folder(DOG, workspace)
    with pytest.raises(DataError, match=r"did not put there") as raised:
        download(DOG, workspace, as_host(shelf(tmp_path / "shelf", DOG_FILES)))
    assert f"runner dog-breed download --from {folder}" in str(raised.value.fix)
    assert tree(folder) == by_hand
    download(DOG, workspace, folder)  # what the fix says
    assert content(folder) == DOG_FILES
    assert tree(folder.with_name("dog-breed.kept-1")) == by_hand


def test_raw_data_that_is_not_here_names_the_command_that_brings_it(workspace: Workspace) -> None:
    with pytest.raises(DataError) as raised:
        data_folder(DOG, workspace)
    assert raised.value.message == "the data of dog-breed is not here"
    assert raised.value.fix and "runner dog-breed download" in raised.value.fix


def test_an_unpack_that_fails_names_the_row_and_the_command(tmp_path: Path, workspace: Workspace) -> None:
    broken = {**ICEBERG_FILES, "test.json": b'[{"id": "3", "band_1": [1], "band_2": [1]}]'}
    held = shelf(tmp_path / "shelf", broken)
    with pytest.raises(DataError) as raised:
        download(ICEBERG, workspace, as_host(held))
    assert "band_1 has 1 numbers" in raised.value.message
    assert str(raised.value.where).endswith("test.json, row 1")
    assert raised.value.fix and raised.value.fix.endswith("runner iceberg download")
    lay(held.folder, {"test.json": ICEBERG_FILES["test.json"]})
    download(ICEBERG, workspace, as_host(held))
    assert data_folder(ICEBERG, workspace)


def test_an_unpack_with_a_bug_is_the_plugins_fault(tmp_path: Path, workspace: Workspace) -> None:
    def prepare(folder: Path) -> None:
        raise KeyError(folder.name)

    with pytest.raises(PluginError, match="prepare of the competition iceberg failed: KeyError"):
        download(replace(ICEBERG, prepare=prepare), workspace, lay(tmp_path / "source", ICEBERG_FILES))


class KilledError(BaseException):
    """The process is gone."""


@contextmanager
def killed_at(step: int) -> Iterator[list[str]]:
    """The process dies at the given one of the calls that change the disk: no later one does anything."""
    made: list[str] = []
    patch = pytest.MonkeyPatch()

    def count(module: ModuleType, name: str) -> None:
        real = getattr(module, name)

        def call(*arguments: object, **options: object) -> object:
            if name != "open" or set("wxa") & set(str(arguments[1])):
                if len(made) >= step:
                    raise KilledError
                made.append(f"{name} {arguments[0]}")
            return real(*arguments, **options)

        patch.setattr(module, name, call)

    for name in ("mkdir", "rename", "replace", "unlink", "rmdir"):
        count(os, name)
    count(io, "open")
    try:
        yield made
    finally:
        patch.undo()


def run_killed(step: int, make: object) -> bool:
    """Whether the call came to its end before the step."""
    with killed_at(step):
        try:
            make()  # type: ignore[operator]
        except KilledError:
            return False
    return True


@pytest.mark.parametrize("kind", ["disk", "host", "force", "by hand"])
def test_broken_off_at_any_step_and_run_again_it_ends_the_same(kind: str, tmp_path: Path) -> None:
    layout = {
        **zipped(DOG_FILES, "labels.csv", "train/"),
        "rest.zip": packed(
            "x.zip", {"r/sample_submission.csv": SAMPLE, "r/test.zip": packed("x.zip", {"c.jpg": b"c"})}
        ),
    }
    layout["test.zip"] = packed("x.zip", {"c.jpg": b"c"})
    layout["sample_submission.csv"] = SAMPLE
    old = lay(tmp_path / "old", {**DOG_FILES, "train/a.jpg": b"old"})

    def prepare(name: str) -> Workspace:
        workspace = Workspace.at(lay(tmp_path / name, {"x": b""}))
        if kind == "force":
            download(DOG, workspace, old)
        if kind == "by hand":
            lay(workspace.data_dir("dog-breed"), layout)
        return workspace

    def call(workspace: Workspace, force: bool) -> None:
        source = workspace.data_dir("dog-breed") if kind == "by hand" else lay(tmp_path / "layout", layout)
        download(DOG, workspace, as_host(Shelf(source)) if kind == "host" else source, force=force)

    unbroken = prepare("unbroken")
    with killed_at(10**6) as steps:
        call(unbroken, kind == "force")
    expected = tree(unbroken.root)
    assert content(unbroken.data_dir("dog-breed")) == DOG_FILES
    assert len(steps) > 15
    for step in range(len(steps)):
        workspace = prepare(f"step-{step}")
        assert not run_killed(step, lambda w=workspace: call(w, kind == "force"))
        folder = workspace.data_dir("dog-breed")
        if kind == "force":
            assert content(folder if folder.exists() else folder.with_name(".dog-breed.old"))
        call(workspace, kind == "force")
        assert tree(workspace.root) == expected, f"killed before {steps[step]}"
