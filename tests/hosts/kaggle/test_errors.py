"""Every error says what is wrong and what to run; no secret is in any of them."""

from __future__ import annotations

import json
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
from tests.kaggle_server.faults import drops_the_response, gateway_page, refuses, responds, stalls
from tests.kaggle_server.server import Fault

Request = Callable[[KaggleHost], object]


def hasty_host(**changes: str) -> KaggleHost:
    """A host with two attempts and short timeouts, of dog-breed with these changes."""
    competition = replace(DOGS, **changes)  # type: ignore[arg-type]
    return KaggleHost(competition, policy=RetryPolicy(RecordedSleeps(), attempts=2), limits=TransferLimits(1.0, 0.2))


def error_of(request: Request, host: KaggleHost) -> HostError:
    """The error of a request; it has a fix."""
    with pytest.raises(HostError) as caught:
        request(host)
    assert caught.value.fix
    return caught.value


def fetch_info(host: KaggleHost) -> object:
    return host.fetch_info(host.competition.slug)


# --- credentials ---------------------------------------------------------------------------------


def test_without_credentials_nothing_is_sent(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    error = error_of(fetch_info, hasty_host())
    assert error.message == "no Kaggle credentials on this machine"
    assert "kaggle.json" in str(error.where)
    assert "https://www.kaggle.com/settings" in str(error.fix)
    assert server.calls == []


def test_a_bad_token_is_named_with_its_source(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "bad-secret")
    error = error_of(fetch_info, hasty_host())
    assert "rejects the API token from KAGGLE_API_TOKEN" in error.message


def test_a_bad_token_that_hides_a_good_key_is_named(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "bad-secret")
    monkeypatch.setenv("KAGGLE_USERNAME", "practice")
    monkeypatch.setenv("KAGGLE_KEY", "practice-key")
    error = error_of(fetch_info, hasty_host())
    assert "unset KAGGLE_API_TOKEN" in str(error.fix)
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    assert hasty_host().fetch_info(SLUG).rules_accepted  # the key is good


@pytest.fixture
def browser_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of a browser login whose access token has expired, and no other credentials."""
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    folder = Path(os.environ["HOME"]) / ".kaggle"
    folder.mkdir()
    login = {"refresh_token": "r", "access_token": "", "username": "ann", "scopes": []}
    (folder / "credentials.json").write_text(json.dumps(login))


def test_a_browser_login_is_renewed_and_used(server: KaggleServer, browser_login: None) -> None:
    token = {"token": "practice-token", "expiresIn": 3600}
    server.fail_next("GenerateAccessToken", responds(200, json.dumps(token).encode(), Content_Type="application/json"))
    assert fetch_info(hasty_host())


REFUSED: dict[str, Fault | None] = {
    "unknown": None,  # the server has no such method: 404
    "refused": refuses(400, "invalid_grant"),
    "an error in JSON": responds(200, b'{"code": 401, "message": "expired"}', Content_Type="application/json"),
}


@pytest.mark.parametrize("fault", REFUSED.values(), ids=list(REFUSED))
def test_a_browser_login_that_is_refused_has_expired(
    fault: Fault | None, server: KaggleServer, browser_login: None
) -> None:
    if fault:
        server.fail_always("GenerateAccessToken", fault)
    error = error_of(fetch_info, hasty_host())
    assert (error.message, error.fix) == ("the browser login has expired", "kaggle auth login, then: `runner doctor`")


def test_a_browser_login_that_meets_server_errors_has_not_expired(server: KaggleServer, browser_login: None) -> None:
    server.fail_always("GenerateAccessToken", refuses(503))
    assert "server error (503)" in error_of(fetch_info, hasty_host()).message


def test_credentials_that_others_can_read_are_a_warning(
    server: KaggleServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text("practice-token\n")
    path.chmod(0o644)
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(path))
    assert fetch_info(hasty_host())
    assert f"warning: other users of this machine can read {path}: chmod 600 {path}\n" in capsys.readouterr().err


# --- rules and slugs -----------------------------------------------------------------------------


REQUESTS: dict[str, Callable[[KaggleHost, Path], object]] = {
    "list": lambda host, _: host.list_files(SLUG),
    "download": lambda host, path: host.download_file(SLUG, RemoteFile("train.zip", 5), path.with_name("t"), print),
    "submissions": lambda host, _: host.fetch_submissions(SLUG),
    "submit": lambda host, path: host.submit_file(SLUG, path, ""),
}


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=list(REQUESTS))
def test_rules_that_are_not_accepted_are_named_by_every_request(
    request_of: Callable[[KaggleHost, Path], object], server: KaggleServer, submission: Path
) -> None:
    server.competitions[SLUG].rules_accepted = False
    error = error_of(lambda host: request_of(host, submission), hasty_host())
    assert error.message == "the rules of dog-breed-identification are not accepted yet"
    assert error.where == "https://www.kaggle.com/competitions/dog-breed-identification/rules"


def test_another_refusal_has_kaggles_own_message(server: KaggleServer) -> None:
    server.fail_next("ListDataFiles", refuses(403, "This data is only for phase two"))
    error = error_of(lambda host: host.list_files(SLUG), hasty_host())
    assert error.message == "Kaggle refuses the request: This data is only for phase two"


def test_a_wrong_slug_is_named_with_similar_ones(server: KaggleServer) -> None:
    error = error_of(fetch_info, hasty_host(slug="dog-bred-identification"))
    assert error.message == (
        "Kaggle has no competition 'dog-bred-identification'; similar ones: dog-breed-identification"
    )
    # Kaggle responds to some wrong slugs as if they were forbidden.
    server.fail_next("GetCompetition", refuses(403, "Permission 'competitions.get' was denied"))
    assert error_of(fetch_info, hasty_host(slug="dog-bred-identification")).message == error.message
    server.fail_next("GetCompetition", refuses(403, "a private one"))
    assert "a private one" in error_of(fetch_info, hasty_host()).message


def test_an_address_as_slug_is_shortened(server: KaggleServer) -> None:
    assert fetch_info(hasty_host(slug=f"https://www.kaggle.com/c/{SLUG}/data")) == fetch_info(hasty_host())


# --- the connection ------------------------------------------------------------------------------


FAULTS: dict[str, tuple[Fault, str]] = {
    "429": (refuses(429, "slow down"), "too many requests"),
    "429 for hours": (refuses(429, Retry_After="7200"), "asks to wait 7200 s"),
    "500": (refuses(500), "server error (500)"),
    "503": (responds(503, b"upstream"), "server error (503)"),
    "a gateway's page": (gateway_page(502), "a web page (502 Bad Gateway)"),
    "a page with status 200": (gateway_page(200), "a web page"),
    "a login page": (responds(302, Location="http://login.localhost/"), "redirects where it should respond"),
    "reset": (drops_the_response, "was lost"),
    "silence": (stalls(0), "stopped responding"),
    "half a response": (responds(200, b'{"title": "Do', Content_Type="application/json"), "invalid response"),
    "null": (responds(200, b"null", Content_Type="application/json"), "invalid response"),
    "nothing": (responds(200, b"", Content_Type="application/json"), "invalid response"),
    "an unknown status": (refuses(418, "I am a teapot"), "refuses the request (418): I am a teapot"),
    "an error in JSON": (
        responds(200, b'{"code": 400, "message": "no"}', Content_Type="application/json"),
        "Kaggle refuses the request (400): no",
    ),
    "a server error in JSON": (
        responds(200, b'{"code": 500, "message": "no"}', Content_Type="application/json"),
        "Kaggle has a server error (500)",
    ),
}


@pytest.mark.parametrize(("fault", "message"), FAULTS.values(), ids=list(FAULTS))
def test_a_fault_has_its_own_message_and_the_next_call_succeeds(
    fault: Fault, message: str, server: KaggleServer
) -> None:
    server.fail_always("GetCompetition", fault)
    error = error_of(fetch_info, hasty_host())
    assert message in error.message
    server.faults.clear()
    assert fetch_info(hasty_host())


def test_a_missing_network_is_named(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    error = error_of(fetch_info, hasty_host())
    assert "the proxy for localhost refuses the connection" in error.message
    assert "HTTP_PROXY" in str(error.fix)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)

    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    assert "no network: localhost cannot be resolved" in error_of(fetch_info, hasty_host()).message


def test_a_wrong_clock_is_named_if_it_may_be_the_reason(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.clock_offset = timedelta(hours=-3)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "bad-secret")
    message = error_of(fetch_info, hasty_host()).message
    assert any(f"this machine's clock is {minutes} min ahead" in message for minutes in (179, 180))


def test_the_limit_resets_by_the_hosts_clock(server: KaggleServer) -> None:
    now = server.now()
    server.clock_offset = timedelta(days=10)
    resets_at = hasty_host().fetch_limits(SLUG).resets_at
    assert timedelta(days=9) < resets_at - now < timedelta(days=12)


def test_no_secret_is_in_any_message_or_traceback(
    server: KaggleServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    secret = "hush-hush-token"
    monkeypatch.setenv("KAGGLE_API_TOKEN", secret)
    file = RemoteFile("train.zip", 9)
    for fault in (refuses(401), refuses(403), drops_the_response, gateway_page(), stalls(0), refuses(500)):
        server.tokens = {secret}
        server.fail_always("GetCompetition", fault, times=4)
        server.fail_always("store", fault, times=9)
        for request in (fetch_info, lambda host: host.download_file(SLUG, file, tmp_path / "t", print)):
            with pytest.raises(HostError) as caught:
                request(hasty_host())
            texts += [str(caught.value), "".join(traceback.format_exception(caught.value))]
        server.faults.clear()
    output = "\n".join([*texts, *capsys.readouterr()])
    assert secret not in output
    assert "signature=" not in output
    assert "Bearer" not in output
