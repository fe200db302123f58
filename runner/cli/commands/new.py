"""`runner new`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json

if TYPE_CHECKING:
    from runner.new_competition.new import NewCompetition
    from runner.new_competition.questions import Ask, Question


@command("new")
@click.argument("slug")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="DIR|ARCHIVE",
    help="The competition's files on this disk.  [default: Kaggle's, with an account]",
)
@click.option("--metric", metavar="NAME", help="What the leaderboard scores: log_loss, auc, qwk, map_at_5...")
@click.option(
    "--preset",
    type=click.Choice(("side_on", "top_down", "radar", "no_flip"), case_sensitive=False),
    help="What may be flipped.",
)
@click.option("--label", metavar="COLUMN,..", help="The column of the labels, or several.")
@click.option("--id", metavar="COLUMN", help="The column of the ids.")
@click.option("--group", metavar="COLUMN", help="Rows with the same value stay in one fold: a patient's, a place's.")
@click.option("--positive", metavar="CLASS", help="Of two classes, the one whose probability is asked for.")
@click.option("--sample", metavar="FILE", help="The sample submission, if several tables may be it.")
@click.option("--table", metavar="FILE", help="The table of the labels, if several may be it.")
@click.option("--name", metavar="NAME", default="", help="The competition's name as a command.  [default: the slug]")
@click.option("--yes", is_flag=True, help="Ask nothing: what the files do not say is assumed, and marked.")
@click.option("--force", is_flag=True, help="Replace a file that is there, or go before a competition that ships.")
def new(options: GlobalOptions, slug: str, source: Path | None, yes: bool, force: bool, **flags: Any) -> None:
    """Write a competition file from a competition's files: its labels, images, metric and submission.

    What was inferred is printed with its evidence. What the files do not say is asked at a terminal, or assumed and
    marked. If they contradict themselves, nothing is written.
    """
    from runner.new_competition.new import NewOptions, new_competition
    from runner.new_competition.questions import Answers

    label = tuple(name.strip() for name in (flags.pop("label") or "").split(",") if name.strip())
    name = flags.pop("name")
    answers = Answers(label=label, **flags)
    asks = not yes and not options.as_json and sys.stdin.isatty()
    made = new_competition(
        options.root_workspace, NewOptions(slug, name, answers, force), source, _answers(answers, asks=asks)
    )
    if options.as_json:
        print_json(made)
        return
    words = ["run", *(["--from", str(source)] if source else []), "--no-submit"]
    _print(made, options.root_workspace.command_line(made.name, *words))


def _answers(answers: Any, *, asks: bool) -> Ask:
    """Answers from the flags, else from whoever sits at the terminal."""

    def answer(question: Question) -> str | None:
        given = getattr(answers, question.flag.strip("-"), None)
        if isinstance(given, str) and given:
            return given
        if not asks:
            return None
        choices = click.Choice(question.choices) if question.choices else None
        text = question.text[:1].upper() + question.text[1:]
        return str(click.prompt(text, type=choices, default=question.assumed, err=True))

    return answer


def _print(made: NewCompetition, next_command: str) -> None:
    width = max(len(each.topic) for each in made.conclusions)
    for each in made.conclusions:
        click.echo(f"  {each.topic:<{width}}  {'ASSUMED ' if each.is_assumed else ''}{each.text}")
    click.echo(
        f"{made.path}: {made.training_images:,} training images, {made.test_images:,} test images, "
        f"{made.classes:,} {made.unit}"
    )
    for problem in made.warnings:
        click.echo(f"  warning: {problem}" + f", and {problem.more:,} more" * bool(problem.more))
    click.echo(f"next: {next_command}")
