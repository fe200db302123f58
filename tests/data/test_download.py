"""Every layout of the data becomes the same folder: completely, or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
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
from runner.data.checksums import CHECKSUMS
from runner.data.download import data_folder, download, is_downloaded
from runner.data.index import build_index
from runner.data.manifest import MANIFEST, MARKER, verify_manifest
from runner.data.source import SOURCE, redownload_command
from runner.errors import ArchiveError, DataError, HostError, PluginError, WrongDataError
from runner.hosts.protocol import RemoteFile
from runner.problems import ProblemsError
from runner.workspace import Workspace
from tests.archives.packing import Files, pack, packed, read_files, write_files

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


def only(files: Files, name: str) -> dict[str, bytes]:
    return {name.rpartition("/")[2]: files[name]}


def zipped(files: Files, *names: str) -> dict[str, bytes]:
    """`labels.csv.zip` for `labels.csv`, and `train.zip` of bare images for `train/`."""
    return {
        f"{name.rstrip('/')}.zip": packed("x.zip", inside(files, name) if name[-1] == "/" else only(files, name))
        for name in names
    }


def in_parts(name: str, content: bytes, count: int) -> dict[str, bytes]:
    """`train.zip.001`, `train.zip.002`, ..."""
    size = -(-len(content) // count)
    return {f"{name}.{n + 1:03}": content[n * size : (n + 1) * size] for n in range(count)}


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
    "a zip in parts": {
        **zipped(DOG_FILES, "labels.csv", "sample_submission.csv", "test/"),
        **in_parts("train.zip", packed("x.zip", inside(DOG_FILES, "train/")), 5),
    },
    "all in a zip in parts": in_parts("dog-breed-identification.zip", packed("x.zip", DOG_FILES), 2),
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
    "open and packed side by side": {**DOG_FILES, "train.zip": b"not opened"},
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
        "train-tif-v2.tar.7z": b"not opened",
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
    "sample_submission.csv.7z": packed("x.7z", only(ICEBERG_FILES, "sample_submission.csv")),
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
PREPARED = {"train.npy", "train.csv", "test.npy", "test.csv"}


class FolderHost:
    """A host with its files in a folder, and a list of those that were downloaded."""

    name = "folder"

    def __init__(self, folder: Path):
        self.folder = folder
        self.downloaded: list[str] = []

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        assert slug
        return tuple(RemoteFile(name, len(content)) for name, content in sorted(read_files(self.folder).items()))

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        assert slug
        part = path.with_name("subset")
        with (self.folder / file.name).open("rb") as original, part.open("wb") as copy:
            shutil.copyfileobj(original, copy)
        part.replace(path)
        self.downloaded.append(file.name)
        advance(file.size)


def folder_host(folder: Path, files: Files) -> FolderHost:
    return FolderHost(write_files(folder, files))


@pytest.fixture(autouse=True)
def no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sync", lambda: None)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def workspace(workspace_folder: Path) -> Workspace:
    return Workspace.at(workspace_folder)


def content(folder: Path) -> dict[str, bytes]:
    """The files of a data folder without those that the runner writes beside them."""
    return {
        name: data for name, data in read_files(folder).items() if name not in (MARKER, MANIFEST, SOURCE, CHECKSUMS)
    }


@pytest.mark.parametrize(("competition", "files", "layout"), CASES)
def test_every_layout_becomes_the_same_folder(
    competition: Competition, files: Files, layout: Files, tmp_path: Path, workspace: Workspace
) -> None:
    source = write_files(tmp_path / "source", layout)
    folder = download(competition, workspace, source)
    assert folder == workspace.data_dir(competition.name) == data_folder(competition, workspace)
    files_made = content(folder)
    assert {name: data for name, data in files_made.items() if name not in PREPARED} == files
    assert set(files_made) >= PREPARED if competition.prepare else PREPARED.isdisjoint(files_made)
    assert read_files(source) == layout
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [competition.name]


@pytest.mark.parametrize(("competition", "files", "layout"), CASES)
def test_a_host_and_the_disk_give_the_same_folder(
    competition: Competition, files: Files, layout: Files, tmp_path: Path, workspace: Workspace
) -> None:
    folder = download(competition, workspace, folder_host(tmp_path / "host", layout))
    assert {name: data for name, data in content(folder).items() if name not in PREPARED} == files


def test_the_source_may_be_one_archive(tmp_path: Path, workspace: Workspace) -> None:
    folder = download(DOG, workspace, pack(tmp_path / "dogs.7z", DOG_FILES))
    assert content(folder) == DOG_FILES


def test_only_required_files_are_downloaded(tmp_path: Path, workspace: Workspace) -> None:
    served = folder_host(tmp_path / "host", {**PLANET_LAYOUTS["old vintage"], "sample_code.zip": b"x"})
    download(PLANET, workspace, served)
    assert sorted(served.downloaded) == [
        "sample_submission_v2.csv.zip", "test-jpg-additional.tar.7z", "test-jpg.tar.7z",
        "train-jpg.tar.7z", "train_v2.csv.zip",
    ]  # fmt: skip


def test_one_archive_is_downloaded_instead_of_many_images(tmp_path: Path, workspace: Workspace) -> None:
    images = {f"train/{number}.jpg": b"x" for number in range(60)}
    files = {**DOG_FILES, **images}
    served = folder_host(tmp_path / "host", {**files, f"{DOG.slug}.zip": packed("x.zip", files)})
    assert content(download(DOG, workspace, served)) == files
    assert served.downloaded == [f"{DOG.slug}.zip"]


def test_missing_files_of_a_host_are_an_error_before_the_download(tmp_path: Path, workspace: Workspace) -> None:
    served = folder_host(tmp_path / "host", {"labels.csv.zip": b"x", "train-tif.tar.7z": b"x"})
    with pytest.raises(DataError) as raised:
        download(DOG, workspace, served)
    assert raised.value.message.startswith("missing: sample_submission.csv, train/, test/\n")
    assert "labels.csv.zip, train-tif.tar.7z" in raised.value.message
    assert raised.value.fix and raised.value.fix.endswith("runner dog-breed download --from DIR`")
    assert served.downloaded == []


def test_an_unsafe_name_of_a_host_is_refused(tmp_path: Path, workspace: Workspace) -> None:
    class UnsafeHost(FolderHost):
        def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
            safe = (file for file in super().list_files(slug) if file.name != "labels.csv")
            return (*safe, RemoteFile("../../../labels.csv", 1))

    served = UnsafeHost(write_files(tmp_path / "host", DOG_FILES))
    with pytest.raises(HostError, match=r"'../../../labels.csv' leads out"):
        download(DOG, workspace, served)
    assert served.downloaded == []


def test_downloaded_files_are_not_downloaded_again(tmp_path: Path, workspace: Workspace) -> None:
    served = folder_host(tmp_path / "host", DOG_LAYOUTS["old vintage, bare images"])
    archive = (served.folder / "train.zip").read_bytes()
    (served.folder / "train.zip").write_bytes(archive[:-9])
    with pytest.raises(
        ArchiveError, match=r"(?s)train.zip is a zip, incomplete or damaged.*`runner dog-breed download`$"
    ):
        download(DOG, workspace, served)
    (served.folder / "train.zip").write_bytes(archive)
    served.downloaded.clear()
    assert content(download(DOG, workspace, served)) == DOG_FILES
    assert served.downloaded == ["train.zip"]


def test_the_manifest_lists_the_sources_without_paths_of_this_disk(tmp_path: Path, workspace: Workspace) -> None:
    layout = {**zipped(DOG_FILES, "labels.csv", "test/"), "sample_submission.csv": SAMPLE}
    layout |= under(inside(DOG_FILES, "train/"), "dogs/train/")
    folder = download(DOG, workspace, write_files(tmp_path / "source", layout))
    text = (folder / "manifest.json").read_text()
    manifest = json.loads(text)
    listing = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in inside(DOG_FILES, "train/").items()
    )
    assert str(tmp_path) not in text
    assert manifest["format"] == 1
    assert manifest["competition"] == DOG.slug
    assert manifest["source"] == "disk"
    assert manifest["files"] == {"./": 2, "test/": 1, "train/": 2}
    assert {entry["name"]: (entry["size"], entry["sha256"]) for entry in manifest["sources"]} == {
        **{n: (len(layout[n]), hashlib.sha256(layout[n]).hexdigest()) for n in layout if "/" not in n},
        "dogs/train/": (2, hashlib.sha256(listing.encode()).hexdigest()),
    }


def test_archives_that_lack_a_part_are_told_with_the_command_that_joins_them(
    tmp_path: Path, workspace: Workspace
) -> None:
    source = write_files(tmp_path / "source", {"labels.csv": b"x", "train.zip.001": b"PK", "train.zip.003": b"x"})
    with pytest.raises(DataError) as raised:
        download(DOG, workspace, source)
    whole = source / "train.zip"
    assert raised.value.fix and raised.value.fix.startswith(f"join the parts: cat {whole}.* > {whole}, then: ")


def test_the_error_of_missing_files_names_all_of_them(tmp_path: Path, workspace: Workspace) -> None:
    source = write_files(tmp_path / "source", {"label.csv": b"x", "train/a.jpg": b"a", "train/b.jpg": b"b"})
    with pytest.raises(DataError) as raised:
        download(DOG, workspace, source)
    assert raised.value.message == (
        "missing: labels.csv, sample_submission.csv, test/\n  found instead: label.csv, train/ (2 files)"
    )
    assert raised.value.fix and raised.value.fix.endswith(f"`runner dog-breed download --from {source}`")
    assert not workspace.data_dir("dog-breed").exists()


def test_one_of_two_test_folders_may_be_missing_if_no_id_needs_it(
    tmp_path: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {name: data for name, data in PLANET_FILES.items() if "additional" not in name}
    with pytest.raises(DataError, match=r"incomplete.*\n.*\n.*missing folder: 1\n.*test-jpg-additional"):
        download(PLANET, workspace, write_files(tmp_path / "small", small))
    small["sample_submission_v2.csv"] = b"image_name,tags\ntest_0,clear\n"
    assert content(download(PLANET, workspace, write_files(tmp_path / "small", small))) == small
    assert "warning: test-jpg-additional/ does not exist" in capsys.readouterr().err
    none = {name: data for name, data in small.items() if "test-jpg" not in name}
    with pytest.raises(DataError, match="missing: test-jpg/, test-jpg-additional/"):
        download(PLANET, workspace, write_files(tmp_path / "none", none), force=True)


@pytest.mark.parametrize("packing", ["open", "packed"])
def test_two_equally_good_matches_are_an_error_with_both(packing: str, tmp_path: Path, workspace: Workspace) -> None:
    files = {name: data for name, data in DOG_FILES.items() if name != "labels.csv"}
    twice = {"1/labels.csv": LABELS, "2/labels.csv": LABELS}
    if packing == "packed":
        twice = {f"{name}.zip": packed("x.zip", only(twice, name)) for name in twice}
    with pytest.raises(DataError, match=r"there are two labels.csv: .*1/labels.csv.* and .*2/labels.csv"):
        download(DOG, workspace, write_files(tmp_path / "source", {**files, **twice}))


def test_the_least_deep_of_two_folders_is_taken(tmp_path: Path, workspace: Workspace) -> None:
    layout = {**DOG_FILES, "backup/train/z.jpg": b"z", "train/old/train/y.jpg": b"y"}
    folder = download(DOG, workspace, write_files(tmp_path / "source", layout))
    assert content(folder) == {**DOG_FILES, "train/old/train/y.jpg": b"y"}


def test_links_in_the_users_folder_are_followed_without_circles(tmp_path: Path, workspace: Workspace) -> None:
    elsewhere = write_files(tmp_path / "big disk", inside(DOG_FILES, "train/"))
    source = write_files(tmp_path / "source", {n: d for n, d in DOG_FILES.items() if not n.startswith("train/")})
    (source / "train").symlink_to(elsewhere)
    (source / "test" / "up").symlink_to(source)
    folder = download(DOG, workspace, source)
    assert content(folder) == DOG_FILES
    assert not (folder / "train").is_symlink()


def test_an_archive_in_too_many_archives_is_refused(tmp_path: Path, workspace: Workspace) -> None:
    bundle = packed("0.zip", DOG_FILES)
    for level in range(1, 7):
        bundle = packed("x.zip", {f"{level}.zip": bundle})
    with pytest.raises(ArchiveError, match="inside 5 archives"):
        download(DOG, workspace, write_files(tmp_path / "source", {"x.zip": bundle}))


def test_a_source_that_does_not_exist_is_an_error(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        download(DOG, workspace, tmp_path / "nowhere")


def test_a_full_disk_is_an_error_before_anything_is_written(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=64 * 2**20 + 50))
    for source in (write_files(tmp_path / "a", DOG_FILES), write_files(tmp_path / "b", DOG_LAYOUTS["new vintage"])):
        with pytest.raises(DataError, match=r"\d+ bytes needed, 50 bytes free"):
            download(DOG, workspace, source)
    served = folder_host(tmp_path / "c", DOG_LAYOUTS["new vintage"])
    with pytest.raises(DataError, match=r"kB needed, 50 bytes free"):
        download(DOG, workspace, served)
    assert served.downloaded == []


def test_complete_data_is_not_downloaded_again(
    tmp_path: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    served = folder_host(tmp_path / "host", DOG_FILES)
    folder = download(DOG, workspace, served)
    served.downloaded.clear()
    assert download(DOG, workspace, served) == folder
    assert served.downloaded == []
    assert "already downloaded; --force replaces it" in capsys.readouterr().err


def test_force_replaces_the_folder(tmp_path: Path, workspace: Workspace) -> None:
    folder = download(DOG, workspace, write_files(tmp_path / "1", DOG_FILES))
    changed = {**DOG_FILES, "train/a.jpg": b"another"}
    download(DOG, workspace, write_files(tmp_path / "2", changed), force=True)
    assert content(folder) == changed
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["dog-breed"]


def test_a_failed_forced_download_leaves_the_old_data(tmp_path: Path, workspace: Workspace) -> None:
    folder = download(DOG, workspace, write_files(tmp_path / "1", DOG_FILES))
    with pytest.raises(DataError):
        download(DOG, workspace, write_files(tmp_path / "2", {"labels.csv": b"x"}), force=True)
    assert content(data_folder(DOG, workspace)) == content(folder) == DOG_FILES


@pytest.mark.parametrize("extra", ["notes.txt", "train/mine.jpg"])
def test_force_keeps_a_backup_of_files_that_a_user_added(extra: str, tmp_path: Path, workspace: Workspace) -> None:
    source = write_files(tmp_path / "1", DOG_FILES)
    folder = download(DOG, workspace, source)
    write_files(folder, {extra: b"mine"})
    download(DOG, workspace, source, force=True)
    assert content(folder) == DOG_FILES
    assert content(folder.with_name("dog-breed.kept-1")) == {**DOG_FILES, extra: b"mine"}


def test_files_put_in_the_data_folder_by_hand_are_kept(tmp_path: Path, workspace: Workspace) -> None:
    folder = write_files(workspace.data_dir("dog-breed"), {"dogs.zip": packed("x.zip", DOG_FILES)})
    by_hand = read_files(folder)
    with pytest.raises(DataError, match="is incomplete") as raised:
        data_folder(DOG, workspace)
    with pytest.raises(DataError, match="did not write") as raised:
        download(DOG, workspace, folder_host(tmp_path / "host", DOG_FILES))
    assert f"runner dog-breed download --from {folder}" in str(raised.value.fix)
    assert read_files(folder) == by_hand
    download(DOG, workspace, folder)  # what the fix says
    assert content(folder) == DOG_FILES
    assert read_files(folder.with_name("dog-breed.kept-1")) == by_hand


def test_the_error_of_missing_data_has_the_download_command(workspace: Workspace) -> None:
    with pytest.raises(DataError) as raised:
        data_folder(DOG, workspace)
    assert raised.value.message == "the data of dog-breed is not downloaded"
    assert raised.value.fix and "runner dog-breed download" in raised.value.fix


def test_an_error_of_prepare_has_the_row_and_the_command(tmp_path: Path, workspace: Workspace) -> None:
    broken = {**ICEBERG_FILES, "test.json": b'[{"id": "3", "band_1": [1], "band_2": [1]}]'}
    served = folder_host(tmp_path / "host", broken)
    with pytest.raises(DataError) as raised:
        download(ICEBERG, workspace, served)
    assert "band_1 has 1 numbers" in raised.value.message
    assert str(raised.value.where).endswith("test.json, row 1")
    assert raised.value.fix and raised.value.fix.endswith("`runner iceberg download`")
    write_files(served.folder, {"test.json": ICEBERG_FILES["test.json"]})
    download(ICEBERG, workspace, served)
    assert data_folder(ICEBERG, workspace)


def test_a_bug_in_prepare_is_a_plugin_error(tmp_path: Path, workspace: Workspace) -> None:
    def prepare(folder: Path) -> None:
        raise KeyError(folder.name)

    with pytest.raises(PluginError, match="`prepare` of the competition iceberg failed: KeyError"):
        download(replace(ICEBERG, prepare=prepare), workspace, write_files(tmp_path / "source", ICEBERG_FILES))


@pytest.mark.parametrize("damage", ["no manifest", "damaged", "another format"])
def test_force_keeps_a_backup_of_data_with_another_manifest(damage: str, tmp_path: Path, workspace: Workspace) -> None:
    source = write_files(tmp_path / "1", DOG_FILES)
    manifest = download(DOG, workspace, source) / MANIFEST
    if damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text("{" if damage == "damaged" else '{"format": 2, "files": {}}')
    folder = download(DOG, workspace, source, force=True)
    assert content(folder) == content(folder.with_name("dog-breed.kept-1")) == DOG_FILES


def test_verify_manifest_counts_missing_and_added_files(tmp_path: Path, workspace: Workspace) -> None:
    folder = download(DOG, workspace, write_files(tmp_path / "1", DOG_FILES))
    assert verify_manifest(folder) == {}
    (folder / "train/a.jpg").unlink()
    write_files(folder, {"new/x.txt": b"x"})
    assert verify_manifest(folder) == {"train/": -1, "new/": 1}


WITH_D = {**DOG_FILES, "sample_submission.csv": SAMPLE + b"d,0.5,0.5\n"}


@pytest.mark.parametrize("kind", ["disk", "mirror"])
def test_a_copy_without_an_image_of_the_sample_is_refused(kind: str, tmp_path: Path, workspace: Workspace) -> None:
    source = write_files(tmp_path / "copy", WITH_D)

    def fill() -> None:
        download(DOG, workspace, FolderHost(source) if kind == "mirror" else source, is_mirror=kind == "mirror")

    with pytest.raises(DataError) as caught:
        fill()
    assert caught.value.message.startswith("the data is incomplete or damaged\ndog-breed: 1 error in the data")
    assert "'d' has no image test/d.jpg" in caught.value.message
    assert "runner dog-breed download --from" in str(caught.value.fix)
    assert not is_downloaded(DOG, workspace)
    write_files(source, {"test/d.jpg": b"d"})
    fill()
    assert is_downloaded(DOG, workspace)


def test_an_image_that_the_host_itself_lacks_is_left_to_be_corrected(tmp_path: Path, workspace: Workspace) -> None:
    folder = download(DOG, workspace, folder_host(tmp_path / "host", WITH_D))
    assert is_downloaded(DOG, workspace)
    with pytest.raises(ProblemsError, match=r"'d' has no image test/d.jpg"):
        build_index(DOG, folder)
    write_files(folder, {"test/d.jpg": b"d"})
    build_index(DOG, folder)


IN_TRAIN = {f"train/{name}": data for name, data in inside(DOG_FILES, "train/").items()}
REST = {name: data for name, data in DOG_FILES.items() if not name.startswith("train/")}
NESTED = {
    "a file beside the folder": {"train.zip": packed("x.zip", {**IN_TRAIN, "README.txt": b"read"})},
    "an image beside the folder": {"train.zip": packed("x.zip", {**IN_TRAIN, "logo.png": b"png"})},
    "a doubled folder and a file": {
        "train.zip": packed("x.zip", {**under(IN_TRAIN, "train/"), "train/notes.txt": b"x", "LICENSE": b"x"})
    },
    "a folder of another name": {
        "train.zip": packed("x.zip", {**under(inside(DOG_FILES, "train/"), "images/"), "x": b""})
    },
    "a Mac's shadow": {"train.zip": packed("x.zip", {**IN_TRAIN, **under(IN_TRAIN, "__MACOSX/"), "a.txt": b""})},
    "another case": under(inside(DOG_FILES, "train/"), "Train/"),
    "an archive in another case": {"TRAIN.ZIP": packed("x.zip", IN_TRAIN)},
    "laid open, a file beside": {**under(IN_TRAIN, "train/"), "train/README.md": b"x"},
    "a folder without images before an archive": {"train/README.md": b"x", "train.zip": packed("x.zip", IN_TRAIN)},
    "half of the images laid open": {"train/a.jpg": b"a", "data/train.zip": packed("x.zip", IN_TRAIN)},
    "thumbnails less deep": {**under({"x.jpg": b"x", "y.jpg": b"y"}, "train/"), **under(IN_TRAIN, "full/size/")},
    "ids in two folders, one of them right": {**under(IN_TRAIN, "new/"), "old/train/a.jpg": b"old"},
}


@pytest.mark.parametrize("name", NESTED)
def test_the_images_are_found_by_the_ids_whatever_lies_around_them(
    name: str, tmp_path: Path, workspace: Workspace
) -> None:
    folder = download(DOG, workspace, write_files(tmp_path / "source", {**REST, **NESTED[name]}))
    images = {
        file: data for file, data in content(folder).items() if file.startswith("train/") and data in (b"a", b"b")
    }
    assert images == IN_TRAIN
    build_index(DOG, folder)


def test_class_folders_are_found_beside_other_files(tmp_path: Path, workspace: Workspace) -> None:
    files = {name: data for name, data in FOLDER_FILES.items() if not name.startswith("train/")}
    train = {name: data for name, data in FOLDER_FILES.items() if name.startswith("train/")}
    layout = {**files, "train.zip": packed("x.zip", {**train, "README": b"x", "train/list.txt": b"x"})}
    folder = download(FOLDERS, workspace, write_files(tmp_path / "source", layout))
    assert len(build_index(FOLDERS, folder).train) == 3


OTHER = {**DOG_FILES, "labels.csv": b"id,label\na,cat\nb,dog\n", "sample_submission.csv": b"id,label\nc,0.5\n"}
NOT_DOGS = {
    "other columns": OTHER,
    "other ids": {**DOG_FILES, "labels.csv": b"id,breed\nx,beagle\ny,pug\n"},
    "one column to predict": {**DOG_FILES, "sample_submission.csv": b"c,0.5\n"},
    "a page instead of a table": {**DOG_FILES, "labels.csv": b"<html>sign in</html>"},
}


@pytest.mark.parametrize("name", NOT_DOGS)
def test_the_files_of_another_competition_are_refused(name: str, tmp_path: Path, workspace: Workspace) -> None:
    source = write_files(tmp_path / "cats", NOT_DOGS[name])
    with pytest.raises(WrongDataError, match="these files are not the data of dog-breed") as caught:
        download(DOG, workspace, source)
    assert caught.value.where == str(source)
    assert "runner dog-breed download --from DIR" in str(caught.value.fix)
    assert not workspace.data_dir("dog-breed").exists()


@pytest.mark.parametrize("packing", ["open", "packed"])
def test_the_error_names_the_competition_whose_files_they_are(
    packing: str, tmp_path: Path, workspace: Workspace
) -> None:
    source = write_files(tmp_path / "planet's", PLANET_FILES)
    if packing == "packed":
        source = pack(tmp_path / "planet's.zip", PLANET_FILES)
    with pytest.raises(WrongDataError, match=r"planet's.* looks like the data of planet, not of dog-breed") as caught:
        download(DOG, workspace, source)
    assert str(caught.value.fix).startswith(f"`runner planet download --from {shlex.quote(str(source))}`;")


def test_another_source_than_that_of_the_complete_data_is_not_answered_with_success(
    tmp_path: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = write_files(tmp_path / "1", DOG_FILES), write_files(tmp_path / "2", OTHER)
    folder = download(DOG, workspace, first)
    with pytest.raises(DataError, match=f"is here already, from {first}; nothing was read from {second}") as caught:
        download(DOG, workspace, second)
    assert str(caught.value.fix) == f"to replace it: `runner dog-breed download --from {second} --force`"
    with pytest.raises(DataError, match="no such file or folder"):
        download(DOG, workspace, tmp_path / "bad.zip")
    capsys.readouterr()
    assert download(DOG, workspace, first) == folder
    assert "already downloaded" in capsys.readouterr().err


def test_a_fix_downloads_from_where_the_data_came(tmp_path: Path, workspace: Workspace) -> None:
    source = write_files(tmp_path / "my dogs", DOG_FILES)
    folder = download(DOG, workspace, source)
    (folder / "train/a.jpg").unlink()
    expected = f"runner dog-breed download --from '{source}' --force"
    with pytest.raises(ProblemsError) as caught:
        build_index(DOG, folder)
    assert caught.value.problems[0].fix == expected == redownload_command(folder)
    download(DOG, workspace, FolderHost(source), force=True)
    assert redownload_command(folder) == "runner dog-breed download --force"
    download(DOG, workspace, FolderHost(source), force=True, is_mirror=True)
    assert redownload_command(folder) == "runner dog-breed download --mirror --force"


class KilledError(BaseException):
    """In place of a killed process."""


@contextmanager
def killed_at(step: int) -> Iterator[list[str]]:
    """Raise KilledError at one of the calls that change the disk, and at all later ones."""
    calls: list[str] = []
    patch = pytest.MonkeyPatch()

    def count(module: ModuleType, name: str) -> None:
        real = getattr(module, name)

        def call(*arguments: object, **options: object) -> object:
            if name != "open" or set("wxa") & set(str(arguments[1])):
                if len(calls) >= step:
                    raise KilledError
                calls.append(f"{name} {arguments[0]}")
            return real(*arguments, **options)

        patch.setattr(module, name, call)

    for name in ("mkdir", "rename", "replace", "unlink", "rmdir"):
        count(os, name)
    count(io, "open")
    try:
        yield calls
    finally:
        patch.undo()


def run_killed(step: int, function: object) -> bool:
    """Whether the call ended before the step."""
    with killed_at(step):
        try:
            function()  # type: ignore[operator]
        except KilledError:
            return False
    return True


def without_source(workspace: Workspace) -> dict[str, bytes]:
    """The files of a workspace, without the path of the source, which may be in the workspace itself."""
    return {name: data for name, data in read_files(workspace.root).items() if not name.endswith(SOURCE)}


@pytest.mark.parametrize(
    "kind", ["host", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("disk", "force", "by hand"))]
)
def test_killed_at_any_step_and_repeated_it_ends_the_same(kind: str, tmp_path: Path) -> None:
    layout = {
        **zipped(DOG_FILES, "labels.csv", "train/"),
        "rest.zip": packed(
            "x.zip", {"r/sample_submission.csv": SAMPLE, "r/test.zip": packed("x.zip", {"c.jpg": b"c"})}
        ),
    }
    layout["test.zip"] = packed("x.zip", {"c.jpg": b"c"})
    layout["sample_submission.csv"] = SAMPLE
    old = write_files(tmp_path / "old", {**DOG_FILES, "train/a.jpg": b"old"})

    def prepare(name: str) -> Workspace:
        workspace = Workspace.at(write_files(tmp_path / name, {"x": b""}))
        if kind == "force":
            download(DOG, workspace, old)
        if kind == "by hand":
            write_files(workspace.data_dir("dog-breed"), layout)
        return workspace

    def call(workspace: Workspace, force: bool) -> None:
        source = workspace.data_dir("dog-breed") if kind == "by hand" else write_files(tmp_path / "layout", layout)
        download(DOG, workspace, FolderHost(source) if kind == "host" else source, force=force)

    unbroken = prepare("unbroken")
    with killed_at(10**6) as steps:
        call(unbroken, kind == "force")
    expected = without_source(unbroken)
    assert content(unbroken.data_dir("dog-breed")) == DOG_FILES
    assert len(steps) > 15
    for step in range(len(steps)):
        workspace = prepare(f"step-{step}")
        assert not run_killed(step, lambda w=workspace: call(w, kind == "force"))
        folder = workspace.data_dir("dog-breed")
        if kind == "force":
            assert content(folder if folder.exists() else folder.with_name(".dog-breed.old"))
        call(workspace, kind == "force")
        assert without_source(workspace) == expected, f"killed before {steps[step]}"
