"""Fills the tables of studymatch with a year of sessions and their people, by SQL inside PostgreSQL.

The rows are those that the product would have written: ids that sort by time, more sessions by day than by
night, sessions of half a minute with every cause of an end, and server processes that run for a day. The rows
are the same each time, relative to the current time. All sessions have ended.
"""

from __future__ import annotations

from studymatch.postgres.database import Connection

FEWEST = 1_000
"""With fewer sessions than this, the two people of a session might be the same."""

SESSIONS_EACH = 5
"""The mean number of sessions of a person."""

AROUND = 100
"""The largest distance between the two people of a session in the order of arrival."""

_FUNCTIONS = """
create function pg_temp.moment(share float8) returns timestamptz stable language sql as $$
    select now() - interval '1 hour' - interval '365 days'
        * (1 - share + 0.8 * sin(2 * pi() * 365 * share) / (2 * pi() * 365))
$$;
create function pg_temp.id_at(moment timestamptz, said text) returns uuid stable language sql as $$
    select (lpad(to_hex((1000 * date_part('epoch', moment))::bigint), 12, '0')
        || '7' || overlay(substr(md5(said), 1, 19) placing '8' from 4))::uuid
$$;
create function pg_temp.dice(number bigint, throw bigint) returns float8 immutable language sql as $$
    select (hashint8extended(number, throw) & 4294967295)::float8 / 4294967296::float8
$$;
create temporary table made (number bigint primary key, id uuid not null) on commit drop;
"""

_PEOPLE = """
with made_now as (
    insert into made
    select n, pg_temp.id_at(pg_temp.moment(n::float8 / %(people)s), 'person ' || n)
    from generate_series(0, %(people)s::bigint) as n
    returning number, id
)
insert into person (id, name, first_seen)
select id, 'Person ' || number, pg_temp.moment(number::float8 / %(people)s) from made_now
"""

_SESSIONS = """
insert into session (
    id, first_person, second_person, matched_at, connected_at, ended_at, cause, ended_by, node)
select
    pg_temp.id_at(matched, 'session ' || n), first, second, matched,
    case when connects then matched + connecting end,
    matched + connecting - interval '30 s' * ln(1 - pg_temp.dice(n, 4)),
    cause,
    case when cause in ('skipped', 'ended', 'lost', 'connect_failed') then first end,
    pg_temp.id_at(date_trunc('day', matched), 'node ' || n %% 2)
from generate_series(0, %(sessions)s::bigint - 1) as n,
lateral (select
    pg_temp.moment(n::float8 / %(sessions)s) as matched,
    %(around)s + floor((%(people)s - %(around)s) * n::float8 / %(sessions)s)::bigint as latest,
    1 + floor(pg_temp.dice(n, 1) * (%(around)s - 1))::bigint as apart,
    interval '1 s' * (0.3 + pg_temp.dice(n, 2)) as connecting,
    pg_temp.dice(n, 3) as fate offset 0) as basics,
lateral (select
    (select id from made where number = latest) as first,
    (select id from made where number = latest - apart) as second,
    fate >= 0.08 as connects,
    case
        when fate < 0.02 then 'connect_failed'
        when fate < 0.06 then 'connect_timeout'
        when fate < 0.08 then 'lost'
        when fate < 0.75 then 'skipped'
        when fate < 0.92 then 'ended'
        when fate < 0.99 then 'lost'
        when fate < 0.998 then 'restarting'
        else 'node_lost'
    end as cause offset 0) as story
"""

_NODES = """
insert into node (id, name, renewed_at, lease_until)
select node, 'a server', max(ended_at), max(ended_at) + interval '30 s' from session group by node
"""


def fill(connection: Connection, sessions: int) -> None:
    """Write `sessions` past sessions and their people into empty tables; then vacuum, analyze and checkpoint.

    `connection` is a superuser's.
    """
    if sessions < FEWEST:
        raise ValueError(f"expected {FEWEST:,} sessions or more, got {sessions:,}")
    numbers = {"sessions": sessions, "people": 2 * sessions // SESSIONS_EACH, "around": AROUND}
    connection.autocommit = True
    with connection.transaction():
        connection.execute(_FUNCTIONS)
        # No triggers, no foreign keys: ended sessions have no seats, and the people were just inserted.
        connection.execute("set local session_replication_role = replica")
        for statement in (_PEOPLE, _SESSIONS, _NODES):
            connection.execute(statement, numbers)
    connection.execute("vacuum (analyze)")
    connection.execute("checkpoint")
