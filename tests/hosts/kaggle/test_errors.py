"""Every refusal is told as what it is, with what to type; and no secret is in any of it."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runner.errors import HostError
from runner.hosts.http.retry import RetryPolicy, TransferLimits
from runner.hosts.kaggle import KaggleHost
from runner.hosts.protocol import RemoteFile
from tests.hosts.kaggle.conftest import DOGS, SLUG, RecordedSleeps
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import (
    drops_the_response,
    gateway_page,
    refuses,
    responds,
    stalls,
)
from tests.kaggle_server.server import Fault

Ask = Callable[[KaggleHost], object]


def impatient(**more: str) -> KaggleHost:
    return KaggleHost(
        replace(DOGS, **more), policy=RetryPolicy(RecordedSleeps(), attempts=2), limits=TransferLimits(1.0, 0.2)
    )


def refusal(ask: Ask, host: KaggleHost) -> HostError:
    with pytest.raises(HostError) as caught:
        ask(host)
    assert caught.value.fix
    return caught.value


def about(host: KaggleHost) -> object:
    return host.fetch_info(host.competition.slug)


def test_no_credentials(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    told = refusal(about, impatient())
    assert "no Kaggle credentials" in told.message
    assert "kaggle.json" in str(told.where)
    assert "https://www.kaggle.com/settings" in str(told.fix)
    assert server.calls == []


def test_a_bad_token(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "bad-secret")
    told = refusal(about, impatient())
    assert "does not accept the API token from KAGGLE_API_TOKEN" in told.message


def test_a_bad_token_that_hides_a_good_key(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "bad-secret")
    monkeypatch.setenv("KAGGLE_USERNAME", "practice")
    monkeypatch.setenv("KAGGLE_KEY", "practice-key")
    told = refusal(about, impatient())
    assert "unset KAGGLE_API_TOKEN" in str(told.fix)
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    assert impatient().fetch_info(SLUG).rules_accepted  # the key was good all along


def test_rules_that_are_not_accepted_wherever_one_meets_them(server: KaggleServer, submission: Path) -> None:
    server.competitions[SLUG].rules_accepted = False
    asks: list[Ask] = [
        lambda host: host.list_files(SLUG),
        lambda host: host.download_file(SLUG, RemoteFile("train.zip", 5), submission.with_name("t"), print),
        lambda host: host.fetch_submissions(SLUG),
        lambda host: host.submit_file(SLUG, submission, ""),
    ]
    for ask in asks:
        told = refusal(ask, impatient())
        assert "rules of dog-breed-identification are not accepted" in told.message
        assert told.where == "https://www.kaggle.com/competitions/dog-breed-identification/rules"


def test_a_refusal_that_is_not_about_rules_is_told_in_the_hosts_words(server: KaggleServer) -> None:
    server.fail_next("ListDataFiles", refuses(403, "This data is only for phase two"))
    told = refusal(lambda host: host.list_files(SLUG), impatient())
    assert "only for phase two" in told.message


def test_a_wrong_slug_brings_the_nearest_real_ones(server: KaggleServer) -> None:
    told = refusal(about, impatient(slug="dog-bred-identification"))
    assert "'dog-bred-identification'" in told.message
    assert "dog-breed-identification" in told.message
    # Kaggle answers some wrong slugs as if they were forbidden ones.
    server.fail_next("GetCompetition", refuses(403, "Permission 'competitions.get' was denied"))
    told = refusal(about, impatient(slug="dog-bred-identification"))
    assert "dog-breed-identification" in told.message
    server.fail_next("GetCompetition", refuses(403, "a private one"))
    assert "a private one" in refusal(about, impatient()).message


def test_an_address_for_a_slug_is_taken_apart(server: KaggleServer) -> None:
    assert about(impatient(slug=f"https://www.kaggle.com/c/{SLUG}/data")) == about(impatient())


TROUBLE: dict[str, tuple[Fault, str]] = {
    "429": (refuses(429, "slow down"), "too many requests"),
    "429 for hours": (refuses(429, Retry_After="7200"), "asks to wait 7200 s"),
    "500": (refuses(500), "trouble of its own (500)"),
    "503": (responds(503, b"upstream"), "trouble of its own (503)"),
    "a gateway's page": (gateway_page(502), "a web page (502 Bad Gateway)"),
    "a page that says 200": (gateway_page(200), "a web page"),
    "a login page": (responds(302, Location="http://login.localhost/"), "sends elsewhere"),
    "reset": (drops_the_response, "broke off"),
    "silence": (stalls(0), "stopped answering"),
    "half an answer": (responds(200, b'{"title": "Do', Content_Type="application/json"), "not understood"),
    "null": (responds(200, b"null", Content_Type="application/json"), "not understood"),
    "nothing": (responds(200, b"", Content_Type="application/json"), "not understood"),
    "an odd refusal": (refuses(418, "I am a teapot"), "refuses (418): I am a teapot"),
}


@pytest.mark.parametrize(("fault", "told"), TROUBLE.values(), ids=list(TROUBLE))
def test_trouble_is_told_as_what_it_is(fault: Fault, told: str, server: KaggleServer) -> None:
    server.fail_always("GetCompetition", fault)
    error = refusal(about, impatient())
    assert told in error.message
    # ... and once it is over, the same question is answered.
    server.faults.clear()
    assert about(impatient())


def test_no_network(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    told = refusal(about, impatient())
    assert "does not let through" in told.message
    assert "HTTP_PROXY" in str(told.fix)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)

    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    assert "no network: localhost is not found" in refusal(about, impatient()).message


def test_a_clock_that_is_wrong_is_told_where_it_may_be_the_reason(
    server: KaggleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = KaggleServer.now
    monkeypatch.setattr(KaggleServer, "now", lambda self: now(self) - timedelta(hours=3))
    monkeypatch.setenv("KAGGLE_API_TOKEN", "bad-secret")
    told = refusal(about, impatient())
    assert "this machine's clock is 180 min ahead" in told.message or "this machine's clock is 179 min" in told.message


def test_the_reopening_is_told_by_the_hosts_clock(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    now = KaggleServer.now
    monkeypatch.setattr(KaggleServer, "now", lambda self: now(self) + timedelta(days=10))
    resets_at = impatient().fetch_limits(SLUG).resets_at
    assert timedelta(days=9) < resets_at - now(server) < timedelta(days=12)


def test_no_secret_is_in_any_message_or_traceback(
    server: KaggleServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    secret = "hush-hush-token"
    monkeypatch.setenv("KAGGLE_API_TOKEN", secret)
    for fault in (refuses(401), refuses(403), drops_the_response, gateway_page(), stalls(0), refuses(500)):
        server.tokens = {secret}
        server.fail_always("GetCompetition", fault, times=4)
        server.fail_always("store", fault, times=9)
        for ask in (about, lambda host: host.download_file(SLUG, RemoteFile("train.zip", 9), tmp_path / "t", print)):
            with pytest.raises(HostError) as caught:
                ask(impatient())
            texts += [str(caught.value), "".join(traceback.format_exception(caught.value))]
        server.faults.clear()
    said = "\n".join([*texts, *capsys.readouterr()])
    assert secret not in said
    assert "signature=" not in said
    assert "Bearer" not in said


def test_a_browser_login_is_renewed_and_used(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    monkeypatch.delenv("KAGGLE_API_TOKEN")
    folder = Path(os.environ["HOME"]) / ".kaggle"
    folder.mkdir()
    login = {"refresh_token": "r", "access_token": "", "username": "ann", "scopes": []}
    (folder / "credentials.json").write_text(json.dumps(login))
    assert "has run out" in refusal(about, impatient()).message  # the server knows no such login
    token = {"token": "practice-token", "expiresIn": 3600}
    server.fail_next("GenerateAccessToken", responds(200, json.dumps(token).encode(), Content_Type="application/json"))
    assert about(impatient())


def test_credentials_that_others_can_read_are_warned_about_where_they_are_used(
    server: KaggleServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text("practice-token\n")
    path.chmod(0o644)
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(path))
    assert about(impatient())
    assert f"chmod 600 {path}" in capsys.readouterr().err
