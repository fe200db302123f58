"""Fields of fields: listed by their paths, compared, and changed from texts of the right type."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import pytest

from runner.contract.recipe import PHOTOGRAPHS, TrainMode
from runner.field_paths import UnknownFieldError, field_differences, flat_fields, with_text, with_value


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Paint:
    colour: Colour = Colour.RED
    strength: float = 1.0


@dataclass(frozen=True)
class House:
    name: str
    walls: tuple[Paint, ...] = (Paint(), Paint(Colour.BLUE))
    roof: Paint = Paint()
    door: Paint | None = None
    rooms: int | None = None
    sides: tuple[float, float] | None = None
    options: dict[str, bool | int | float | str | None] = field(default_factory=dict)
    is_old: bool = False


HOUSE = House("ours")


def test_every_plain_value_has_a_path() -> None:
    assert flat_fields(HOUSE) == {
        "name": "ours",
        "walls[0].colour": "red",
        "walls[0].strength": 1.0,
        "walls[1].colour": "blue",
        "walls[1].strength": 1.0,
        "roof.colour": "red",
        "roof.strength": 1.0,
        "door": None,
        "rooms": None,
        "sides": None,
        "is_old": False,
    }


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("name", "3", "3"),
        ("roof.strength", "0.25", 0.25),
        ("roof.strength", "1/4", 0.25),
        ("walls[1].strength", "2", 2.0),
        ("walls.1.colour", "RED", "red"),
        ("rooms", "4", 4),
        ("rooms", "none", None),
        ("sides", "1,2.5", (1.0, 2.5)),
        ("options.pad", "same", "same"),
        ("options.depth", "3", 3),
        ("options.wide", "yes", True),
        ("is_old", "true", True),
        ("door.strength", "0.5", 0.5),
    ],
)
def test_a_text_becomes_a_value_of_the_fields_type(path: str, text: str, value: object) -> None:
    changed = with_text(HOUSE, path, text)
    differences = {each.path: each.values[1] for each in field_differences([HOUSE, changed])}
    key = path.replace("walls.1", "walls[1]")
    assert differences.get(key, flat_fields(changed)[key]) == value
    assert type(flat_fields(changed)[key]) is type(value)


def test_a_list_of_records_is_json() -> None:
    assert with_text(HOUSE, "walls", '[{"colour": "blue"}]').walls == (Paint(Colour.BLUE),)


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("roof.strength", "much", "roof.strength is 'much', not a number"),
        ("rooms", "2.5", "rooms is '2.5', not a whole number"),
        ("roof.colour", "green", "roof.colour is 'green', not one of: red, blue"),
        ("is_old", "perhaps", "is_old is 'perhaps', not true or false"),
        ("sides", "1", r"sides is \['1'\]|sides is \[1.0\], not a list of 2"),
    ],
)
def test_a_text_of_another_type_is_an_error(path: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_text(HOUSE, path, text)


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("strength", "walls[0].strength"),
        ("roof.strenght", "roof.strength"),
        ("Rooms", "rooms"),
        ("is-old", "is_old"),
        ("walls[7].colour", "walls[0].colour"),
        ("zzz", ""),
        ("", ""),
        ("name.more", "name"),
    ],
)
def test_an_unknown_path_names_the_nearest(path: str, near: str) -> None:
    with pytest.raises(UnknownFieldError) as caught:
        with_text(HOUSE, path, "1")
    assert caught.value.near == near


def test_every_field_of_a_recipe_can_be_written_as_it_is() -> None:
    for path, value in flat_fields(PHOTOGRAPHS).items():
        assert with_value(PHOTOGRAPHS, path, value) == PHOTOGRAPHS
        text = "none" if value is None else str(value)
        assert with_text(PHOTOGRAPHS, path, text) == PHOTOGRAPHS
    assert with_text(PHOTOGRAPHS, "stages[1].mode", "frozen").stages[1].mode is TrainMode.FROZEN
