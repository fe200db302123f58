"""Which credentials count: every place of the official client, in its order."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runner.hosts.credentials import Kind, find_credentials


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


def test_there_are_none() -> None:
    assert find_credentials().used is None


def test_a_token_beats_a_key_and_a_key_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    write(home() / "credentials.json", json.dumps({"refresh_token": "r-secret", "username": "ann"}))
    assert find_credentials().used.kind is Kind.OAUTH  # type: ignore[union-attr]
    write(home() / "kaggle.json", key())
    assert find_credentials().used.kind is Kind.KEY  # type: ignore[union-attr]
    write(home() / "access_token", "t-secret\n")
    found = find_credentials()
    assert (found.used.kind, found.used.secret) == (Kind.TOKEN, "t-secret")  # type: ignore[union-attr]
    monkeypatch.setenv("KAGGLE_API_TOKEN", "e-secret")
    found = find_credentials()
    assert [one.secret for one in found.all] == ["e-secret", "t-secret", "k-secret", "r-secret"]
    assert len(found.shadowed) == 3


def test_the_variable_may_name_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(write(tmp_path / "token", " t-secret \n")))
    assert find_credentials().used.secret == "t-secret"  # type: ignore[union-attr]


def test_a_very_long_token_is_no_name_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "x" * 5000)
    assert len(find_credentials().used.secret) == 5000  # type: ignore[union-attr]


def test_variables_beat_the_file_and_may_complete_it(monkeypatch: pytest.MonkeyPatch) -> None:
    write(home() / "kaggle.json", key())
    monkeypatch.setenv("KAGGLE_USERNAME", "bob")
    mixed = find_credentials().used
    assert mixed
    assert (mixed.username, mixed.secret) == ("bob", "k-secret")
    assert "KAGGLE_USERNAME" in mixed.source
    monkeypatch.setenv("KAGGLE_KEY", "v-secret")
    assert [(one.username, one.secret) for one in find_credentials().all] == [("bob", "v-secret"), ("ann", "k-secret")]


def test_the_folder_may_be_named_or_be_xdgs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    write(tmp_path / "xdg" / "kaggle" / "kaggle.json", key("xdg"))
    assert find_credentials().used.username == "xdg"  # type: ignore[union-attr]
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "named"))
    assert find_credentials().used is None
    write(tmp_path / "named" / "kaggle.json", key("named"))
    assert find_credentials().used.username == "named"  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"username": "ann"}'])
def test_a_broken_file_is_no_key(text: str) -> None:
    write(home() / "kaggle.json", text)
    found = find_credentials()
    assert found.used is None
    assert bool(found.unreadable) is (text in ("", "no json"))


def test_a_file_that_others_can_read_is_told(tmp_path: Path) -> None:
    for mode, is_open in ((0o600, False), (0o640, True), (0o604, True)):
        write(home() / "kaggle.json", key(), mode)
        assert find_credentials().used.is_open_to_others is is_open  # type: ignore[union-attr]


def test_no_secret_is_in_any_text_of_it() -> None:
    write(home() / "kaggle.json", key())
    used = find_credentials().used
    assert "k-secret" not in f"{used} {used!r} {find_credentials()!r}"


def test_it_is_the_order_of_the_official_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client itself, given the same places, takes the same token."""
    from kagglesdk import get_access_token_from_env

    write(home() / "access_token.txt", "txt-secret")
    assert get_access_token_from_env()[0] == find_credentials().used.secret == "txt-secret"  # type: ignore[union-attr]
    write(home() / "access_token", "file-secret")
    assert get_access_token_from_env()[0] == find_credentials().used.secret == "file-secret"  # type: ignore[union-attr]
    monkeypatch.setenv("KAGGLE_API_TOKEN", "env-secret")
    assert get_access_token_from_env()[0] == find_credentials().used.secret == "env-secret"  # type: ignore[union-attr]
