"""What one offer to the waiting pool costs, by how many wait: ``python -m benchmarks.pool [most waiting]``.

Everyone who waits asks for a subject of their own, so that they do not fit each other and any number can
wait. One person after another then arrives, in three cases:

- *anybody fits*: they ask for nothing, and are paired with the oldest;
- *nobody fits*: they ask for another subject of their own, and are put in;
- *met the last 16*: they ask for nothing, but have just met the 16 oldest; they are paired with the 17th.
  Everyone who waits lists 16 people too.

Only the offers are timed; between them the pool is brought back to its size. Printed is the mean of an
offer, in microseconds, in the quietest of several rounds: what is above it is the machine's other work.
The last line is the price of fame: an offer by somebody whom all of 10,000 people who wait have met.
"""

import gc
import sys
from collections.abc import Callable
from itertools import count, islice
from time import perf_counter

import click

from studymatch.rules.pool import Pool, Ticket

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS = 25
OFFERS_PER_ROUND = 200
LISTED = 16
APART_S = 1e9  # nobody comes of age here: due pairs are not what is measured


class Door:
    open = True


numbers = count()


def ticket(apart: frozenset[str] = frozenset(), **criteria: str) -> Ticket[Door]:
    n = next(numbers)
    return Ticket(id=n, user=f"u{n}", door=Door(), since=n, entered=n, apart=apart, criteria=criteria)


def waiter(apart: frozenset[str] = frozenset()) -> Ticket[Door]:
    return ticket(apart, subject=f"s{next(numbers)}")


def offer_us(size: int, arrive: Callable[[Pool[Door]], Ticket[Door]], listed: int = 0) -> float:
    """The mean of an offer in the quietest round, in µs, while `size` wait who list `listed` people each."""
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
    """What an offer by somebody whom all of the `size` people who wait have met costs for each of them."""
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


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    cases = {"anybody fits": anybody_fits, "nobody fits": nobody_fits, "met the last 16": met_last}
    click.echo("µs per offer, by how many wait")
    click.echo(f"{'waiting':>10}" + "".join(f"{name:>18}" for name in cases))
    for size in (size for size in SIZES if size <= most):
        click.echo(f"{size:>10,}" + "".join(f"{case(size):>18.1f}" for case in cases.values()))
    click.echo(f"fame: {fame_us(10_000):.1f} µs for each person passed over because they list who offers")


if __name__ == "__main__":
    main()
