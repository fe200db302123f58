"""The garbage collector is disabled in the block, and as before after it."""

from __future__ import annotations

import gc

import pytest

from runner.gc_disabled import gc_disabled


def test_collection_is_off_in_the_block_and_on_after_it() -> None:
    with gc_disabled():
        assert not gc.isenabled()
        with gc_disabled():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collection_is_on_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="a broken table"), gc_disabled():
        raise ValueError("a broken table")
    assert gc.isenabled()


def test_collection_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with gc_disabled():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
