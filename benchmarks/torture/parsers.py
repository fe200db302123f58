"""Every parser of what comes from outside, with inputs that hypothesis makes: noise, JSON, and damaged examples.

A parser returns, or raises the error that its callers expect. A trial is one parser with many inputs.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import py7zr
import requests
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.damage import BINARY, JSON, TEXT
from benchmarks.torture.process import Bounds, fork_work
from benchmarks.torture.worlds import COMPETITION
from runner.archives.extract import extract_archive
from runner.archives.names import check_collisions, safe_path
from runner.csv_file import CsvError, read_csv
from runner.data.folds import read_folds
from runner.data.index_inputs import FileListing
from runner.data.json_arrays import extract_json_arrays
from runner.errors import RunnerError
from runner.hosts.credentials import find_credentials
from runner.hosts.http.errors import RequestError, error_from_response, server_time
from runner.hosts.http.file_version import parse_content_range, parse_version
from runner.hosts.kaggle import parse
from runner.hosts.leaderboards import read_leaderboard_file
from runner.hosts.ledger import read_ledger
from runner.images.decode import read_image, read_size
from runner.prediction.predictions import read_view_predictions
from runner.submission_format.check import find_problems
from runner.submission_format.submission_format import read_submission_format
from runner.training.log import read_log
from runner.training.run import Run
from runner.training.snapshots import read_checkpoint_meta, read_snapshots
from runner.workspace import read_json

_SECONDS = float(os.environ.get("TORTURE_PARSER_SECONDS", "3"))
_BOUNDS = Bounds(seconds=_SECONDS * 10 + 60, memory_mb=1500)
_EXAMPLES = 100_000  # more than there is time for
_LARGEST = 4096  # bytes of noise

Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=25,
)


@dataclass(frozen=True)
class Parser:
    """A parser of bytes in a file: the file's name, what its callers expect to be raised, and good examples."""

    parse: Callable[[Path], object]
    file: str
    expected: tuple[type[Exception], ...]
    examples: tuple[bytes, ...]

    def inputs(self) -> st.SearchStrategy[bytes]:
        """Noise, and good examples that are damaged once or several times."""
        ways = {".csv": TEXT, ".json": JSON, ".jsonl": JSON}.get(Path(self.file).suffix, BINARY)

        def damaged(example: bytes, numbers: list[int]) -> bytes:
            for number in numbers:
                chance = random.Random(number)
                example = chance.choice(ways)(example, chance) if example else example
            return example

        seeds = st.lists(st.integers(0, 2**32), min_size=1, max_size=4)
        as_json = Json.map(lambda value: json.dumps(value).encode())
        noise = st.binary(max_size=_LARGEST)
        return st.builds(damaged, st.sampled_from(self.examples), seeds) | noise | as_json


def _zip(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        archive.writestr("train/b.txt", b"b" * 50)
    return stream.getvalue()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("train/a.txt")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    return stream.getvalue()


def _seven_zip() -> bytes:
    stream = io.BytesIO()
    with py7zr.SevenZipFile(stream, "w") as archive:
        archive.writestr("abc" * 30, "train/a.txt")
    return stream.getvalue()


def _image(kind: str) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def _safetensors() -> bytes:
    from safetensors.numpy import save

    meta = {"format": "1", "meta": "{}"}
    return bytes(save({"weight": np.ones((2, 3), np.float32)}, metadata=meta))


def _npz() -> bytes:
    stream = io.BytesIO()
    ids = np.array(["a", "b"])
    np.savez(stream, ids=ids, classes=ids, views=ids[:1], probabilities=np.ones((1, 2, 2), np.float32))
    return stream.getvalue()


def _response(path: Path) -> requests.Response:
    """A response whose status and headers are the file's lines."""
    lines = path.read_bytes().decode("latin-1").splitlines()
    response = requests.Response()
    response.url = "http://store.localhost/a.zip"
    response.status_code = int(lines[0]) if lines and lines[0].isdecimal() and len(lines[0]) == 3 else 200
    response.headers.update(dict(line.split(": ", 1) for line in lines[1:] if ": " in line))
    response._content = path.read_bytes()
    response.raw = io.BytesIO(path.read_bytes())
    return response


def _parse_headers(path: Path) -> None:
    response = _response(path)
    server_time(response)
    if not error_from_response(response):
        start, size = parse_content_range(response)
        parse_version(response, size, "a.zip").conflicts_with(parse_version(response, start, "a"))


def _parse_answers(path: Path) -> None:
    payload = parse.parse_object(path.read_bytes())
    for function in _ANSWERS:
        try:
            function(payload)
        except parse.InvalidAnswerError:
            continue


_ANSWERS: tuple[Callable[[Any], object], ...] = (
    lambda payload: parse.parse_info(payload, "dogs"),
    lambda payload: [parse.parse_file(item) for item in parse.parse_page(payload, "files")[0]],
    lambda payload: [parse.parse_submission(item) for item in parse.parse_page(payload, "submissions")[0]],
    lambda payload: [parse.parse_leaderboard_row(item) for item in parse.parse_page(payload, "submissions")[0]],
    parse.parse_submission,
    parse.parse_leaderboard_row,
    parse.parse_limits,
    parse.parse_daily_limit,
)


def _extract(path: Path) -> None:
    target = path.parent / "extracted"
    shutil.rmtree(target, ignore_errors=True)
    extract_archive(path, target)


def _parse_names(path: Path) -> None:
    names = path.read_bytes().decode("utf-8", "replace").split("\n")
    check_collisions((safe_path(name), False) for name in names)


def _find_images(path: Path) -> None:
    listing = FileListing(path.parent)
    for id in path.read_bytes().decode("utf-8", "replace").split("\n"):
        listing.find("{id}.jpg", id)
        listing.find("train/{id}.jpg", id)


def _read_iceberg(path: Path) -> None:
    extract_json_arrays(path, bands=("band_1", "band_2"), shape=(2, 2))


def _check_submission(path: Path) -> None:
    expected = read_submission_format(COMPETITION, path.with_name("sample.csv"))
    find_problems(expected, path)


def _find_credentials(path: Path) -> None:
    os.environ["HOME"] = os.environ["KAGGLE_CONFIG_DIR"] = str(path.parent)
    (path.parent / ".kaggle").mkdir(exist_ok=True)
    shutil.copy(path, path.parent / ".kaggle" / "access_token")
    shutil.copy(path, path.parent / ".kaggle" / "credentials.json")
    find_credentials()


_CSV = b"id,akita,beagle,collie\na,0.2,0.3,0.5\nb,0.1,0.1,0.8\n"
_LEADERBOARD = b"TeamId,TeamName,SubmissionDate,Score\n1,a,2018-01-01 00:00:00,0.5\n2,b,2018-01-02 00:00:00,0.6\n"
_LEDGER = (
    b"submitted,competition,host,run,file,sha256,recipe,commit,cv,cv_error,public,private,status,ref,rank\n"
    b"2026-11-26T01:21:13Z,shapes,practice,a,a.csv,98a1de,r,,0.3,0.1,0.17,0.08,complete,1,1/9\n"
)
_ANSWER = json.dumps(
    {
        "title": "Dogs",
        "deadline": "2018-01-01T00:00:00Z",
        "maxDailySubmissions": 5,
        "numToday": 1,
        "numAllowedNow": "4",
        "nextPageToken": "",
        "files": [{"name": "a.zip", "totalBytes": 5}],
        "submissions": [
            {
                "ref": 7,
                "date": "2018-01-01T00:00:00Z",
                "description": "x",
                "fileName": "a.csv",
                "status": "complete",
                "publicScore": "0.5",
                "teamName": "a",
                "submissionDate": "2018-01-01T00:00:00Z",
                "score": "0.5",
            }
        ],
    }
).encode()
_HEADERS = (
    b'206\nContent-Range: bytes 3-99/100\nETag: "a"\nDate: Thu, 01 Jan 2026 00:00:00 GMT\nContent-Length: 97\n'
    b"x-goog-hash: crc32c=AAAAAA==,md5=AAAAAAAAAAAAAAAAAAAAAA==\n",
    b'429\nRetry-After: 5\nContent-Type: application/json\n{"message": "slow"}\n',
)
_ICEBERG = json.dumps([{"id": "a", "band_1": [1.5, 2, 3, 4], "band_2": [0, 1, 2, 3], "inc_angle": "na"}] * 2).encode()
_RECIPE = json.dumps({"format": 1, **COMPETITION.recipe.to_dict()}).encode()
_LOG = b'{"fold": 0, "epoch": 1, "train_loss": 0.5}\n{"fold": 0, "epoch": 2, "train_loss": 0.4}\n'

PARSERS: dict[str, Parser] = {
    "csv": Parser(lambda path: list(read_csv(path, lenient=True)), "a.csv", (CsvError, RunnerError), (_CSV,)),
    "strict csv": Parser(lambda path: list(read_csv(path)), "a.csv", (CsvError, RunnerError), (_CSV,)),
    "sample submission": Parser(
        lambda path: read_submission_format(COMPETITION, path), "sample.csv", (RunnerError,), (_CSV,)
    ),
    "submission": Parser(_check_submission, "a.csv", (RunnerError,), (_CSV,)),
    "leaderboard": Parser(read_leaderboard_file, "a.csv", (RunnerError,), (_LEADERBOARD,)),
    "leaderboard zip": Parser(
        read_leaderboard_file, "a.zip", (RunnerError,), (_zip("a-publicleaderboard.csv", _LEADERBOARD),)
    ),
    "ledger": Parser(read_ledger, "ledger.csv", (RunnerError,), (_LEDGER,)),
    "answers": Parser(_parse_answers, "a.json", (parse.InvalidAnswerError,), (_ANSWER,)),
    "headers": Parser(_parse_headers, "a.txt", (RequestError,), _HEADERS),
    "zip": Parser(_extract, "a.zip", (RunnerError,), (_zip("train/a.txt", b"abc" * 40),)),
    "tar": Parser(_extract, "a.tar", (RunnerError,), (_tar(),)),
    "tar.gz": Parser(_extract, "a.tar.gz", (RunnerError,), (gzip.compress(_tar()),)),
    "7z": Parser(_extract, "a.7z", (RunnerError,), (_seven_zip(),)),
    "names in archives": Parser(_parse_names, "a.txt", (ValueError,), (b"train/a.jpg\ntrain/b.jpg\nc",)),
    "path templates": Parser(_find_images, "a.txt", (RunnerError,), (b"a\nb/c\n../d",)),
    "JSON arrays": Parser(_read_iceberg, "a.json", (RunnerError,), (_ICEBERG,)),
    "JSON files": Parser(lambda path: read_json(path, format=1), "a.json", (RunnerError,), (_RECIPE,)),
    "recipe": Parser(
        lambda path: Run("shapes", "a", path.parent).read_recipe(), "recipe.json", (RunnerError,), (_RECIPE,)
    ),
    "log": Parser(read_log, "log.jsonl", (RunnerError,), (_LOG,)),
    "folds": Parser(read_folds, "folds.csv", (RunnerError,), (b"id,fold\na,0\nb,1\n",)),
    "snapshot JSON": Parser(lambda path: read_snapshots(path.parent), "snapshot-0.json", (RunnerError,), (_RECIPE,)),
    "safetensors": Parser(read_checkpoint_meta, "checkpoint.safetensors", (RunnerError,), (_safetensors(),)),
    "predictions": Parser(read_view_predictions, "a.valid.npz", (RunnerError,), (_npz(),)),
    "image": Parser(read_image, "a.jpg", (RunnerError,), tuple(map(_image, ("JPEG", "PNG", "TIFF", "BMP", "WEBP")))),
    "image size": Parser(read_size, "a.jpg", (RunnerError,), tuple(map(_image, ("JPEG", "PNG", "TIFF", "GIF")))),
    "credentials": Parser(
        _find_credentials, "kaggle.json", (RunnerError,), (b'{"username": "a", "key": "b", "refresh_token": "c"}',)
    ),
}


def run(trial: Trial) -> None:
    """One parser, with as many inputs as there is time for."""
    name = sorted(PARSERS)[trial.number % len(PARSERS)]
    trial.outcome.title = name
    trial.outcome.hit = True
    number = trial.random.randrange(2**32)
    ended = fork_work(
        trial.folder, f"the parser of {name}", lambda: search(PARSERS[name], number, trial.folder), bounds=_BOUNDS
    )
    trial.outcome.memory_mb, trial.outcome.seconds = ended.memory_mb, ended.seconds
    trial.must(not ended.out_of_bounds, Harm.BOUNDS, f"{name}: {ended.out_of_bounds}")
    if ended.code and not ended.out_of_bounds:
        trial.report(Harm.BUG, f"{name}: {ended.output[-1500:]}")


def search(parser: Parser, number: int, folder: Path, seconds: float = _SECONDS) -> int:
    """Look for an input whose error the callers do not expect: it is raised again; else 0."""
    path, stop = folder / parser.file, time.monotonic() + seconds
    (folder / "sample.csv").write_bytes(_CSV)

    @seed(number)
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(parser.inputs())
    def expects(content: bytes) -> None:
        if time.monotonic() > stop:
            raise _OverError
        path.write_bytes(content)
        with suppress(*parser.expected):
            parser.parse(path)

    with suppress(_OverError):
        expects()
    return 0


class _OverError(BaseException):
    """The time is over."""


@settings(max_examples=20, database=None, deadline=None)
@given(Json | st.binary())
def _warm_up(_value: object) -> None:
    """Let hypothesis build its tables once, not in every child: it takes seconds."""


_warm_up()


ATTACK = Attack("parsers", 2 * len(PARSERS), run)
