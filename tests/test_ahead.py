"""Asking ahead, and portions of what is read."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freqcache.ahead import ahead
from freqcache.portions import portions


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_results_are_in_order_and_items_are_taken_no_further_than_need_be(at_once: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(50):
            taken.append(item)
            yield item

    for number, result in enumerate(ahead(str, items(), at_once)):
        assert result == str(number)
        assert len(taken) <= number + at_once
    assert len(taken) == 50


def test_so_many_calls_are_under_way() -> None:
    together = threading.Barrier(3)  # broken if fewer come
    assert list(ahead(lambda item: (together.wait(60), item)[1], range(9), 3)) == list(range(9))


@pytest.mark.parametrize("at_once", [1, 3])
def test_an_error_comes_in_the_place_of_its_result(at_once: int) -> None:
    results = ahead(lambda item: 1 // (item - 4), range(10), at_once)
    assert [next(results) for _ in range(4)] == [1 // (item - 4) for item in range(4)]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_who_stops_early_waits_for_nobody() -> None:
    begun, may_end, calls = threading.Event(), threading.Event(), []

    def call(item: int) -> int:
        calls.append(item)
        if item:
            begun.set()
            may_end.wait()
        return item

    results = ahead(call, range(9), 2)
    assert next(results) == 0
    begun.wait()
    results.close()  # type: ignore[attr-defined]  # returns although a call is under way
    assert not may_end.is_set()
    may_end.set()
    assert calls[:2] == [0, 1]


@given(st.lists(st.integers(0, 9)), st.integers(1, 20), st.none() | st.integers(1, 4))
def test_portions(sizes: list[int], most: int, count: int | None) -> None:
    found = list(portions(sizes, int, most, count))
    assert [size for portion in found for size in portion] == sizes
    for portion, following in zip(found, [*found, None][1:], strict=True):
        assert portion
        assert len(portion) == 1 or sum(portion) <= most
        assert count is None or len(portion) <= count
        full = following is None or sum(portion) + following[0] > most or len(portion) == count
        assert full  # no more portions than need be
