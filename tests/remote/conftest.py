"""A run of the shapes that is trained and predicted once, and a place laid out as Kaggle's machines."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from competitions import load
from runner.contract import Stage, TrainMode
from runner.hosts.grading import Scores, SolutionRow, Usage
from runner.hosts.http.retry import RetryPolicy
from runner.hosts.kaggle import KaggleHost
from runner.hosts.kaggle.client import KaggleClient
from runner.hosts.kaggle.notebooks import KaggleNotebooks
from runner.hosts.practice import PracticeData, PracticeHost, PracticeTeam, create_practice_competition
from runner.options import Compute
from runner.remote.package import Package, build_package
from runner.remote.sessions import Remote
from runner.session import Session
from runner.steps.download import download
from runner.steps.predict import predict
from runner.steps.train import train
from runner.training.run import Run, find_run
from runner.workspace import Workspace
from tests.competitions import SHAPES, write_plugin
from tests.hosts.kaggle.conftest import START
from tests.kaggle_server import KaggleServer, use_server

ON_CPU = Compute(device="cpu", workers=0)
RECIPE = replace(SHAPES.recipe, stages=(Stage(32, TrainMode.UNFROZEN, cycle_len=1),), folds=2)


@dataclass(frozen=True)
class Trained:
    """A session, its run, and the submission of the test set that it knew."""

    session: Session
    run: Run
    submission: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Trained:
    """Two folds of one epoch, predicted with every view."""
    root = tmp_path_factory.mktemp("trained")
    write_plugin(root, replace(SHAPES, recipe=RECIPE))
    competition = load("shapes", root / "competitions")
    session = Session(competition, Workspace(root), "kaggle", ON_CPU)
    download(session, shapes_folder)
    run = train(session, competition.recipe, name="first")
    return Trained(session, run, predict(session, run))


@pytest.fixture(scope="session")
def package(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package of that run."""
    return build_package(trained.session, trained.run, tmp_path_factory.mktemp("package"))


@dataclass(frozen=True)
class KaggleMachine:
    """What a script finds: `root` is its /kaggle, and the package is unpacked in `scratch`."""

    root: Path
    scratch: Path

    @property
    def input(self) -> Path:
        return self.root / "input" / "shapes"

    @property
    def submission(self) -> list[str]:
        return (self.root / "working" / "submission.csv").read_text().splitlines()


@pytest.fixture
def machine(package: Package, shapes_folder: Path, tmp_path: Path) -> KaggleMachine:
    """A machine with the competition's files, and nothing in `working`."""
    return unpacked_machine(package, shapes_folder, tmp_path)


def unpacked_machine(package: Package, shapes_folder: Path, folder: Path) -> KaggleMachine:
    """Such a machine below a folder, on which this package is unpacked."""
    root = folder / "kaggle"
    shutil.copytree(shapes_folder, root / "input" / "shapes")
    (root / "working").mkdir()
    with zipfile.ZipFile(package.path) as archive:
        archive.extractall(folder / "scratch" / "package")
    return KaggleMachine(root, folder / "scratch")


@pytest.fixture
def server(trained: Trained, shapes_folder: Path, tmp_path: Path) -> Iterator[KaggleServer]:
    """Shapes as a competition of notebooks: hidden are the same images under other ids, and one of them broken."""
    rows = [line.split(",") for line in (shapes_folder / "solution.csv").read_text().splitlines()[1:]]
    hidden = {id: f"hidden{number:02d}" for number, (id, _) in enumerate(rows)}
    sample = (shapes_folder / "sample_submission.csv").read_text()
    files, secret = tmp_path / "files", tmp_path / "secret"
    train_zip = tmp_path / "train.zip"
    with ZipFile(train_zip, "w") as archive:
        for path in sorted((shapes_folder / "train").iterdir()):
            archive.write(path, f"train/{path.name}")
    for folder, ids in ((files, {id: id for id in hidden}), (secret, hidden)):
        folder.mkdir()
        with ZipFile(folder / "test.zip", "w") as archive:
            for id, name in ids.items():
                content = (shapes_folder / "test" / f"{id}.jpg").read_bytes()
                archive.writestr(f"test/{name}.jpg", content if name != "hidden03" else content[:300])
        lines = [",".join([ids.get(line.split(",")[0], "id"), *line.split(",")[1:]]) for line in sample.splitlines()]
        (folder / "sample_submission.csv").write_text("\n".join(lines) + "\n")
    usages = [Usage.PUBLIC, Usage.PRIVATE]
    create_practice_competition(
        trained.session.competition,
        tmp_path / "host",
        PracticeData(
            files={
                path.name: path for path in [*files.iterdir(), tmp_path / "train.zip", shapes_folder / "labels.csv"]
            },
            sample=secret / "sample_submission.csv",
            classes=("akita", "beagle", "collie"),
            solution=[SolutionRow(hidden[id], label, usages[n % 2]) for n, (id, label) in enumerate(rows)],
            leaderboard=[PracticeTeam(f"team {n}", Scores(0.2 * n, 0.2 * n), START) for n in range(1, 11)],
            hidden={path.name: path for path in secret.iterdir()},
        ),
    )
    host = PracticeHost(trained.session.competition, tmp_path / "host")
    with KaggleServer({"shapes": host}) as running, use_server(running):
        yield running


@pytest.fixture
def empty_session(trained: Trained, tmp_path: Path) -> Session:
    """A workspace with the data, and no run."""
    root = tmp_path / "empty"
    for part in ("data", "competitions"):
        shutil.copytree(trained.session.workspace.root / part, root / part)
    return Session(trained.session.competition, Workspace(root), "kaggle", ON_CPU)


@pytest.fixture
def session(trained: Trained, tmp_path: Path) -> Session:
    """A copy of the workspace with the trained run."""
    root = tmp_path / "workspace"
    shutil.copytree(trained.session.workspace.root, root)
    return Session(trained.session.competition, Workspace(root), "kaggle", ON_CPU)


@pytest.fixture
def run(session: Session) -> Run:
    return find_run(session.workspace, session.name, "first")


def predictions(run: Run) -> dict[str, np.ndarray]:
    """Every prediction of a run, by its file."""
    found = {}
    for path in sorted(run.folder.glob("fold-*/*.npz")):
        with np.load(path) as arrays:
            found[path.relative_to(run.folder).as_posix()] = arrays["probabilities"]
    return found


def require_same(run: Run, other: Run) -> None:
    one, two = predictions(run), predictions(other)
    assert one.keys() == two.keys() and one
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    weights = [sorted(path.name for path in each.folder.glob("fold-*/*.safetensors")) for each in (run, other)]
    assert weights[0] == weights[1]


def sent(server: KaggleServer) -> tuple[int, int, int]:
    """The versions of the dataset and of the kernel, and the submissions."""
    versions = [int(path.name[1:]) for path in server.notebooks.folder.glob("datasets/*/v*")]
    kernels = [int(path.name[1:]) for path in server.notebooks.folder.glob("kernels/*/v*")]
    submissions = server.competitions["shapes"].host.fetch_submissions("shapes")
    return max(versions, default=0), max(kernels, default=0), len(submissions)


def remote_of(session: Session, server: KaggleServer) -> tuple[Session, Remote]:
    """A command of its own on the session's workspace; every wait is until the server's sessions have ended."""
    host = KaggleHost(session.competition, policy=RetryPolicy(lambda _: None))
    again = Session(session.competition, session.workspace, "kaggle", session.compute)
    again.__dict__["host"] = host
    return again, Remote(KaggleNotebooks(host), lambda _: server.sessions.join())


class Killed(BaseException):
    """The end of a process."""


def kill_after(method: str, patched: pytest.MonkeyPatch) -> None:
    """End the process when the answer to this call has come."""
    send = KaggleClient._send

    def killed_after(client: KaggleClient, service: str, called: str, *more: Any) -> Any:
        answer = send(client, service, called, *more)
        if called == method:
            raise Killed
        return answer

    patched.setattr(KaggleClient, "_send", killed_after)
