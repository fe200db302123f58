"""What calls return: values, DataFrames and figures; nothing is printed."""

from __future__ import annotations

import logging
import subprocess
import sys
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

import runner
from runner.api import Run, Session
from runner.api.calls import explained
from runner.api.keywords import Call
from runner.errors import DataError, Interrupted, RunnerError, UsageError
from tests.competitions import SHAPES


def is_png(content: bytes) -> bool:
    return content.startswith(b"\x89PNG")


def test_an_exploration_has_tables_figures_and_its_page(shapes_session, tmp_path):
    found = shapes_session.explore()
    assert len(found.sizes) == 81 and found.sizes.loc["train001", "width"] == 41
    assert list(found.duplicates.columns[:2]) == ["group", "path"]
    assert found.classes["images"].tolist()[:3] == [20, 20, 20]
    assert set(found.shift["measure"]) >= {"width", "brightness"}
    assert is_png(found.figures["class-counts"]._repr_png_())
    page = found.to_html(tmp_path / "explore.html").read_text()
    assert unescape(found._repr_html_()).count("<h2") == page.count("<h2") > 3
    assert repr(found).startswith("<exploration of 81 images")


def test_a_run_has_its_score_predictions_and_figures(first):
    assert first.score.value == first.scores["cv"]["value"]
    assert len(first.oof) == 12 and {"actual", "predicted", "loss", "akita"} <= set(first.oof.columns)
    assert first.oof[["akita", "beagle", "collie"]].sum(axis=1).round(4).eq(1).all()
    assert first.confusion.to_numpy().sum() == 12 and first.confusion.index.name == "actual"
    assert set(first.per_class["class"]) == {"akita", "beagle", "collie"}
    assert list(first.log["epoch"]) == [1] and first.log["valid_loss"].notna().all()
    assert first.top_losses(4)._repr_jpeg_()[:3] == b"\xff\xd8\xff" and first.top_losses(4)._repr_png_() is None
    assert is_png(first.figures["loss"]._repr_png_())
    assert first.submission.is_file() and first.recipe.backbone == "test_resnet"


def test_objects_show_themselves_shortly(first, shapes_session):
    assert repr(first).startswith("<run first: test_resnet: 32px unfrozen x1; log loss ")
    assert "log loss" in first._repr_html_() and "<table>" in first._repr_html_()
    assert repr(shapes_session).startswith("<shapes in ")
    report = first.report()
    assert "srcdoc=" in report._repr_html_() and report.path.is_file()
    assert report.next_steps and len(report.key_figures)


def test_runs_are_blended_found_checked_and_listed(shapes_session, first, second):
    both = shapes_session.ensemble([first, "second"], name="both")
    assert both.read_members() == ("first", "second") and both.score.rows == 12
    assert shapes_session.find_run("both") == both and shapes_session.check(both) == 21
    table = shapes_session.runs()
    assert set(table["run"]) >= {"first", "second", "both"} and table["cv"].is_monotonic_increasing
    assert shapes_session.standings().empty and "public" in shapes_session.standings()


def test_runs_are_compared_with_the_first(shapes_session, first, second):
    found = shapes_session.compare([first, second])
    assert len(found.runs) == 2 and found.recipes["field"].tolist() == ["seed"]
    assert set(found.classes) == {"second"} and "second" in repr(found) and "srcdoc=" in found._repr_html_()


def test_the_same_call_finds_its_run_again(shapes_session, first):
    assert shapes_session.train(run="first") == first
    with pytest.raises(UsageError) as caught:
        shapes_session.train(run="first", new=True)
    assert caught.value.fix == "another run NAME, or leave new=True out"


def test_the_figures_of_a_recipe_and_of_images_are_drawn(shapes_session):
    sizes = shapes_session.recipe(size=[16, 32], epochs_scale=2)
    assert [stage.size for stage in sizes.stages] == [16, 32]
    for figure in (
        shapes_session.schedule(size=[16, 32]),
        shapes_session.show_images(5, label="akita"),
        shapes_session.show_views("all", size=32),
        shapes_session.show_augmentations(3, size=32),
    ):
        assert (figure._repr_png_() or figure._repr_jpeg_()) and repr(figure).startswith("<figure: ")
    with pytest.raises(UsageError, match="no image has the label 'poodle'"):
        shapes_session.show_images(label="poodle")


def test_a_figure_is_saved_under_the_name_that_was_asked_for(shapes_session, tmp_path):
    figure = shapes_session.schedule()
    assert figure.save(tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert figure.save(tmp_path / "b.svg").read_text().startswith("<svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.svg"]


@pytest.mark.usefixtures("short_sweep")
def test_the_lr_finder_returns_its_curves(shapes_session):
    found = shapes_session.find_lr()
    assert len(found.suggested) == 1 and found.table["size"].tolist() == [32]
    assert len(found.curve) > 5 and is_png(found._repr_png_())


def test_an_error_has_the_same_message_and_a_call_that_fixes_it(shapes_session, tmp_path):
    with pytest.raises(RunnerError) as caught:
        shapes_session.find_run("frist")
    assert "did you mean 'first'" in caught.value.message and caught.value.fix == "session.runs()"
    empty = runner.open(SHAPES, tmp_path)
    with pytest.raises(DataError) as caught:
        empty.explore()
    assert caught.value.fix is not None and "session.download(" in caught.value.fix
    assert str(caught.value).endswith(f"fix: {caught.value.fix}")


def test_a_run_without_validation_rows_says_where_they_are(shapes_session, first):
    refit = shapes_session.train(run="first", all_data=True)
    with pytest.raises(UsageError) as caught:
        _ = refit.oof
    assert caught.value.fix == "session.find_run('first') has them"


def test_a_number_of_images_is_checked(first):
    with pytest.raises(UsageError, match="not a number of images"):
        first.top_losses(0)


def test_data_that_was_downloaded_again_is_read_again(shapes_session, shapes_folder, tmp_path):
    session = runner.open(SHAPES, tmp_path)
    session.download(shapes_folder)
    before = session.index
    assert session.index is before
    session.download(shapes_folder, force=True)
    assert session.index is not before


def test_device_and_workers_of_a_call_are_for_that_call(shapes_session):
    from runner.api.work import with_compute

    other = with_compute(shapes_session, Call(shapes_session, "predict", (), {"workers": 2}).parse())
    assert (other.compute.workers, other.compute.device) == (2, "cpu") and shapes_session.compute.workers == 0


def test_an_interrupted_call_says_what_is_kept(shapes_session):
    with (
        pytest.raises(Interrupted, match=r"^first is trained and kept; the same call goes on with it$"),
        explained(Call(shapes_session, "train")),
    ):
        raise Interrupted("first is trained and kept")


def test_calls_print_nothing(shapes_session, first, capfd):
    logging.getLogger("runner").setLevel(logging.WARNING)
    shapes_session.train(run="silent", seed=9)
    first.report()
    out, err = capfd.readouterr()
    busy = ("data loading took", "workers=")  # the warning of a busy machine, and its fix
    assert out == "" and [line for line in err.splitlines() if not any(word in line for word in busy)] == []


def test_importing_and_opening_costs_no_torch_and_prints_warnings_alone():
    code = (
        "import runner, sys; assert 'click' not in sys.modules\n"
        "runner.open('dog-breed', '.')\n"
        "assert not {'torch', 'timm', 'kaggle', 'matplotlib'} & set(sys.modules)\n"
        "import logging; print(logging.getLogger('runner').level == logging.WARNING)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("True\n", "")


def test_a_program_that_chose_its_messages_keeps_them():
    code = (
        "import logging; logging.getLogger('runner').setLevel(logging.INFO)\n"
        "import runner; runner.open('dog-breed', '.'); print(logging.getLogger('runner').level == logging.INFO)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"


def test_an_unknown_name_of_the_package_is_told():
    with pytest.raises(AttributeError, match="'opne'; it has Run, Session, board"):
        _ = runner.opne
    assert {"open", "doctor"} <= set(dir(runner))


def test_the_calls_over_all_competitions(shapes_session: Session, first: Run):
    folder = shapes_session.workspace.root
    assert len(runner.competitions(folder, all=True)) > 60
    assert "srcdoc" in runner.board(folder)._repr_html_()
    checks = runner.doctor(workspace=folder, host="practice")
    assert {"check", "status", "detail", "fix"} <= set(checks) and isinstance(checks, pd.DataFrame)


def test_a_competition_file_is_written(tmp_path: Path, shapes_folder: Path):
    written = runner.new("shapes-again", shapes_folder, workspace=tmp_path, metric="log_loss")
    assert written.path.is_file() and not written.conclusions.empty and "Multiclass" in written.text
    assert written.open().name == "shapes-again"
    with pytest.raises(UsageError, match="no keyword 'metrics'"):
        runner.new("x", shapes_folder, workspace=tmp_path, metrics="auc")


def test_runs_are_filtered_renamed_annotated_and_deleted(shapes_session, first):
    third = shapes_session.train(run="third", set={"warmup": 0.5})
    assert third.recipe.warmup == 0.5
    table = shapes_session.runs(filter=["warmup>0"], sort="date")
    assert list(table["run"]) == ["third"] and list(table["changes"]) == [("warmup 0.5",)]
    renamed = third.rename("warm").annotate("warmed up")
    assert shapes_session.runs(filter="warmed")["annotation"].tolist() == ["warmed up"]
    renamed.delete()
    assert "warm" not in set(shapes_session.runs()["run"])
    plan = shapes_session.train(recipe=first.recipe_file, epochs=2, dry_run=True)
    assert plan.recipe.epochs == 2 and plan.minutes >= 0


def test_a_session_of_a_named_competition_reads_the_workspaces_config(tmp_path):
    (tmp_path / "runner.toml").write_text("[dog-breed.recipe]\nseed = 7\n")
    assert runner.open("dog-breed", tmp_path).recipe(epochs=3).seed == 7
    (tmp_path / "runner.toml").write_text("[dog-breed.recipe]\nsed = 7\n")
    with pytest.raises(UsageError, match="'sed' is neither a flag nor a field"):
        runner.open("dog-breed", tmp_path)


def test_a_run_predicts_other_images(shapes_session, first, tmp_path):
    folder = shapes_session.index.data_dir / "test"
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    table = first.predict([*sorted(folder.iterdir())[:4], tmp_path / "broken.jpg"])
    assert list(table.columns) == ["image", "akita", "beagle", "collie", "prediction"] and len(table) == 4
    assert list(table.attrs["unreadable"]) == [str(tmp_path / "broken.jpg")]
    assert len(first.predict(folder, workers=0)) == 21
    assert sum(len(some.names) for some in first.iterate_images(str(folder / "*.jpg"))) == 21
    with pytest.raises(UsageError, match="excludes"):
        first.predict(folder, tta="all")
    assert len(shapes_session.predict("first", images=folder)) == 21
    assert shapes_session.predict("first", images=folder, out=tmp_path / "out.csv").read_text().count("\n") == 22
    with pytest.raises(UsageError, match="out is where"):
        shapes_session.predict("first", out=tmp_path / "other.csv")
    assert (shapes_session.export("first", tmp_path / "exported") / "model.pt").is_file()


def test_no_module_takes_the_name_of_a_call():
    """A module of that name would take the call's place once it is imported."""
    names = {path.stem for path in Path(runner.__file__).parent.iterdir()}
    assert not names & set(runner._CALLS)
