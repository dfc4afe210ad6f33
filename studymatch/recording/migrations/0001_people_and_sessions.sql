-- People, sessions and nodes, for PostgreSQL 14 and later. Programs without numbered migrations ran this script
-- at every start, so it can be run on their tables: what is there stays as it is.
--
-- Which rules are held here, and how:
--   nobody has a session with themselves ............ check on session
--   a session cannot be connected before its match,
--   nor end before it was matched or connected ...... check on session
--   an end has a cause, and a cause has an end ...... check on session
--   a session ends once, and does not change after .. trigger session_stands
--   nobody is in two open sessions .................. primary key of seat, which triggers fill and empty
--
-- Every statement that runs while people meet goes by a primary key or a partial index of open sessions, so
-- that the number of past sessions does not matter.

create table if not exists schema_version (
    single boolean primary key default true check (single),
    version integer not null
);
insert into schema_version (version) values (1)
on conflict (single) do update set version = excluded.version where schema_version.version < excluded.version;
comment on table schema_version is 'One row: the version of the tables of studymatch.';

create table if not exists person (
    id uuid primary key,
    name text not null check (char_length(name) between 1 and 40),
    first_seen timestamptz not null
);
comment on table person is 'Everybody who was ever matched, a guest of one browser tab each.';
comment on column person.first_seen is 'Their first match; in rows of earlier versions, when they came.';

create table if not exists node (
    id uuid primary key,
    name text not null check (name <> ''),
    renewed_at timestamptz not null,
    lease_until timestamptz not null,
    check (lease_until >= renewed_at)
);
comment on table node is 'One row for each life of a server process. Sessions of a node without a lease are abandoned.';
alter table node add column if not exists home uuid;
comment on column node.name is 'Host and port, for people.';
comment on column node.home is 'The data folder: what stays the same when the process is started again.';

create table if not exists session (
    id uuid primary key,
    first_person uuid not null references person (id),
    second_person uuid not null references person (id),
    matched_at timestamptz not null,
    connected_at timestamptz,
    ended_at timestamptz,
    cause text,
    ended_by uuid,
    -- No foreign key: a node that never reached the database may have left sessions in its spill file.
    node uuid not null,
    constraint session_needs_two_people check (first_person <> second_person),
    constraint session_connects_after_match check (connected_at >= matched_at),
    constraint session_ends_after_match check (ended_at >= matched_at),
    constraint session_ends_after_connecting check (ended_at >= connected_at),
    constraint session_end_has_cause check ((ended_at is null) = (cause is null)),
    constraint session_cause_is_known check (
        cause in ('skipped', 'ended', 'lost', 'connect_timeout', 'connect_failed', 'restarting', 'node_lost')
    ),
    constraint session_ender_took_part check (ended_by in (first_person, second_person)),
    constraint session_ender_fits_cause check (
        ended_by is null or (cause is not null and cause in ('skipped', 'ended', 'lost', 'connect_failed'))
    ),
    constraint session_ender_is_known check (cause not in ('skipped', 'ended') or ended_by is not null)
);
comment on table session is 'One row for each pairing of two people: matched, then perhaps connected, then ended.';
comment on column session.cause is 'Why it ended; ''skipped'' and the like are the act of ended_by.';
comment on column session.ended_by is 'The person who ended it; null where nobody did.';
comment on column session.node is 'The life of the server process in which the two were matched.';

create index if not exists session_open_by_node on session (node) where ended_at is null;

create table if not exists seat (
    person uuid primary key,
    -- No foreign key: only the triggers below write here, and checking their work would double its cost.
    session uuid not null
);
comment on table seat is 'Who is in which open session. The primary key is the rule: nobody is in two.';

create index if not exists seat_by_session on seat (session);

-- The seats follow the sessions: once for each statement, not for each row, so that batches stay quick.

create or replace function take_seats() returns trigger language plpgsql as $$
begin
    insert into seat (person, session)
    select taken.person, taken.session
    from (
        select first_person as person, id as session from changed where ended_at is null
        union all
        select second_person, id from changed where ended_at is null
    ) as taken
    order by taken.person;
    return null;
end
$$;

create or replace function leave_seats() returns trigger language plpgsql as $$
begin
    delete from seat using changed
    where seat.session = changed.id and (tg_op = 'DELETE' or changed.ended_at is not null);
    return null;
end
$$;

create or replace function session_stands() returns trigger language plpgsql as $$
begin
    if old.ended_at is not null then
        raise exception 'session % has ended, and a session ends once', old.id using errcode = 'check_violation';
    end if;
    raise exception 'who is in session %, and since when, cannot change', old.id using errcode = 'check_violation';
end
$$;

create or replace trigger session_took_seats
after insert on session referencing new table as changed
for each statement execute function take_seats();

create or replace trigger session_left_seats
after update on session referencing new table as changed
for each statement execute function leave_seats();

create or replace trigger session_vanished
after delete on session referencing old table as changed
for each statement execute function leave_seats();

create or replace trigger session_stands
before update on session
for each row
when (
    old.ended_at is not null
    or (old.id, old.first_person, old.second_person, old.matched_at, old.node)
        is distinct from (new.id, new.first_person, new.second_person, new.matched_at, new.node)
    or (old.connected_at is not null and old.connected_at is distinct from new.connected_at)
)
execute function session_stands();
