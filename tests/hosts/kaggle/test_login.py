"""The browser login under faults: it is renewed when it must be, and never lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.errors import HostError
from runner.hosts.http.retry import RetryPolicy, TransferLimits
from runner.hosts.kaggle import KaggleHost, login
from runner.hosts.kaggle.login import read_login, saved_token
from tests.hosts.kaggle.conftest import DOGS, SLUG, RecordedSleeps
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import drops_the_response, gateway_page, never_ends, refuses, responds, trickles
from tests.kaggle_server.server import Fault

GOOD = "practice-token"  # which the server knows


def answers(payload: Any) -> Fault:
    return responds(200, json.dumps(payload).encode(), Content_Type="application/json")


@pytest.fixture
def login_file(monkeypatch: pytest.MonkeyPatch, server: KaggleServer) -> Path:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    folder = Path(os.environ["HOME"]) / ".kaggle"
    folder.mkdir()
    return folder / "credentials.json"


Save = Callable[..., None]


@pytest.fixture
def save(login_file: Path) -> Save:
    """Saves a login as the official client does, with these changes."""

    def write(**changes: Any) -> None:
        fields = {"refresh_token": "r-secret", "access_token": "", "access_token_expiration": ""}
        login_file.write_text(json.dumps(fields | {"username": "ann", "scopes": ["a"]} | changes))
        login_file.chmod(0o600)

    return write


def fetch(limits: TransferLimits = TransferLimits(2.0, 0.5)) -> str:  # noqa: B008 - frozen
    host = KaggleHost(DOGS, policy=RetryPolicy(RecordedSleeps(), attempts=3), limits=limits)
    return host.fetch_info(SLUG).title


def in_minutes(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def test_a_token_that_is_still_valid_is_used(server: KaggleServer, save: Save) -> None:
    save(access_token=GOOD, access_token_expiration=in_minutes(60))
    assert fetch() == DOGS.title
    assert server.count("GenerateAccessToken") == 0


@pytest.mark.parametrize("minutes", [-60, -10, 3])
def test_a_token_is_renewed_before_it_ends(minutes: float, server: KaggleServer, save: Save, login_file: Path) -> None:
    """The official client takes it for valid until half an hour after its end."""
    save(access_token="old", access_token_expiration=in_minutes(minutes))
    server.fail_next("GenerateAccessToken", answers({"token": GOOD, "expiresIn": 43200}))
    assert fetch() == DOGS.title
    assert fetch() == DOGS.title  # with the saved one
    assert server.count("GenerateAccessToken") == 1
    content = read_login(login_file)
    assert (content["refresh_token"], content["username"], content["scopes"]) == ("r-secret", "ann", ["a"])
    assert saved_token(content).token == GOOD
    assert login_file.stat().st_mode & 0o777 == 0o600


def test_a_token_that_kaggle_refuses_is_renewed_once(server: KaggleServer, save: Save) -> None:
    save(access_token="revoked", access_token_expiration=in_minutes(60))
    server.fail_next("GenerateAccessToken", answers({"token": GOOD, "expiresIn": 43200}))
    assert fetch() == DOGS.title
    assert server.count("GenerateAccessToken") == 1


def test_a_new_token_that_is_refused_as_well_is_an_error(server: KaggleServer, save: Save) -> None:
    save(access_token="revoked", access_token_expiration=in_minutes(60))
    server.fail_always("GenerateAccessToken", answers({"token": "bad", "expiresIn": 43200}))
    with pytest.raises(HostError, match="rejects the browser login of ann"):
        fetch()
    assert server.count("GenerateAccessToken") == 1


TRANSIENT: dict[str, Fault] = {
    "503": refuses(503),
    "429": refuses(429, Retry_After="1"),
    "reset": drops_the_response,
    "a trickle": trickles(b"HTTP/1.1 20"),
    "page": gateway_page(200),
    "no JSON": responds(200, b"{", Content_Type="application/json"),
    "no token": answers({}),
    "an empty token": answers({"token": "", "expiresIn": 1}),
    "a token of another type": answers({"token": 7, "expiresIn": 1}),
    "a list": answers([]),
    "null": answers(None),
    "endless": never_ends(Content_Type="application/json"),
}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=name, marks=pytest.mark.slow if name == "a trickle" else ())  # a minute
        for name, fault in TRANSIENT.items()
    ],
)
def test_a_renewal_that_fails_for_now_is_tried_again(
    fault: Fault, server: KaggleServer, save: Save, login_file: Path
) -> None:
    save()
    before = login_file.read_bytes()
    server.fail_always("GenerateAccessToken", fault)
    with pytest.raises(HostError) as caught:
        fetch(TransferLimits(2.0, 2.0, answer_seconds=0.5, answer_bytes=1 << 18))
    assert "expired" not in caught.value.message
    assert login_file.read_bytes() == before
    if fault is TRANSIENT["endless"]:
        return  # a limit that is met once is met again
    server.faults.clear()
    server.fail_next("GenerateAccessToken", fault, answers({"token": GOOD, "expiresIn": 43200}))
    assert fetch() == DOGS.title


@pytest.mark.parametrize("seconds", [None, 0, -5, "soon", 1e300, True], ids=str)
def test_a_token_without_a_usable_life_is_used_and_not_kept(
    seconds: Any, server: KaggleServer, save: Save, login_file: Path
) -> None:
    save()
    before = login_file.read_bytes()
    server.fail_next("GenerateAccessToken", answers({"token": GOOD, "expiresIn": seconds}))
    assert fetch() == DOGS.title
    assert login_file.read_bytes() == before


def test_a_login_that_cannot_be_saved_is_a_warning(
    server: KaggleServer,
    save: Save,
    login_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(_path: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    save()
    before = login_file.read_bytes()
    monkeypatch.setattr(login, "_open_private", full)
    server.fail_next("GenerateAccessToken", answers({"token": GOOD, "expiresIn": 43200}))
    assert fetch() == DOGS.title
    message = capsys.readouterr().err
    assert f"could not be saved, and is renewed again next time: {login_file}: Permission denied" in message
    assert login_file.read_bytes() == before
    assert [path.name for path in login_file.parent.iterdir()] == ["credentials.json"]


def test_a_kill_while_it_is_saved_does_not_lose_the_login(
    server: KaggleServer, save: Save, login_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    save()
    before = login_file.read_bytes()
    monkeypatch.setattr(json, "dump", killed)
    server.fail_next("GenerateAccessToken", answers({"token": GOOD, "expiresIn": 43200}))
    with pytest.raises(Killed):
        fetch()
    assert login_file.read_bytes() == before


def test_another_login_that_was_made_meanwhile_stays(server: KaggleServer, save: Save, login_file: Path) -> None:
    save()

    def logs_in_again(server: KaggleServer, handler: Any, call: Any, reply: Any) -> Any:
        save(refresh_token="another")
        return answers({"token": GOOD, "expiresIn": 43200})(server, handler, call, reply)

    server.fail_next("GenerateAccessToken", logs_in_again)
    assert fetch() == DOGS.title
    assert read_login(login_file)["refresh_token"] == "another"
    assert read_login(login_file)["access_token"] == ""


def test_a_link_to_the_login_stays_a_link(server: KaggleServer, save: Save, login_file: Path, tmp_path: Path) -> None:
    save()
    target = tmp_path / "kept.json"
    login_file.rename(target)
    login_file.symlink_to(target)
    server.fail_next("GenerateAccessToken", answers({"token": GOOD, "expiresIn": 43200}))
    assert fetch() == DOGS.title
    assert login_file.is_symlink()
    assert saved_token(read_login(target)).token == GOOD


ODD_FILES = [
    "",
    "{",
    "[]",
    "7",
    "[" * 100_000,
    '{"refresh_token": 7}',
    '{"refresh_token": ""}',
    '{"refresh_token": "r\\nsecret"}',
]


@pytest.mark.parametrize("content", ODD_FILES, ids=lambda content: str(content)[:30])
def test_an_odd_file_is_an_error_without_a_traceback(content: str, server: KaggleServer, login_file: Path) -> None:
    login_file.write_text(content)
    with pytest.raises(HostError) as caught:
        fetch()
    assert caught.value.fix
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("expiration", [7, None, "never", "2026-02-30", "9999-12-31T23:59:59-14:00", "0001-01-01"])
def test_an_odd_expiration_means_a_new_token(expiration: Any, server: KaggleServer, save: Save) -> None:
    save(access_token="old", access_token_expiration=expiration)
    server.fail_next("GenerateAccessToken", answers({"token": GOOD, "expiresIn": "43200"}))
    assert fetch() == DOGS.title


def test_a_token_with_a_line_break_is_refused_without_showing_it(
    server: KaggleServer, login_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "hush\nhush")
    with pytest.raises(HostError, match="holds characters that none can have") as caught:
        fetch()
    assert "hush" not in str(caught.value)
    assert server.calls == []
