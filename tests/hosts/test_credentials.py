"""Credentials: every location of the official client, in its order."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runner.hosts.credentials import Credentials, Kind, find_credentials


def home() -> Path:
    folder = Path(os.environ["HOME"]) / ".kaggle"
    folder.mkdir(exist_ok=True)
    return folder


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def key(name: str = "ann") -> str:
    return json.dumps({"username": name, "key": "k-secret"})


def used_credentials() -> Credentials:
    used = find_credentials().used
    assert used is not None
    return used


def test_without_any_file_or_variable_there_are_no_credentials() -> None:
    assert find_credentials().used is None


def test_a_token_beats_a_key_and_a_key_beats_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    write(home() / "credentials.json", json.dumps({"refresh_token": "r-secret", "username": "ann"}))
    assert used_credentials().kind is Kind.OAUTH
    write(home() / "kaggle.json", key())
    assert used_credentials().kind is Kind.KEY
    write(home() / "access_token", "t-secret\n")
    assert (used_credentials().kind, used_credentials().secret) == (Kind.TOKEN, "t-secret")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "e-secret")
    search = find_credentials()
    assert [credentials.secret for credentials in search.all] == ["e-secret", "t-secret", "k-secret", "r-secret"]
    assert search.shadowed == search.all[1:]


def test_the_variable_may_name_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(write(tmp_path / "token", " t-secret \n")))
    assert used_credentials().secret == "t-secret"


def test_a_token_longer_than_a_file_name_is_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "x" * 5000)
    assert len(used_credentials().secret) == 5000


def test_variables_beat_the_file_and_complete_it(monkeypatch: pytest.MonkeyPatch) -> None:
    write(home() / "kaggle.json", key())
    monkeypatch.setenv("KAGGLE_USERNAME", "bob")
    mixed = used_credentials()
    assert (mixed.username, mixed.secret) == ("bob", "k-secret")
    assert "KAGGLE_USERNAME" in mixed.source
    monkeypatch.setenv("KAGGLE_KEY", "v-secret")
    assert [(credentials.username, credentials.secret) for credentials in find_credentials().all] == [
        ("bob", "v-secret"),
        ("ann", "k-secret"),
    ]


def test_the_folder_is_the_variables_or_xdgs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    write(tmp_path / "xdg" / "kaggle" / "kaggle.json", key("xdg"))
    assert used_credentials().username == "xdg"
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "named"))
    assert find_credentials().used is None
    write(tmp_path / "named" / "kaggle.json", key("named"))
    assert used_credentials().username == "named"


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"username": "ann"}'])
def test_a_broken_file_has_no_key_and_is_listed(text: str) -> None:
    write(home() / "kaggle.json", text)
    search = find_credentials()
    assert search.used is None
    assert bool(search.unreadable) is (text in ("", "no json"))


def test_a_file_that_others_can_read_is_recognised() -> None:
    for mode, is_open in ((0o600, False), (0o640, True), (0o604, True)):
        write(home() / "kaggle.json", key(), mode)
        assert used_credentials().is_readable_by_others is is_open


def test_no_secret_is_in_a_text_or_repr() -> None:
    write(home() / "kaggle.json", key())
    used = used_credentials()
    assert "k-secret" not in f"{used} {used!r} {find_credentials()!r}"


def test_the_command_to_disable_moves_the_file_or_unsets_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(home() / "kaggle.json", key())
    assert used_credentials().command_to_disable == f"mv {path} {path}.old"
    monkeypatch.setenv("KAGGLE_USERNAME", "bob")
    monkeypatch.setenv("KAGGLE_KEY", "v-secret")
    assert used_credentials().command_to_disable == "unset KAGGLE_USERNAME KAGGLE_KEY"


def test_the_order_is_that_of_the_official_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client itself, given the same files and variables, takes the same token."""
    from kagglesdk import get_access_token_from_env

    write(home() / "access_token.txt", "txt-secret")
    assert get_access_token_from_env()[0] == used_credentials().secret == "txt-secret"
    write(home() / "access_token", "file-secret")
    assert get_access_token_from_env()[0] == used_credentials().secret == "file-secret"
    monkeypatch.setenv("KAGGLE_API_TOKEN", "env-secret")
    assert get_access_token_from_env()[0] == used_credentials().secret == "env-secret"
