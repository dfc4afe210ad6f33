"""The sweep: plays a scene once for each moment of a possible fault, with only this fault.

The first run has no fault and counts the moments: how often each actor is about to wait, gets or takes a
message, how often the matcher's pool changes, how often the ledger and its store act, and how often the
server reads from a connection or writes to it. Then the scene is played again for each of these moments.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.faults import Plan
from tests.simulation.plants import PLANTS
from tests.simulation.report import Report, Strike
from tests.simulation.scripts import SCENES
from tests.simulation.world import run

FOUND_IN_SCENES = {
    "call_begins_after_its_end": ("both skip at once, and a third is there", "Ben"),
    "words_in_flight_are_lost_in_a_restart": ("comes back while the partner speaks", "the hall"),
    "no_check_for_a_stale_offer": ("changes of mind while another searches", "the matcher"),
    "a_restart_counts_frames_that_had_no_turn": (
        "a chat and a skip while the line breaks",
        "the hall",
    ),
    "heard_a_moment_before_it_is_dealt_with": ("a call, and a skip", "the hall"),
    "resume_knows_only_the_last_number_of_a_frame": (
        "a hello arrives after that of a later connection",
        "Ada",
    ),
    "clients_that_do_not_read_keep_their_connection": ("stops reading while the partner speaks", "Ada"),
    "data_left_after_a_pause_are_not_handled": ("says more at once than the server handles", "Ada"),
    "rests_when_the_limit_and_the_loss_coincide": ("lost in the moment in which the limit passes", "Ada"),
}
"""Planted bugs that show only in one moment, which seeds rarely hit, and the sweep that finds each."""

FOUND_IN_ORDER = {"words_in_flight_are_lost_in_a_restart": 1}
"""The first order of simultaneous events that shows a planted bug in its scene, where it is not 0."""

FOUND_BY_SEED = {
    "an_overtaken_skip_costs_the_waiting_time": 103,
    "a_count_takes_no_turn": 800562,
    "coming_again_ends_the_wait": 229,
    "partner_pays_for_the_skip": 171,
    "search_is_let_before_the_wait_is_over": 229,
}
"""Planted bugs that few seeds show, and one such seed."""

FOUND_FIRST_BY_SEED = {
    "a_paused_connection_stays_paused": 22,
    "chat_is_not_kept_for_who_is_away": 6,
    "mailbox_keeps_what_nobody_reads": 5,
    "resume_forgets_what_was_said": 6,
    "resume_replays_twice": 6,
    "what_was_heard_is_not_handed_over": 3,
}
"""The first seed that shows a planted bug, where it is not one of the first three; it is played first."""


ORDERS = 6
"""The number of orders of simultaneous events in which a scene is played to find a planted bug."""


def play(scene: str, strike: Strike | None = None, seed: int = 0) -> Report:
    """Play a scene with at most one fault; `seed` draws the order of what happens at the same moment."""
    return run(seed, plan=Plan.scripted(SCENES[scene]), strike=strike)


def who(scene: str) -> list[str]:
    """Whom faults can concern in a scene."""
    return [*(script.name for script in SCENES[scene]), "the matcher", "the ledger", "the hall"]


def sweep(scene: str, whom: str, seed: int = 0) -> Iterator[tuple[Strike | None, Report]]:
    """Play a scene without a fault, then once with each possible fault that concerns `whom`."""
    undisturbed = play(scene, seed=seed)
    yield None, undisturbed
    for place, turns in undisturbed.places.items():
        if place.who == whom:
            for turn in range(1, turns + 1):
                strike = Strike(place, turn)
                yield strike, play(scene, strike, seed)


def how_to_repeat(scene: str, strike: Strike | None) -> str:
    """The command that repeats the run."""
    struck = f' --strike "{strike.place.who}" "{strike.place.what}" {strike.turn}' if strike else ""
    return f'python -m tests.simulation --scene "{scene}"{struck} --story'


def _first_of_all(first: int, numbers: int) -> list[int]:
    """The numbers from 0 on, but `first` before all others."""
    return sorted(range(numbers), key=lambda number: number != first)


def find(plant: str, seeds: int) -> tuple[str, Report] | None:
    """Where a planted bug is found: in the first `seeds` seeds, or in its scene. None: nowhere.

    What is known to find it is played first; the others only if that finds it no more.

    A run that ends with an exception does not count: the bug, or a check, may only have broken the run.
    """
    with PLANTS[plant]():
        if plant in FOUND_IN_SCENES:
            scene, whom = FOUND_IN_SCENES[plant]
            for seed in _first_of_all(FOUND_IN_ORDER.get(plant, 0), ORDERS):
                for number, (_, report) in enumerate(sweep(scene, whom, seed)):
                    if report.found:
                        return f"run {number + 1} of the scene \u201c{scene}\u201d in order {seed}", report
            return None
        known = FOUND_BY_SEED.get(plant)
        first = FOUND_FIRST_BY_SEED.get(plant, 0)
        for seed in _first_of_all(first, seeds) if known is None else [known]:
            report = run(seed)
            if report.found:
                return f"seed {seed}", report
    return None
