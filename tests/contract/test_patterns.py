"""Row names are taken apart in one way, wherever they stand."""

from __future__ import annotations

import pytest

from runner.contract.patterns import row_pattern


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("x_1_dry_green", ("x_1", "dry_green")),
        ("x_dry_green", ("x", "dry_green")),
        ("x_green", ("x", "green")),
        ("x_green_green", ("x_green", "green")),
    ],
)
def test_the_longest_column_that_fits_is_meant(name: str, parts: tuple[str, str]) -> None:
    match = row_pattern("{id}_{column}", ("green", "dry_green")).fullmatch(name)
    assert match is not None and (match["id"], match["column"]) == parts


def test_without_columns_the_last_part_is_the_column() -> None:
    match = row_pattern("{id}_{column}", ()).fullmatch("x_1_any")
    assert match is not None and (match["id"], match["column"]) == ("x_1", "any")
