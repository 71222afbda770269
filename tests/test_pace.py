"""Buckets: what they grant in any span of time, what they tell to wait, whom they forget."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carets.protocol.pace import Bucket, Buckets

AMOUNT = st.sampled_from([0.5, 1, 2, 3])
PASSED_S = st.sampled_from([0.0, 0.125, 0.5, 1.0, 4.0])


def test_a_burst_is_granted_at_once_and_then_the_rate() -> None:
    bucket = Bucket(2, 3)
    assert [bucket.take(1, 100) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert bucket.take(1, 100.25) == 0.25
    assert bucket.take(1, 100.5) == 0
    assert bucket.take(1, 100.5) == 0.5


def test_what_is_refused_costs_nothing() -> None:
    bucket = Bucket(1, 4)
    assert bucket.take(3, 0) == 0
    assert bucket.take(2, 0) == 1
    assert bucket.take(1, 0) == 0


def test_nothing_is_saved_up_beyond_the_burst() -> None:
    bucket = Bucket(1, 2)
    assert bucket.take(2, 0) == 0
    assert bucket.take(2, 1_000_000) == 0
    assert bucket.take(1, 1_000_000) == 1


def test_more_than_the_burst_is_taken_from_a_full_bucket_and_owed() -> None:
    bucket = Bucket(10, 20)
    assert bucket.take(50, 0) == 0
    assert bucket.take(1, 0) == pytest.approx(3.1)
    assert bucket.take(50, 4) == pytest.approx(1)


def test_owing_goes_below_nothing_and_no_further_than_the_debt_allowed() -> None:
    bucket = Bucket(1, 5, debt_max=10)
    bucket.owe(8, 0)
    assert bucket.wait_s(1, 0) == 4
    bucket.owe(1_000, 0)
    assert bucket.wait_s(1, 0) == 11
    assert bucket.take(1, 11) == 0


def test_owing_forgives_nothing_that_a_large_amount_left_owed() -> None:
    bucket = Bucket(1, 5)
    bucket.take(20, 0)
    bucket.owe(1, 0)
    assert bucket.wait_s(1, 0) == 16


def test_without_a_debt_allowed_owing_only_empties() -> None:
    bucket = Bucket(1, 5)
    bucket.owe(1_000, 0)
    assert bucket.wait_s(1, 0) == 1


def test_asking_takes_nothing() -> None:
    bucket = Bucket(1, 1)
    assert [bucket.wait_s(1, 0), bucket.wait_s(1, 0), bucket.take(1, 0), bucket.wait_s(1, 0)] == [0, 0, 0, 1]


def test_a_clock_that_goes_back_gives_nothing_and_does_not_stop_it() -> None:
    bucket = Bucket(1, 2)
    assert bucket.take(2, 1_000) == 0
    assert bucket.take(1, 10) == 1
    assert bucket.take(1, 11) == 0


def test_a_bucket_is_full_when_it_is_as_if_never_used() -> None:
    bucket = Bucket(1, 2)
    assert bucket.is_full(0)
    bucket.take(1, 0)
    assert not bucket.is_full(0.5)
    assert bucket.is_full(1)


@pytest.mark.parametrize("rate, burst, debt", [(0, 1, 0), (1, 0, 0), (1, 1, -1), (math.nan, 1, 0)])
def test_a_bucket_that_means_nothing_is_none(rate: float, burst: float, debt: float) -> None:
    with pytest.raises(AssertionError):
        Bucket(rate, burst, debt_max=debt)


@settings(derandomize=True)
@given(steps=st.lists(st.tuples(PASSED_S, AMOUNT), min_size=1, max_size=40))
def test_no_span_of_time_grants_more_than_its_burst_and_rate(steps: list[tuple[float, float]]) -> None:
    bucket, now_s, granted = Bucket(2, 3), 0.0, list[tuple[float, float]]()
    for passed_s, amount in steps:
        now_s += passed_s
        wait_s = bucket.take(amount, now_s)
        if wait_s == 0:
            granted.append((now_s, amount))
        else:
            assert bucket.wait_s(amount, now_s + wait_s * 0.999) > 0, "told to wait longer than needed"
    for start in range(len(granted)):
        for end in range(start, len(granted)):
            span_s = granted[end][0] - granted[start][0]
            assert sum(amount for _, amount in granted[start : end + 1]) <= 3 + 2 * span_s


@settings(derandomize=True)
@given(steps=st.lists(st.tuples(PASSED_S, AMOUNT), min_size=1, max_size=40))
def test_what_it_tells_to_wait_is_enough(steps: list[tuple[float, float]]) -> None:
    bucket, now_s = Bucket(2, 3), 0.0
    for passed_s, amount in steps:
        now_s += passed_s
        wait_s = bucket.take(amount, now_s)
        if wait_s:
            now_s += wait_s
            assert bucket.take(amount, now_s) == 0


def test_each_key_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(1, 1, keys_max=10)
    assert [buckets.take("a", 1, 0), buckets.take("a", 1, 0), buckets.take("b", 1, 0)] == [0, 1, 0]


def test_who_was_quiet_for_longest_is_forgotten_first() -> None:
    buckets = Buckets(1, 1, keys_max=2)
    buckets.take("a", 1, 0)
    buckets.take("b", 1, 0)
    assert buckets.take("a", 1, 0) == 1, "touched again: now b is the quiet one"
    buckets.take("c", 1, 0)
    assert len(buckets) == 2
    assert buckets.take("a", 1, 0) == 1
    assert buckets.take("b", 1, 0) == 0, "forgotten, so as if it were new"
