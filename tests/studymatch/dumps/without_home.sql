SELECT pg_catalog.set_config('search_path', '', false);

CREATE FUNCTION public.leave_seats() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    delete from seat using changed
    where seat.session = changed.id and (tg_op = 'DELETE' or changed.ended_at is not null);
    return null;
end
$$;

CREATE FUNCTION public.session_stands() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if old.ended_at is not null then
        raise exception 'session % has ended, and a session ends once', old.id using errcode = 'check_violation';
    end if;
    raise exception 'who is in session %, and since when, cannot change', old.id using errcode = 'check_violation';
end
$$;

CREATE FUNCTION public.take_seats() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE TABLE public.node (
    id uuid NOT NULL,
    name text NOT NULL,
    renewed_at timestamp with time zone NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    CONSTRAINT node_check CHECK ((lease_until >= renewed_at)),
    CONSTRAINT node_name_check CHECK ((name <> ''::text))
);

COMMENT ON TABLE public.node IS 'One row for each life of a server process. Sessions of a node without a lease are abandoned.';

COMMENT ON COLUMN public.node.name IS 'What stays the same when the process is started again.';

CREATE TABLE public.person (
    id uuid NOT NULL,
    name text NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    CONSTRAINT person_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 40)))
);

COMMENT ON TABLE public.person IS 'Everybody who ever came, a guest of one browser tab each.';

CREATE TABLE public.schema_version (
    single boolean DEFAULT true NOT NULL,
    version integer NOT NULL,
    CONSTRAINT schema_version_single_check CHECK (single)
);

COMMENT ON TABLE public.schema_version IS 'One row: the version of the tables of studymatch.';

CREATE TABLE public.seat (
    person uuid NOT NULL,
    session uuid NOT NULL
);

COMMENT ON TABLE public.seat IS 'Who is in which open session. The primary key is the rule: nobody is in two.';

CREATE TABLE public.session (
    id uuid NOT NULL,
    first_person uuid NOT NULL,
    second_person uuid NOT NULL,
    matched_at timestamp with time zone NOT NULL,
    connected_at timestamp with time zone,
    ended_at timestamp with time zone,
    cause text,
    ended_by uuid,
    node uuid NOT NULL,
    CONSTRAINT session_cause_is_known CHECK ((cause = ANY (ARRAY['skipped'::text, 'ended'::text, 'lost'::text, 'connect_timeout'::text, 'connect_failed'::text, 'restarting'::text, 'node_lost'::text]))),
    CONSTRAINT session_connects_after_match CHECK ((connected_at >= matched_at)),
    CONSTRAINT session_end_has_cause CHECK (((ended_at IS NULL) = (cause IS NULL))),
    CONSTRAINT session_ender_fits_cause CHECK (((ended_by IS NULL) OR ((cause IS NOT NULL) AND (cause = ANY (ARRAY['skipped'::text, 'ended'::text, 'lost'::text, 'connect_failed'::text]))))),
    CONSTRAINT session_ender_is_known CHECK (((cause <> ALL (ARRAY['skipped'::text, 'ended'::text])) OR (ended_by IS NOT NULL))),
    CONSTRAINT session_ender_took_part CHECK (((ended_by = first_person) OR (ended_by = second_person))),
    CONSTRAINT session_ends_after_connecting CHECK ((ended_at >= connected_at)),
    CONSTRAINT session_ends_after_match CHECK ((ended_at >= matched_at)),
    CONSTRAINT session_needs_two_people CHECK ((first_person <> second_person))
);

COMMENT ON TABLE public.session IS 'One row for each pairing of two people: matched, then perhaps connected, then ended.';

COMMENT ON COLUMN public.session.cause IS 'Why it ended; ''skipped'' and the like are the act of ended_by.';

COMMENT ON COLUMN public.session.ended_by IS 'The person who ended it; null where nobody did.';

COMMENT ON COLUMN public.session.node IS 'The life of the server process in which the two were matched.';

INSERT INTO public.node VALUES ('00000000-0000-7000-a000-000000000000', 'host:8000', '2026-01-01 12:09:00+00', '2026-01-01 12:10:00+00');

INSERT INTO public.person VALUES ('00000000-0000-7000-8000-000000000000', 'Ada', '2026-01-01 11:00:00+00');
INSERT INTO public.person VALUES ('00000000-0000-7000-8000-000000000001', 'Ben', '2026-01-01 11:30:00+00');
INSERT INTO public.person VALUES ('00000000-0000-7000-8000-000000000002', 'Čem 🦉', '2026-01-02 11:30:00+00');

INSERT INTO public.schema_version VALUES (true, 1);

INSERT INTO public.seat VALUES ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-9000-000000000001');
INSERT INTO public.seat VALUES ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-9000-000000000001');

INSERT INTO public.session VALUES ('00000000-0000-7000-9000-000000000000', '00000000-0000-7000-8000-000000000000', '00000000-0000-7000-8000-000000000001', '2026-01-01 12:00:00+00', '2026-01-01 12:00:05+00', '2026-01-01 12:05:00+00', 'skipped', '00000000-0000-7000-8000-000000000000', '00000000-0000-7000-a000-000000000000');
INSERT INTO public.session VALUES ('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', '2026-01-01 12:06:00+00', '2026-01-01 12:06:05+00', NULL, NULL, NULL, '00000000-0000-7000-a000-000000000000');

ALTER TABLE ONLY public.node
    ADD CONSTRAINT node_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.person
    ADD CONSTRAINT person_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.seat
    ADD CONSTRAINT seat_pkey PRIMARY KEY (person);

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (id);

CREATE INDEX seat_by_session ON public.seat USING btree (session);

CREATE INDEX session_open_by_node ON public.session USING btree (node) WHERE (ended_at IS NULL);

CREATE TRIGGER session_left_seats AFTER UPDATE ON public.session REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.leave_seats();

CREATE TRIGGER session_stands BEFORE UPDATE ON public.session FOR EACH ROW WHEN (((old.ended_at IS NOT NULL) OR (((((old.id IS DISTINCT FROM new.id) OR (old.first_person IS DISTINCT FROM new.first_person)) OR (old.second_person IS DISTINCT FROM new.second_person)) OR (old.matched_at IS DISTINCT FROM new.matched_at)) OR (old.node IS DISTINCT FROM new.node)) OR ((old.connected_at IS NOT NULL) AND (old.connected_at IS DISTINCT FROM new.connected_at)))) EXECUTE FUNCTION public.session_stands();

CREATE TRIGGER session_took_seats AFTER INSERT ON public.session REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.take_seats();

CREATE TRIGGER session_vanished AFTER DELETE ON public.session REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.leave_seats();

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_first_person_fkey FOREIGN KEY (first_person) REFERENCES public.person(id);

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_second_person_fkey FOREIGN KEY (second_person) REFERENCES public.person(id);
