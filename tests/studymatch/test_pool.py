"""The waiting pool's rules, one by one. `test_pool_model` has what holds after any sequence of steps."""

from __future__ import annotations

import gc
from dataclasses import replace
from itertools import permutations
from weakref import ref

import pytest

from studymatch.rules.pool import Pool, Ticket
from tests.support.tickets import Door, ticket

APART_S = 5.0


def wanting(user: str, criteria: dict[str, str]) -> Ticket[Door]:
    return replace(ticket(user), criteria=criteria)


def pool_of(*tickets: Ticket[Door], now: float = 0.0) -> Pool[Door]:
    pool: Pool[Door] = Pool(APART_S)
    for each in tickets:
        assert pool.offer(each, now) is None
    return pool


# Who fits


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        ({}, {}, True),
        ({"subject": "maths"}, {}, True),
        ({"subject": "maths"}, {"subject": "maths"}, True),
        ({"subject": "maths"}, {"subject": "law"}, False),
        ({"subject": "maths"}, {"language": "en"}, True),
        ({"subject": "maths"}, {"language": "maths"}, True),
        ({"subject": "maths"}, {"subject": "maths", "language": "en"}, True),
        ({"subject": "maths"}, {"subject": "law", "language": "en"}, False),
        ({"language": "en"}, {"subject": "law", "language": "en"}, True),
        ({"language": "en"}, {"subject": "law", "language": "fr"}, False),
        ({"subject": "law", "language": "en"}, {}, True),
        ({"subject": "law", "language": "en"}, {"language": "en", "subject": "law"}, True),
        ({"subject": "law", "language": "en"}, {"subject": "law", "language": "fr"}, False),
        ({"subject": "law", "language": "en"}, {"subject": "maths", "language": "en"}, False),
    ],
)
def test_two_fit_when_they_agree_on_what_both_name(
    one: dict[str, str], other: dict[str, str], fits: bool
) -> None:
    for waiting, newcomer in permutations([wanting("ada", one), wanting("bob", other)]):
        pool = pool_of(waiting)
        assert pool.offer(newcomer, 0.0) is (waiting if fits else None)
        assert list(pool) == ([] if fits else [waiting, newcomer])


def test_criteria_that_nobody_knows_are_refused() -> None:
    with pytest.raises(ValueError, match="criteria may name subject, language; got subject, mood"):
        ticket("ada", subject="maths", mood="merry")


# In which order


def test_the_order_is_head_first_then_the_oldest_then_who_was_offered_first() -> None:
    a = ticket("a", subject="1", since=3.0, head=True)
    b = ticket("b", subject="2", since=7.0, head=True)
    c = ticket("c", subject="3", since=1.0)
    d = ticket("d", subject="4", since=2.0, language="en")
    e = ticket("e", subject="5", since=2.0)
    f = ticket("f", subject="6", since=9.0)
    pool = pool_of(f, d, b, e, a, c)
    assert list(pool) == [a, b, c, d, e, f]
    assert [pool.offer(ticket(f"visitor {n}"), 9.0) for n in range(6)] == [a, b, c, d, e, f]
    assert list(pool) == []


def test_the_oldest_who_fits_is_taken_whatever_they_name() -> None:
    law = ticket("ada", since=0.0, subject="law", language="en")
    maths = ticket("bob", since=1.0, subject="maths", apart=["cyd"])
    anything = ticket("cyd", since=2.0, apart=["ada"])
    pool = pool_of(law, anything, maths)
    newcomers = [ticket(user, subject="maths", language="fr") for user in ("dan", "eve", "fay")]
    assert [pool.offer(newcomer, 2.0) for newcomer in newcomers] == [maths, anything, None]


# Being kept apart


@pytest.mark.parametrize(("ada_lists", "bob_lists"), [(["bob"], []), ([], ["ada"]), (["bob"], ["ada"])])
def test_two_kept_apart_wait_for_somebody_else(ada_lists: list[str], bob_lists: list[str]) -> None:
    ada, bob = ticket("ada", apart=ada_lists), ticket("bob", apart=bob_lists)
    pool = pool_of(ada, bob)
    assert pool.offer(ticket("cyd"), 1.0) is ada
    assert pool.offer(ticket("dan"), 1.0) is bob


def test_somebody_else_is_preferred_to_an_older_one_who_is_kept_apart_though_both_have_waited() -> None:
    older, younger = ticket("ada", since=0.0, subject="1"), ticket("bob", since=1.0, subject="2")
    pool = pool_of(older, younger)
    assert pool.offer(ticket("cyd", apart=["ada"]), 99.0) is younger


def test_two_kept_apart_are_paired_once_both_have_waited() -> None:
    ada, bob = ticket("ada", entered=0.0, apart=["bob"]), ticket("bob", entered=2.0)
    pool = pool_of(ada)
    assert pool.due() is None
    assert pool.offer(bob, 2.0) is None
    assert pool.pair_due(6.9) == []
    assert pool.due() == 7.0
    assert pool.pair_due(7.0) == [(ada, bob)]
    assert list(pool) == []
    assert pool.due() is None


def test_two_kept_apart_who_have_both_waited_are_paired_at_once_when_nobody_else_fits() -> None:
    older, ada = ticket("cyd", since=0.0, entered=9.0), ticket("ada", since=1.0, entered=1.0, apart=["cyd"])
    pool = pool_of(older, ada, now=1.0)
    bob = ticket("bob", entered=0.0, apart=["ada", "cyd"])
    assert pool.offer(bob, 5.9) is None
    assert pool.withdraw(bob.id) is bob
    assert pool.offer(bob, 6.0) is ada


def test_being_kept_apart_counts_from_the_beginning_of_the_search_not_of_the_waiting() -> None:
    pool = pool_of(ticket("ada", since=0.0, entered=90.0), now=90.0)
    assert pool.offer(ticket("bob", since=0.0, entered=90.0, apart=["ada"]), 94.9) is None
    assert pool.due() == 95.0


def test_of_several_pairs_due_the_oldest_chooses_first_and_chooses_the_oldest() -> None:
    a, b, c, d, e = (ticket(user, since=since, apart="abcde") for since, user in enumerate("abcde"))
    pool = pool_of(e, b, d, a, c)
    assert pool.pair_due(APART_S) == [(a, b), (c, d)]
    assert list(pool) == [e]


def test_the_oldest_chooses_first_even_if_a_pair_without_them_was_due_earlier() -> None:
    a = ticket("a", since=0.0, entered=3.0)
    b = ticket("b", since=1.0, entered=0.0, apart=["a", "c"])
    c = ticket("c", since=2.0, entered=0.0, apart=["a"])
    pool = pool_of(a, b, c, now=3.0)
    assert pool.due() == 5.0
    assert pool.pair_due(8.0) == [(a, b)]


def test_how_long_two_are_kept_apart_is_an_argument() -> None:
    pool: Pool[Door] = Pool(apart_s=0.5)
    pool.offer(ticket("ada"), 0.0)
    pool.offer(ticket("bob", apart=["ada"]), 0.0)
    assert pool.due() == 0.5


def test_due_is_the_earliest_pair_in_whatever_order_they_came() -> None:
    late = [ticket("ada", entered=3.0, subject="1"), ticket("bob", entered=3.0, subject="1", apart=["ada"])]
    early = [ticket("cyd", entered=1.0, subject="2"), ticket("dan", entered=2.0, subject="2", apart=["cyd"])]
    pool = pool_of(*late, *early, now=3.0)
    assert pool.due() == 7.0
    assert pool.pair_due(7.0) == [tuple(early)]
    assert pool.due() == 8.0


def test_who_leaves_and_comes_back_with_the_same_ticket_is_paired_when_due() -> None:
    ada, bob = ticket("ada"), ticket("bob", apart=["ada"])
    pool = pool_of(ada, bob)
    assert pool.withdraw(ada.id) is ada
    assert pool.offer(ada, 1.0) is None
    assert pool.pair_due(APART_S) == [(bob, ada)]


@pytest.mark.parametrize("asked_before", [True, False])
@pytest.mark.parametrize("leaver", ["ada", "bob"])
@pytest.mark.parametrize("how", ["withdrawn", "paired", "closed"])
def test_nothing_is_due_once_one_of_the_two_has_gone(how: str, leaver: str, asked_before: bool) -> None:
    pair = [ticket("ada", subject="law"), ticket("bob", language="en", apart=["ada"])]
    pool = pool_of(*pair)
    leaving, staying = pair if leaver == "ada" else reversed(pair)
    match how:
        case "withdrawn":
            pool.withdraw(leaving.id)
        case "paired":
            assert pool.offer(ticket("cyd", apart=[staying.user]), 1.0) is leaving
        case _:
            leaving.door.open = False
    if asked_before:
        assert pool.due() is None
    assert pool.pair_due(APART_S) == []
    assert list(pool) == [staying]


# Coming and going


def test_a_ticket_can_be_withdrawn_once() -> None:
    ada = ticket("ada")
    pool = pool_of(ada)
    assert ada.id in pool
    assert pool.withdraw(ada.id) is ada
    assert pool.withdraw(ada.id) is None
    assert ada.id not in pool
    assert pool.offer(ticket("bob"), 0.0) is None


def test_a_user_and_an_id_are_in_the_pool_once() -> None:
    ada, bob = ticket("ada", subject="maths"), ticket("bob", subject="law")
    pool = pool_of(ada, bob)
    again = ticket("ada", subject="law")
    with pytest.raises(ValueError, match=f"'ada' with ticket {again.id} while 'ada' waits with {ada.id}"):
        pool.offer(again, 0.0)
    with pytest.raises(ValueError, match=f"'cyd' with ticket {bob.id} while 'bob' waits with {bob.id}"):
        pool.offer(replace(ticket("cyd"), id=bob.id), 0.0)
    assert list(pool) == [ada, bob]


def test_a_closed_ticket_is_not_paired_and_is_dropped_when_it_is_met() -> None:
    ada, bob = ticket("ada", subject="maths"), ticket("bob", subject="law")
    pool = pool_of(ada, bob)
    ada.door.open = False
    assert len(pool) == 2
    assert pool.offer(ticket("cyd"), 0.0) is bob
    assert len(pool) == 0


def test_a_ticket_that_is_closed_when_it_is_offered_is_not_put_in() -> None:
    ada = ticket("ada")
    ada.door.open = False
    pool = pool_of(ada)
    assert ada.id not in pool


def test_a_user_whose_ticket_has_closed_may_search_again() -> None:
    closed, again = ticket("ada"), ticket("ada")
    pool = pool_of(closed)
    closed.door.open = False
    assert pool.offer(again, 0.0) is None
    assert list(pool) == [again]


def test_who_has_left_is_forgotten_and_so_is_what_they_asked_for() -> None:
    class Watched(str):
        """A string that can be watched; plain ones cannot."""

    values: list[ref[Watched]] = []
    pool: Pool[Door] = Pool(APART_S)

    def wait(user: str) -> Door:
        subject = Watched(user)
        values.append(ref(subject))
        waiting = ticket(user, subject=subject, language=user, apart=["star"])
        pool.offer(waiting, 0.0)
        return waiting.door

    doors = [wait(user) for user in ("ada", "bob", "cyd")]
    star, visitor = ticket("star"), ticket("visitor")
    assert pool.offer(star, 0.0) is None
    doors[0].open = False
    for leaving in (pool.offer(visitor, 0.0), *pool.pair_due(APART_S)[0]):
        assert leaving is not None
    del leaving
    gc.collect()
    assert [value() for value in values] == [None, None, None]
    assert list(pool) == []
