"""Measures one offer to the waiting pool, by pool size: ``python -m benchmarks.pool [largest size]``.

Each waiting person asks for a different subject, so that no two fit and any number can wait. Then one person
after another arrives, in three cases:

- *anybody fits*: they ask for nothing, and are paired with the oldest;
- *nobody fits*: they ask for yet another subject, and are added to the pool;
- *met the last 16*: they ask for nothing, but have just met the 16 oldest; they are paired with the 17th.
  Each waiting person lists 16 people too.

Only the offers are timed; between them the pool is restored to its size. The result is the mean time of an
offer, in microseconds, in the fastest of several rounds, which other work of the machine disturbed least. The
table is written to benchmarks/results/pool.md. The last line of the output is the worst case: an offer by
somebody whom all of 10,000 waiting people have met.
"""

import gc
import sys
from collections.abc import Callable, Sequence
from itertools import count, islice
from time import perf_counter

import click

from benchmarks.pages import RESULTS, head, row
from studymatch.rules.pool import Pool, Ticket

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS = 25
OFFERS_PER_ROUND = 200
LISTED = 16
APART_S = 1e9  # no two people may meet again here: due pairs are not measured


class Door:
    open = True


numbers = count()


def ticket(apart: frozenset[str] = frozenset(), **criteria: str) -> Ticket[Door]:
    n = next(numbers)
    return Ticket(id=n, user=f"u{n}", door=Door(), since=n, entered=n, apart=apart, criteria=criteria)


def waiter(apart: frozenset[str] = frozenset()) -> Ticket[Door]:
    return ticket(apart, subject=f"s{next(numbers)}")


def offer_us(size: int, arrive: Callable[[Pool[Door]], Ticket[Door]], listed: int = 0) -> float:
    """The mean of an offer in the fastest round, in µs, with `size` waiting who list `listed` people each."""
    lists = (frozenset(f"u{n - back}" for back in range(listed)) for n in count())
    pool: Pool[Door] = Pool(APART_S)
    for _ in range(size):
        pool.offer(waiter(next(lists)), now=0)
    rounds = []
    gc.collect()
    gc.disable()  # as timeit does
    for _ in range(ROUNDS):
        spent_s = 0.0
        for _ in range(OFFERS_PER_ROUND):
            newcomer = arrive(pool)
            start = perf_counter()
            partner = pool.offer(newcomer, now=0)
            spent_s += perf_counter() - start
            if partner is None:
                pool.withdraw(newcomer.id)
            else:
                pool.offer(waiter(next(lists)), now=0)
        assert len(pool) == size
        rounds.append(spent_s / OFFERS_PER_ROUND * 1e6)
    gc.enable()
    return min(rounds)


def anybody_fits(size: int) -> float:
    return offer_us(size, lambda pool: ticket())


def nobody_fits(size: int) -> float:
    return offer_us(size, lambda pool: waiter())


def met_last(size: int) -> float:
    return offer_us(size, lambda pool: ticket(frozenset(t.user for t in islice(pool, LISTED))), LISTED)


def fame_us(size: int) -> float:
    """The cost, in µs per waiting person, of an offer by somebody whom all `size` waiting people have met."""
    pool: Pool[Door] = Pool(APART_S)
    for _ in range(size):
        pool.offer(waiter(frozenset({"ada"})), now=0)
    rounds = []
    for _ in range(ROUNDS):
        ada = Ticket(id="ada", user="ada", door=Door(), since=0, entered=0)
        start = perf_counter()
        pool.offer(ada, now=0)
        rounds.append((perf_counter() - start) / size * 1e6)
        pool.withdraw(ada.id)
    return min(rounds)


CASES = {"anybody fits": anybody_fits, "nobody fits": nobody_fits, "everybody met the last 16": met_last}

PAGE = RESULTS / "pool.md"
HEAD = """\
<!-- made by python -m benchmarks.pool -->

# An offer to the waiting pool

The time of one offer, by the number of people who wait. `benchmarks/pool.py` describes the three cases.

"""


def page(found: Sequence[tuple[int, Sequence[float]]]) -> str:
    """The text of the page, from the microseconds of each case by size."""
    rows = [row([f"{size:,}", *(f"{cost:.1f} µs" for cost in costs)]) for size, costs in found]
    titles, lines = head(["waiting", *CASES])
    return HEAD + "\n".join([titles, lines.replace("---", "---:", 1), *rows]) + "\n"


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    found = [(size, [case(size) for case in CASES.values()]) for size in SIZES if size <= most]
    text = page(found)
    if most >= SIZES[-1]:
        PAGE.write_text(text, encoding="utf-8")
    click.echo(text)
    click.echo(
        f"all have met: {fame_us(10_000):.1f} µs for each person skipped because they list the newcomer"
    )


if __name__ == "__main__":
    main()
