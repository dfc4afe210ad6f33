"""Token buckets against a naive model, and what they remember."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.rate import KEYS_BEFORE_SWEEP, Budget, Budgets, Rate

STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "give"]), st.integers(0, 40), st.integers(1, 6)), max_size=60
)


@given(per_s=st.integers(1, 8), burst=st.integers(1, 12), steps=STEPS)
def test_a_budget_is_a_bucket_that_refills(per_s: int, burst: int, steps: list[tuple[str, int, int]]) -> None:
    """Times are eighths of a second, so that the model and the budget round alike."""
    budget, tokens, at = Budget(Rate(per_s, burst)), float(burst), 0.0
    for kind, eighths, amount in steps:
        at += eighths / 8
        tokens = min(burst, tokens + eighths / 8 * per_s)
        if kind == "give":
            budget.give(amount)
            tokens = min(burst, tokens + amount)
        elif abs(tokens - amount) > 1e-6:  # at the very edge the two may round differently
            assert (budget.wait_s(at, amount) == 0.0) == (tokens >= amount)
            assert budget.take(at, amount) == (tokens >= amount)
            tokens -= amount if tokens >= amount else 0
        elif budget.take(at, amount):
            tokens -= amount


def test_what_is_refused_takes_nothing_and_says_how_long_to_wait() -> None:
    budget = Budget(Rate(per_s=2, burst=3))
    assert [budget.take(10.0) for _ in range(5)] == [True, True, True, False, False]
    assert budget.wait_s(10.0) == pytest.approx(0.5)
    assert budget.wait_s(10.0, 3) == pytest.approx(1.5)
    assert budget.wait_s(10.0, 4) == inf
    assert budget.take(10.5)
    assert not budget.take(10.5)


@pytest.mark.parametrize("per_s", [3, 7, 30, 1000 / 3])
def test_a_burst_is_whole_whatever_the_fractions_add_up_to(per_s: float) -> None:
    budget = Budget(Rate(per_s, burst=200))
    assert sum(budget.take(86_400.1) for _ in range(300)) == 200


def test_keys_have_budgets_of_their_own() -> None:
    budgets: Budgets[str] = Budgets(Rate(per_s=1, burst=1))
    assert budgets.take("a", 0.0)
    assert not budgets.take("a", 0.5)
    assert budgets.take("b", 0.5)
    assert budgets.wait_s("a", 0.5) == pytest.approx(0.5)
    budgets.give("a")
    assert budgets.take("a", 0.5)


def test_what_is_full_again_is_forgotten() -> None:
    budgets: Budgets[int] = Budgets(Rate(per_s=1, burst=10))
    for key in range(20 * KEYS_BEFORE_SWEEP):
        budgets.take(key, float(key))
        assert len(budgets) <= KEYS_BEFORE_SWEEP + 1


def test_a_sweep_forgets_no_budget_that_is_in_use() -> None:
    budgets: Budgets[int] = Budgets(Rate(per_s=1, burst=1))
    now = 1000.0
    for key in range(3 * KEYS_BEFORE_SWEEP):
        assert budgets.take(key, now)
    assert not any(budgets.take(key, now) for key in range(3 * KEYS_BEFORE_SWEEP))


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (1, 0), (-1, 1), (inf, 1), (1, inf), (float("nan"), 1)])
def test_a_rate_that_is_none_is_refused(per_s: float, burst: float) -> None:
    with pytest.raises(ValueError, match="two positive numbers"):
        Rate(per_s, burst)
