"""Of all files that a host offers, the required ones are downloaded under their names; and the mirror."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from competitions import load
from runner.contract import Competition
from runner.data.download import download
from runner.errors import DataError, HostError, UsageError
from runner.hosts.kaggle import KaggleDataset, KaggleHost
from runner.hosts.open_host import open_mirror
from runner.hosts.practice import PracticeData, PracticeHost, create_practice_competition
from runner.workspace import Workspace
from tests.builders import zip_bytes
from tests.hosts.kaggle.conftest import DOGS
from tests.kaggle_server import HostedCompetition, KaggleServer
from tests.kaggle_server.faults import drops, refuses

PLANET = load("planet")
Hosts = Callable[[Competition], KaggleHost]


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
    paths = {}
    for name, content in files.items():
        paths[name] = folder / "source" / name
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        paths[name].write_bytes(content)
    sample = folder / "sample.csv"
    sample.write_text("id\n")
    create_practice_competition(
        competition, folder / "host", PracticeData(files=paths, sample=sample, classes=(), solution=())
    )
    server.competitions = {competition.slug: HostedCompetition(PracticeHost(competition, folder / "host"))}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def host(kaggle: KaggleHost) -> Hosts:
    """Opens the host of another competition."""

    def build(competition: Competition) -> KaggleHost:
        return KaggleHost(competition, policy=kaggle.client.policy)

    return build


def test_files_that_are_not_required_are_not_downloaded(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, host: Hosts
) -> None:
    files = planet_files()
    images = {
        subset: {name: content for name, content in files.items() if name.startswith(subset)}
        for subset in ("train-jpg", "test-jpg")
    }
    offered = {
        "train_v2.csv.zip": zip_bytes({"train_v2.csv": files["train_v2.csv"]}),
        "sample_submission_v2.csv.zip": zip_bytes({"sample_submission_v2.csv": files["sample_submission_v2.csv"]}),
        **{f"{subset}.zip": zip_bytes(content) for subset, content in images.items()},
        "train-tif-v2.tar.7z": b"32 GB of them",
        "test-tif-v2.tar.7z": b"and more",
        "test_v2_file_mapping.csv.zip": zip_bytes({"x.csv": b"x"}),
    }
    serve(server, PLANET, tmp_path / "site", offered)
    folder = download(PLANET, workspace, host(PLANET))
    assert (folder / "train-jpg" / "train_2.jpg").read_bytes() == b"jpg"
    requested = {str(call.body["fileName"]) for call in server.calls if call.name == "DownloadDataFile"}
    assert requested == set(offered) - {"train-tif-v2.tar.7z", "test-tif-v2.tar.7z", "test_v2_file_mapping.csv.zip"}


def dog_files(count: int) -> dict[str, bytes]:
    return {
        "labels.csv": b"id,breed\n" + b"".join(b"%d,%s\n" % (n, (b"pug", b"basset")[n % 2]) for n in range(count)),
        "sample_submission.csv": b"id,basset,pug\n0,0.5,0.5\n",
        **{f"train/{n}.jpg": b"train %d" % n for n in range(count)},
        "test/0.jpg": b"test 0",
    }


def test_files_with_one_name_in_two_folders_stay_apart(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, kaggle: KaggleHost
) -> None:
    serve(server, DOGS, tmp_path / "other", dog_files(3))
    folder = download(DOGS, workspace, kaggle)
    assert (folder / "train" / "0.jpg").read_bytes() == b"train 0"
    assert (folder / "test" / "0.jpg").read_bytes() == b"test 0"
    assert server.count("DownloadDataFiles") == 0


def test_many_single_images_are_downloaded_as_one_archive(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, kaggle: KaggleHost
) -> None:
    serve(server, DOGS, tmp_path / "other", dog_files(70))
    folder = download(DOGS, workspace, kaggle)
    assert len(list((folder / "train").iterdir())) == 70
    assert (server.count("DownloadDataFiles"), server.count("DownloadDataFile")) == (1, 0)


def test_many_images_beside_large_other_files_are_downloaded_one_by_one(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, kaggle: KaggleHost
) -> None:
    serve(server, DOGS, tmp_path / "other", dog_files(60) | {"extra.bin": b"x" * 100_000})
    download(DOGS, workspace, kaggle)
    assert (server.count("DownloadDataFiles"), server.count("DownloadDataFile")) == (0, 63)


def test_a_second_download_keeps_finished_files_and_resumes_the_last(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, kaggle: KaggleHost
) -> None:

    zips = {f"{subset}.zip": zip_bytes({f"{subset}/0.jpg": b"x" * 50_000}) for subset in ("train", "test")}
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


def test_a_required_file_that_the_host_no_longer_lists_is_named(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, host: Hosts
) -> None:
    files = {name: content for name, content in planet_files().items() if "train-jpg" not in name}
    serve(server, PLANET, tmp_path / "site", files)
    with pytest.raises(DataError, match="train-jpg"):
        download(PLANET, workspace, host(PLANET))


def mirror(server: KaggleServer, tmp_path: Path, images: int) -> None:
    """Serve a mirror in its own layout: other names for the tables, and two folders around everything."""
    names = {"train_v2.csv": "train_classes.csv", "sample_submission_v2.csv": "sample_submission.csv"}
    files = {f"planet/planet/{names.get(name, name)}": content for name, content in planet_files(images).items()}
    (tmp_path / "mirror.zip").write_bytes(zip_bytes(files))
    server.datasets[PLANET.mirror] = tmp_path / "mirror.zip"


def test_the_mirror_has_what_the_host_no_longer_lists(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, host: Hosts
) -> None:
    mirror(server, tmp_path, images=3)
    dataset = KaggleDataset(host(PLANET), PLANET.mirror)
    folder = download(PLANET, workspace, dataset, is_mirror=True)
    assert len(list((folder / "train-jpg").iterdir())) == 3
    assert (folder / "train_v2.csv").is_file()
    assert "mirror" in (folder / "manifest.json").read_text()


def test_a_mirror_that_lacks_images_is_an_error(
    server: KaggleServer, tmp_path: Path, workspace: Workspace, host: Hosts
) -> None:
    mirror(server, tmp_path, images=2)
    dataset = KaggleDataset(host(PLANET), PLANET.mirror)
    with pytest.raises(DataError, match="planet: 1 error in the data"):
        download(PLANET, workspace, dataset, is_mirror=True)
    assert not workspace.data_dir("planet").exists()


def test_a_missing_mirror_is_named(server: KaggleServer, workspace: Workspace, host: Hosts) -> None:
    with pytest.raises(HostError, match="nikitarom/planets-dataset"):
        download(PLANET, workspace, KaggleDataset(host(PLANET), PLANET.mirror))


def test_a_mirror_needs_kaggle_and_a_competition_that_names_one(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="names no mirror"):
        open_mirror("kaggle", DOGS, workspace)
    with pytest.raises(UsageError, match="only Kaggle"):
        open_mirror("practice", replace(DOGS, mirror="a/b"), workspace)


def test_the_slug_may_be_an_address() -> None:
    for address in (
        "https://www.kaggle.com/competitions/titanic",
        "https://www.kaggle.com/c/titanic/data?select=train.csv",
        "kaggle.com/competitions/titanic/overview",
        "titanic",
    ):
        assert replace(DOGS, slug=address).slug == "titanic"
