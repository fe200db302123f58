"""Paths of a workspace; atomic writes; JSON with a format version; locks."""

from __future__ import annotations

import select
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import RunnerError, UsageError
from runner.workspace import (
    Workspace,
    _host_key,
    atomic_path,
    locked,
    read_json,
    remove_leftovers_below,
    scratch_dir,
    write_bytes,
    write_json,
    write_text,
)


def test_flag_variable_and_current_folder_choose_in_this_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Workspace.at().root == tmp_path.resolve()
    monkeypatch.setenv("RUNNER_WORKSPACE", str(tmp_path / "from-variable"))
    assert Workspace.at().root == (tmp_path / "from-variable").resolve()
    assert Workspace.at(tmp_path / "named").root == (tmp_path / "named").resolve()


def test_an_empty_variable_means_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNNER_WORKSPACE", "")
    assert Workspace.at().root == tmp_path.resolve()


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Workspace.at("~/work").root == (tmp_path / "work").resolve()


def test_a_relative_workspace_survives_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workspace = Workspace.at("work")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert workspace.root == (tmp_path / "work").resolve()


def test_a_file_as_workspace_is_wrong_usage(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(UsageError, match="is a file") as caught:
        Workspace.at(path)
    assert caught.value.exit_code == 2
    assert "--workspace" in str(caught.value.fix)


def test_a_command_line_names_the_practice_host(tmp_path):
    workspace = Workspace(tmp_path)
    assert workspace.command_line("planet", "train") == "runner planet train"
    assert workspace.for_host("kaggle").command_line("planet", "train") == "runner planet train"
    assert workspace.for_host("practice").command_line("planet", "train") == "runner --host practice planet train"


def test_paths_create_no_folder(workspace_folder):
    workspace = Workspace.at(workspace_folder)
    for place in (
        workspace.data_dir("planet"),
        workspace.run_dir("planet", "first"),
        workspace.practice_host_dir("planet"),
    ):
        assert place.is_relative_to(workspace_folder)
    assert workspace.ledger_file.is_relative_to(workspace_folder)
    assert list(workspace_folder.iterdir()) == []


def test_a_file_is_written_with_the_folders_above_it(tmp_path):
    path = tmp_path / "a" / "b" / "c.txt"
    write_text(path, "é\n")
    assert path.read_bytes() == "é\n".encode()


def test_a_text_keeps_its_newlines(tmp_path):
    write_text(tmp_path / "a.txt", "one\r\ntwo\n")
    assert (tmp_path / "a.txt").read_bytes() == b"one\r\ntwo\n"


@settings(deadline=None, max_examples=30)
@given(content=st.binary(max_size=100))
def test_written_bytes_are_read_back(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "a.bin"
    write_bytes(path, content)
    assert path.read_bytes() == content


def test_json_is_read_back_and_is_readable(tmp_path):
    value = {"title": "Café", "numbers": [1, 2.5, None], "deep": {"yes": True}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "Café" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_json_of_the_same_format_is_read_without_its_version(tmp_path):
    write_json(tmp_path / "a.json", {"size": 3}, format=2)
    assert (tmp_path / "a.json").read_text().startswith('{\n  "format": 2,\n')
    assert read_json(tmp_path / "a.json", format=2) == {"size": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"size": 3}', "the file has no format version; this version of the runner reads format 2"),
        ('{"format": 1, "size": 3}', "the file has format 1; this version of the runner reads format 2"),
        ("[1]", "the file has no format version; this version of the runner reads format 2"),
    ],
)
def test_json_of_another_format_is_refused_with_a_fix(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(RunnerError) as caught:
        read_json(path, format=2, fix="train again")
    assert (caught.value.message, caught.value.where, caught.value.fix) == (message, str(path), "train again")


def test_damaged_json_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"size": 3')
    with pytest.raises(RunnerError, match="the file is damaged: ") as caught:
        read_json(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_block_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as part:
        part.write_text("half of the ne")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_before_writing_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.txt"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_final_name_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_path(path) as part:
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"


def test_numpy_adds_no_second_suffix(tmp_path):
    path = tmp_path / "a.npy"
    with atomic_path(path) as part:
        np.save(part, np.arange(3))
    assert np.load(path).tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import os, pathlib, sys\n"
        "from runner.workspace import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1])) as part:\n"
        "    part.write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_two_writing_processes_leave_one_complete_content(tmp_path):
    path = tmp_path / "a.txt"
    code = (
        "import pathlib, sys\n"
        "from runner.workspace import write_text\n"
        "for _ in range(20): write_text(pathlib.Path(sys.argv[1]), sys.argv[2] * 100_000)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert path.read_text() in ("a" * 100_000, "b" * 100_000)
    assert list(tmp_path.iterdir()) == [path]


def test_two_writing_threads_leave_one_complete_content(tmp_path):
    path, faults = tmp_path / "a.txt", []

    def write(letter: str) -> None:
        try:
            for _ in range(30):
                write_text(path, letter * 10_000)
        except OSError as error:
            faults.append(error)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert faults == []
    assert path.read_text() in ("a" * 10_000, "b" * 10_000)
    assert list(tmp_path.iterdir()) == [path]


HOLD_LOCK = (
    "import pathlib, sys\n"
    "from runner.workspace import locked\n"
    "with locked(pathlib.Path(sys.argv[1])):\n"
    "    print('locked', flush=True)\n"
    "    sys.stdin.read()\n"
)


def start_lock_holder(path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    return holder


def test_a_lock_keeps_a_second_process_out_until_the_first_leaves(tmp_path):
    path = tmp_path / "new folder" / ".lock"
    with locked(path):
        holder = start_lock_holder(path)
        ready, _, _ = select.select([holder.stdout], [], [], 1)
        assert ready == []
    assert holder.stdout.readline() == "locked\n"
    holder.communicate("")


def test_a_lock_is_released_when_its_holder_is_killed(tmp_path):
    holder = start_lock_holder(tmp_path / ".lock")
    assert holder.stdout.readline() == "locked\n"
    holder.kill()
    holder.communicate()
    with locked(tmp_path / ".lock"):
        pass


def test_a_lock_is_released_by_an_error_in_its_block(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path / ".lock"):
        raise RuntimeError
    with locked(tmp_path / ".lock"):
        pass


def test_leftovers_of_ended_writers_are_removed_and_no_others(tmp_path):
    folder = tmp_path / "runs" / "a"
    killed = (
        "import os, sys, pathlib; from runner.workspace import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1])) as part: part.touch(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(folder / "score.json")], check=False)
    (left,) = folder.iterdir()
    other_host = folder / left.name.replace(_host_key(), "0" * 8)
    other_host.touch()
    with atomic_path(folder / "log.jsonl") as part:
        part.touch()
        assert remove_leftovers_below([tmp_path / "runs", tmp_path / "nothing"]) <= 1
        assert part.exists()
    assert {path.name for path in folder.iterdir()} == {"log.jsonl", other_host.name}


def test_a_scratch_folder_of_a_killed_process_is_removed_by_the_next(tmp_path):
    killed = (
        "import os, sys, pathlib; from runner.workspace import scratch_dir\n"
        "with scratch_dir(pathlib.Path(sys.argv[1]), 'new') as folder: (folder / 'a').touch(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    with scratch_dir(tmp_path, "new") as folder:
        assert list(tmp_path.iterdir()) == [folder]
        assert folder != left
    assert not list(tmp_path.iterdir())
