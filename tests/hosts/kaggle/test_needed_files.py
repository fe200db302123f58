"""Of all that a host offers, what is needed comes, under its own names; and a mirror is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from competitions import load
from runner.contract import Competition
from runner.data.download import download
from runner.data.mirror import check_counts
from runner.errors import DataError, HostError, UsageError
from runner.hosts.kaggle import KaggleDataset, KaggleHost
from runner.hosts.open_host import open_mirror
from runner.hosts.practice import PracticeHost, create_practice_competition
from runner.workspace import Workspace
from tests.hosts.kaggle.conftest import DOGS
from tests.kaggle_server import HostedCompetition, KaggleServer

PLANET = load("planet")


def zipped(files: dict[str, bytes]) -> bytes:
    content = BytesIO()
    with ZipFile(content, "w") as archive:
        for name, one in files.items():
            archive.writestr(name, one)
    return content.getvalue()


def planet_files(images: int = 3) -> dict[str, bytes]:
    rows = "".join(f"train_{n},clear\n" for n in range(3))
    test = "".join(f"test_{n},clear\n" for n in range(2))
    return {
        "train_v2.csv": b"image_name,tags\n" + rows.encode(),
        "sample_submission_v2.csv": b"image_name,tags\n" + test.encode(),
        **{f"train-jpg/train_{n}.jpg": b"jpg" for n in range(images)},
        **{f"test-jpg/test_{n}.jpg": b"jpg" for n in range(2)},
    }


def serve(server: KaggleServer, competition: Competition, folder: Path, files: dict[str, bytes]) -> None:
    """Put a competition with these files on the server."""
    named = {}
    for name, content in files.items():
        named[name] = folder / "source" / name
        named[name].parent.mkdir(parents=True, exist_ok=True)
        named[name].write_bytes(content)
    sample = folder / "sample.csv"
    sample.write_text("id\n")
    create_practice_competition(competition, folder / "host", files=named, sample=sample, classes=(), solution=())
    server.competitions = {competition.slug: HostedCompetition(PracticeHost(competition, folder / "host"))}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def host(kaggle: KaggleHost) -> Callable[[Competition], KaggleHost]:
    """The host for another competition."""

    def build(competition: Competition) -> KaggleHost:
        return KaggleHost(competition, policy=kaggle.client.policy)

    return build


Hosts = Callable[[Competition], KaggleHost]


def test_planet_comes_without_its_tifs(server: KaggleServer, tmp_path: Path, workspace: Workspace, host: Hosts) -> None:
    files = planet_files()
    images = {part: {n: c for n, c in files.items() if n.startswith(part)} for part in ("train-jpg", "test-jpg")}
    offered = {
        "train_v2.csv.zip": zipped({"train_v2.csv": files["train_v2.csv"]}),
        "sample_submission_v2.csv.zip": zipped({"sample_submission_v2.csv": files["sample_submission_v2.csv"]}),
        **{f"{part}.zip": zipped(held) for part, held in images.items()},
        "train-tif-v2.tar.7z": b"32 GB of them",
        "test-tif-v2.tar.7z": b"and more",
        "test_v2_file_mapping.csv.zip": zipped({"x.csv": b"x"}),
    }
    serve(server, PLANET, tmp_path / "site", offered)
    folder = download(PLANET, workspace, host(PLANET))
    assert (folder / "train-jpg" / "train_2.jpg").read_bytes() == b"jpg"
    fetched = {str(call.body["fileName"]) for call in server.calls if call.name == "DownloadDataFile"}
    assert fetched == set(offered) - {"train-tif-v2.tar.7z", "test-tif-v2.tar.7z", "test_v2_file_mapping.csv.zip"}


def dog_files(count: int) -> dict[str, bytes]:
    return {
        "labels.csv": b"id,breed\n" + b"".join(b"%d,pug\n" % n for n in range(count)),
        "sample_submission.csv": b"id,pug\n0,1\n",
        **{f"train/{n}.jpg": b"train %d" % n for n in range(count)},
        "test/0.jpg": b"test 0",
    }


def test_files_of_one_name_in_two_folders_stay_two(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, kaggle: KaggleHost
) -> None:
    serve(server, DOGS, tmp_path / "other", dog_files(3))
    folder = download(DOGS, workspace, kaggle)
    assert (folder / "train" / "0.jpg").read_bytes() == b"train 0"
    assert (folder / "test" / "0.jpg").read_bytes() == b"test 0"
    assert server.count("DownloadDataFiles") == 0


def test_many_single_images_come_as_the_one_archive(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, kaggle: KaggleHost
) -> None:
    serve(server, DOGS, tmp_path / "other", dog_files(70))
    folder = download(DOGS, workspace, kaggle)
    assert len(list((folder / "train").iterdir())) == 70
    assert (server.count("DownloadDataFiles"), server.count("DownloadDataFile")) == (1, 0)


def test_many_images_among_far_more_come_one_by_one(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, kaggle: KaggleHost
) -> None:
    serve(server, DOGS, tmp_path / "other", dog_files(60) | {"extra.bin": b"x" * 100_000})
    download(DOGS, workspace, kaggle)
    assert (server.count("DownloadDataFiles"), server.count("DownloadDataFile")) == (0, 63)


def test_what_was_fetched_is_not_fetched_again_and_what_was_begun_is_taken_up(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, kaggle: KaggleHost
) -> None:
    from tests.kaggle_server.faults import drops, refuses

    zips = {f"{part}.zip": zipped({f"{part}/0.jpg": b"x" * 50_000}) for part in ("train", "test")}
    tables = {name: content for name, content in dog_files(1).items() if name.endswith(".csv")}
    serve(server, DOGS, tmp_path / "other", tables | zips)
    server.fail_next("store", *[lambda *a: a[3]] * 3, drops(30_000, reset=False), *[refuses(503)] * 7)
    with pytest.raises(HostError, match="30,000 bytes are kept"):
        download(DOGS, workspace, kaggle)
    assert not workspace.data_dir("dog-breed").exists()
    server.faults.clear()
    server.calls.clear()
    download(DOGS, workspace, kaggle)
    assert [call.headers.get("Range") for call in server.calls if call.name == "store"] == ["bytes=30000-"]


def test_what_the_host_lists_no_more_is_missed_and_named(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, host: Hosts
) -> None:
    files = {name: content for name, content in planet_files().items() if "train-jpg" not in name}
    serve(server, PLANET, tmp_path / "site", files)
    with pytest.raises(DataError, match="train-jpg"):
        download(PLANET, workspace, host(PLANET))


def mirror(server: KaggleServer, tmp_path: Path, images: int) -> None:
    """The mirror's own layout: other names for the tables, and two folders around everything."""
    names = {"train_v2.csv": "train_classes.csv", "sample_submission_v2.csv": "sample_submission.csv"}
    files = {f"planet/planet/{names.get(name, name)}": one for name, one in planet_files(images).items()}
    (tmp_path / "mirror.zip").write_bytes(zipped(files))
    server.datasets[PLANET.mirror] = tmp_path / "mirror.zip"


def test_the_mirror_brings_what_the_host_lists_no_more(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, host: Hosts
) -> None:
    mirror(server, tmp_path, images=3)
    dataset = KaggleDataset(host(PLANET), PLANET.mirror)
    folder = download(PLANET, workspace, dataset, verify=lambda found: check_counts(PLANET, found))
    assert len(list((folder / "train-jpg").iterdir())) == 3
    assert (folder / "train_v2.csv").is_file()
    assert "mirror" in (folder / "manifest.json").read_text()


def test_a_mirror_that_lacks_images_is_refused(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, host: Hosts
) -> None:
    mirror(server, tmp_path, images=2)
    dataset = KaggleDataset(host(PLANET), PLANET.mirror)
    with pytest.raises(DataError, match="2 train images, and 3 rows"):
        download(PLANET, workspace, dataset, verify=lambda found: check_counts(PLANET, found))
    assert not workspace.data_dir("planet").exists()


def test_a_mirror_that_is_gone_is_named(server: KaggleServer, workspace: Workspace, host: Hosts) -> None:
    with pytest.raises(HostError, match="nikitarom/planets-dataset"):
        download(PLANET, workspace, KaggleDataset(host(PLANET), PLANET.mirror))


def test_a_competition_without_a_mirror_has_none(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="names no mirror"):
        open_mirror("kaggle", DOGS, workspace)
    with pytest.raises(UsageError, match="only Kaggle"):
        open_mirror("practice", replace(DOGS, mirror="a/b"), workspace)


def test_the_slug_may_be_the_whole_address() -> None:
    for address in (
        "https://www.kaggle.com/competitions/titanic",
        "https://www.kaggle.com/c/titanic/data?select=train.csv",
        "kaggle.com/competitions/titanic/overview",
        "titanic",
    ):
        assert replace(DOGS, slug=address).slug == "titanic"
