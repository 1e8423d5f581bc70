-- Writes a scoring with everything that changes by it, or nothing of it, and only while what was read is still so.
-- SQLSTATE SF001: what was read is no longer so. SF002: another request won a claim. Both: read and decide again.
--
-- Lock order: passport; stamps of the cache; links by nullifier; registry_stamp; points, then the cap of MM2; score;
-- signatures by digest; what is kept.
--
-- p_plan, by name (scoring/write.py makes it): passport_id, score_id (null where there is none yet), community_id, address,
-- now, only_the_score (nothing else changes), live (versions of the live stamps as read), last_score_timestamp (as read),
-- replaced, posted, source_app, source_scorer_id, new_links, changed_links, gone (ids of registry_stamp), counting (ids of
-- stamps to copy; negative: the posted one of that place), awards, score, expiration_date, event ({model, pk, fields}),
-- dedup_events, awaited, unless_same, verified, forgotten, seen, kept, lock_timeout (how long a lock is waited for at
-- most; SQLSTATE 55P03 then). A name that is missing is null: older processes may
-- leave out what newer ones send.
--
-- Result: the passport, the ids of the posted stamps in their order, whether the score was left as it is (unless_same and
-- it already says so), and the SQLSTATE for which signatures were not remembered or the reading not kept: that never fails
-- the scoring, for each stands in a block of its own.
--
-- Indexes: registry_passport pkey and (address, community_id), registry_score pkey and (passport_id), registry_stamp pkey,
-- ceramic_cache_ceramiccache (type, address, provider) where live.
CREATE OR REPLACE FUNCTION scorer_fast_write_scoring_1(
    IN p_plan jsonb,
    OUT passport_id bigint, OUT new_ids bigint[], OUT is_left boolean, OUT not_remembered text
)
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '2s'
AS $function$
#variable_conflict use_column
DECLARE
    v_address text := p_plan ->> 'address';
    v_community bigint := (p_plan ->> 'community_id')::bigint;
    v_now timestamptz := (p_plan ->> 'now')::timestamptz;
    v_passport bigint := (p_plan ->> 'passport_id')::bigint;
    v_score bigint := (p_plan ->> 'score_id')::bigint;
    v_live text[] := string_to_array(p_plan ->> 'live', ' ');
    v_fields jsonb := p_plan #> '{event,fields}';
    v_event jsonb := p_plan -> 'event';
    v_new bigint[] := '{}';
    v_replaced bigint[];
    v_counting bigint[] := '{}';
    v_copies bigint[] := '{}';
    v_is_all boolean := COALESCE((p_plan ->> 'only_the_score')::boolean, FALSE);  -- the score is all that is written
    v_is_same boolean;
    v_done text := set_config('lock_timeout', COALESCE(p_plan ->> 'lock_timeout', '2s'), TRUE);
BEGIN
    is_left := FALSE;
    IF NOT v_is_all THEN
        IF v_passport IS NULL THEN
            INSERT INTO registry_passport (address, community_id)
            VALUES (v_address, v_community)
            ON CONFLICT (address, community_id) DO NOTHING
            RETURNING id INTO v_passport;
        ELSE
            SELECT p.id INTO v_passport FROM registry_passport AS p WHERE p.id = v_passport FOR NO KEY UPDATE;
        END IF;
        IF v_passport IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'another request created or removed the passport';
        END IF;

        IF p_plan -> 'replaced' <> '[]' THEN
            WITH gone AS (
                UPDATE ceramic_cache_ceramiccache AS c
                SET deleted_at = v_now,
                    updated_at = v_now
                WHERE c.address = v_address
                  AND c.type = 1
                  AND c.deleted_at IS NULL
                  AND c.provider = ANY (ARRAY(SELECT r.name FROM jsonb_array_elements_text(p_plan -> 'replaced') AS r (name)))
                RETURNING c.id
            )
            SELECT array_agg(g.id) INTO v_replaced FROM gone AS g;
            v_live := ARRAY(
                SELECT l.version
                FROM unnest(v_live) WITH ORDINALITY AS l (version, position)
                WHERE split_part(l.version, ',', 1)::bigint <> ALL (COALESCE(v_replaced, '{}'))
                ORDER BY l.position);
        END IF;
        IF p_plan -> 'posted' <> '[]' THEN
            WITH stored AS (
                INSERT INTO ceramic_cache_ceramiccache (
                    address, provider, stamp, created_at, updated_at, type, deleted_at,
                    compose_db_save_status, compose_db_stream_id,
                    proof_value, issuance_date, expiration_date, source_app, source_scorer_id)
                SELECT v_address, n.entry ->> 'provider', n.entry -> 'stamp', v_now, v_now, 1, NULL,
                       'pending', '',
                       n.entry ->> 'proof_value', (n.entry ->> 'issuance_date')::timestamptz,
                       (n.entry ->> 'expiration_date')::timestamptz,
                       (p_plan ->> 'source_app')::integer, (p_plan ->> 'source_scorer_id')::bigint
                FROM jsonb_array_elements(p_plan -> 'posted') WITH ORDINALITY AS n (entry, position)
                ORDER BY n.position
                RETURNING id
            )
            SELECT array_agg(s.id ORDER BY s.id) INTO v_new FROM stored AS s;
        END IF;

        IF p_plan -> 'new_links' <> '[]' OR p_plan -> 'changed_links' <> '[]' THEN
            v_done := scorer_fast_claim_1(v_address, v_community, p_plan -> 'new_links', p_plan -> 'changed_links');
        END IF;

        IF p_plan -> 'gone' <> '[]' THEN
            DELETE FROM registry_stamp AS s
            WHERE s.id = ANY (ARRAY(SELECT g.id::bigint FROM jsonb_array_elements_text(p_plan -> 'gone') AS g (id)));
        END IF;
        IF p_plan -> 'counting' <> '[]' THEN
            v_counting := ARRAY(
                SELECT CASE WHEN k.key::bigint < 0 THEN v_new[-k.key::bigint] ELSE k.key::bigint END
                FROM jsonb_array_elements_text(p_plan -> 'counting') AS k (key));
            WITH copied AS (
                INSERT INTO registry_stamp (passport_id, provider, credential)
                SELECT v_passport, c.provider, c.stamp
                FROM ceramic_cache_ceramiccache AS c
                WHERE c.id = ANY (v_counting)
                ORDER BY c.id
                RETURNING id
            )
            SELECT COALESCE(array_agg(s.id ORDER BY s.id), '{}') INTO v_copies FROM copied AS s;
            IF cardinality(v_copies) < cardinality(v_counting) THEN
                RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'a stamp is no longer there';
            END IF;
        END IF;

        IF p_plan -> 'awards' <> 'null' THEN
            v_done := scorer_fast_award_1(v_address, v_community, v_now, p_plan -> 'awards');
        END IF;
    END IF;

    -- What was read stands in the statement that writes the score: under READ COMMITTED a row that another transaction just
    -- changed is judged again in its new version, so a stale decision never overwrites a newer one.
    IF v_score IS NOT NULL THEN
        SELECT s.status = 'DONE' AND s.error IS NULL AND s.score = (p_plan ->> 'score')::integer
               AND s.evidence = v_fields -> 'evidence' AND s.stamp_scores = v_fields -> 'stamp_scores'
               AND s.stamps = v_fields -> 'stamps'
               AND s.expiration_date IS NOT DISTINCT FROM (p_plan ->> 'expiration_date')::timestamptz
        INTO v_is_same
        FROM registry_score AS s
        WHERE s.id = v_score
          AND v_is_all;
        IF v_is_same AND (p_plan ->> 'unless_same')::boolean THEN
            is_left := TRUE;
            v_score := (
                SELECT s.id
                FROM registry_score AS s
                CROSS JOIN scorer_fast_live_1(v_address, v_new) AS live
                WHERE s.id = v_score
                  AND s.last_score_timestamp IS NOT DISTINCT FROM (p_plan ->> 'last_score_timestamp')::timestamptz
                  AND live.versions = v_live);
        ELSE
            UPDATE registry_score AS s
            SET score = (p_plan ->> 'score')::integer,
                last_score_timestamp = v_now,
                status = 'DONE',
                error = NULL,
                evidence = v_fields -> 'evidence',
                stamp_scores = v_fields -> 'stamp_scores',
                stamps = v_fields -> 'stamps',
                expiration_date = (p_plan ->> 'expiration_date')::timestamptz
            FROM scorer_fast_live_1(v_address, v_new) AS live
            WHERE s.id = v_score
              AND s.passport_id = v_passport
              AND s.last_score_timestamp IS NOT DISTINCT FROM (p_plan ->> 'last_score_timestamp')::timestamptz
              AND live.versions = v_live
            RETURNING s.id INTO v_score;
        END IF;
    ELSE
        INSERT INTO registry_score (
            passport_id, score, last_score_timestamp, status, error,
            evidence, stamp_scores, stamps, expiration_date)
        SELECT v_passport, (p_plan ->> 'score')::integer, v_now, 'DONE', NULL,
               v_fields -> 'evidence', v_fields -> 'stamp_scores', v_fields -> 'stamps',
               (p_plan ->> 'expiration_date')::timestamptz
        FROM scorer_fast_live_1(v_address, v_new) AS live
        WHERE live.versions = v_live
        ON CONFLICT (passport_id) DO NOTHING
        RETURNING id INTO v_score;
        v_event := jsonb_set(jsonb_set(v_event, '{pk}', to_jsonb(v_score)), '{fields,passport}', to_jsonb(v_passport));
    END IF;
    IF v_score IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'stamps or score are no longer as they were read';
    END IF;
    IF NOT is_left AND p_plan -> 'dedup_events' <> '[]' THEN
        INSERT INTO registry_event (action, address, created_at, data, community_id)
        SELECT 'LDP', v_address, v_now, d.data, v_community
        FROM jsonb_array_elements(p_plan -> 'dedup_events') WITH ORDINALITY AS d (data, position)
        ORDER BY d.position;
    END IF;
    IF NOT is_left THEN
        INSERT INTO registry_event (action, address, created_at, data, community_id)
        VALUES ('SCU', v_address, v_now, v_event, v_community);
    END IF;
    -- A score that says what it said before need not wait for the disk. The setting ends with the transaction, so nothing
    -- stays behind in the session: a pooler may hand it to anyone.
    IF v_is_same AND NOT COALESCE((p_plan ->> 'awaited')::boolean, TRUE) THEN
        v_done := set_config('synchronous_commit', 'off', TRUE);
    END IF;

    -- Last of all locks, and never a reason for the score not to be written.
    IF p_plan -> 'verified' <> '[]' OR p_plan -> 'forgotten' <> '[]' THEN
        BEGIN
            v_done := scorer_fast_remember_1(p_plan -> 'verified', p_plan -> 'forgotten', v_now);
        EXCEPTION WHEN OTHERS THEN
            not_remembered := SQLSTATE;
        END;
    END IF;
    IF p_plan -> 'kept' <> 'null' AND not_remembered IS NULL THEN  -- it says of signatures that they are remembered
        BEGIN
            v_done := scorer_fast_keep_1(
                v_passport, v_community, v_address, v_now, string_to_array(p_plan ->> 'seen', ' '), p_plan -> 'kept',
                ARRAY(SELECT k.id::bigint FROM jsonb_array_elements_text(p_plan #> '{kept,live_ids}') AS k (id)) || v_new,
                ARRAY(SELECT k.id::bigint FROM jsonb_array_elements_text(p_plan #> '{kept,copy_ids}') AS k (id)) || v_copies);
        EXCEPTION WHEN OTHERS THEN
            not_remembered := SQLSTATE;
        END;
    END IF;
    passport_id := v_passport;
    new_ids := v_new;
END
$function$;
