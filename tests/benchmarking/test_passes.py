"""Contenders take turns: each round begins with another, one that stops keeps what it did, and time is limited."""

from __future__ import annotations

import time

import pytest

from freqcache.benchmarking.passes import Pass, StoppedError, take_turns, timed


class Counting:
    """Enters its name into a list at each pass; stops after `most`."""

    def __init__(self, name: str, ran: list[str], most: int = 99) -> None:
        self.name, self._ran, self._most = name, ran, most

    def run(self) -> Pass:
        if self._ran.count(self.name) == self._most:
            msg = "enough"
            raise StoppedError(msg)
        self._ran.append(self.name)
        return Pass(images=1, seconds=1.0, cpu=1.0)


def refuse(name: str, why: str) -> None:
    pytest.fail(f"{name} stopped: {why}")


def test_each_round_begins_with_another() -> None:
    ran: list[str] = []
    told: list[int] = []
    found = take_turns([Counting(name, ran) for name in "abc"], 3, stopped=refuse, done=told.append)
    assert "".join(ran) == "abcbcacab"
    assert {name: len(passes) for name, passes in found.items()} == {"a": 3, "b": 3, "c": 3}
    assert told == [1] * 9


def test_one_that_stops_keeps_its_passes() -> None:
    ran: list[str] = []
    told: list[tuple[str, str]] = []
    contenders = [Counting("a", ran), Counting("b", ran, most=1), Counting("c", ran, most=0)]
    found = take_turns(contenders, 3, stopped=lambda name, why: told.append((name, why)))
    assert {name: len(passes) for name, passes in found.items()} == {"a": 3, "b": 1}
    assert sorted(told) == [
        ("b", "left out from pass 2 of 3 on: enough"),
        ("c", "left out from pass 1 of 3 on: enough"),
    ]


def test_the_first_round_is_whole_when_the_time_is_over() -> None:
    ran: list[str] = []
    take_turns([Counting(name, ran) for name in "abc"], 5, stopped=refuse, until=time.perf_counter() - 1)
    assert "".join(ran) == "abc"


def test_a_pass_counts_what_its_work_says() -> None:
    found = timed(lambda: 7)
    assert found.images == 7
    assert found.seconds > 0
    assert found.rate == 7 / found.seconds
