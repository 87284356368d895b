-- What analysts read with tools of their own (Superset): results that are released, turnout as the API tells it, outcomes by reason.
-- Their role reads these views and no table. Ids and names stand side by side: queries group by the id and show the name.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pollwire_analyst') THEN
    BEGIN
      CREATE ROLE pollwire_analyst NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END IF;
END $$;

-- A label is a name, with the id behind it where the name alone could be mistaken for another one: within the database for elections and
-- contests, within a contest for candidates, within an election for parties and regions. Ids have no brackets, so no two things have the
-- same label, and to group by a label is to group by the id.
CREATE VIEW results.election_labels AS
  SELECT e.election, e.name AS election_name,
    CASE WHEN e.name LIKE '%)' OR count(*) OVER (PARTITION BY e.name) > 1 THEN e.name || ' (' || e.election || ')' ELSE e.name END
      AS election_label
  FROM registry.elections e;

CREATE VIEW results.contest_labels AS
  SELECT c.election, c.contest, c.name AS contest_name,
    CASE WHEN c.name LIKE '%)' OR count(*) OVER (PARTITION BY c.name) > 1
      THEN c.name || ' (' || c.election || '/' || c.contest || ')' ELSE c.name END AS contest_label
  FROM registry.contests c;

CREATE VIEW results.region_labels AS
  SELECT r.election, r.region, r.name AS region_name,
    CASE WHEN r.name LIKE '%)' OR r.name = 'several regions' OR count(*) OVER (PARTITION BY r.election, r.name) > 1
      THEN r.name || ' (' || r.region || ')' ELSE r.name END AS region_label
  FROM registry.regions r;

CREATE VIEW results.candidate_labels AS
  SELECT c.election, c.contest, c.candidate, c.name AS candidate_name,
    CASE WHEN c.name LIKE '%)' OR c.name LIKE '%, withdrawn' OR count(*) OVER (PARTITION BY c.election, c.contest, c.name) > 1
      THEN c.name || ' (' || c.candidate || ')' ELSE c.name END || CASE c.status WHEN 'withdrawn' THEN ', withdrawn' ELSE '' END
      AS candidate_label,
    c.status = 'withdrawn' AS withdrawn, c.party, p.name AS party_name, coalesce(p.label, 'no party') AS party_label
  FROM registry.candidates c
  LEFT JOIN (
    SELECT q.election, q.party, q.name,
      CASE WHEN q.name LIKE '%)' OR q.name = 'no party' OR count(*) OVER (PARTITION BY q.election, q.name) > 1
        THEN q.name || ' (' || q.party || ')' ELSE q.name END AS label
    FROM registry.parties q
  ) p ON p.election = c.election AND p.party = c.party
  WHERE c.on_ballot;

CREATE VIEW results.candidate_results AS
  SELECT c.election, e.election_name, e.election_label, c.contest, o.contest_name, o.contest_label, c.candidate, c.candidate_name,
    c.candidate_label, c.withdrawn, c.party, c.party_name, c.party_label, coalesce(v.votes, 0) AS votes
  FROM results.candidate_labels c
  JOIN results.election_labels e ON e.election = c.election
  JOIN results.contest_labels o ON o.election = c.election AND o.contest = c.contest
  LEFT JOIN results.candidate_votes v ON v.election = c.election AND v.contest = c.contest AND v.candidate = c.candidate;

-- region is NULL for what is shown of several regions together.
CREATE VIEW results.region_results AS
  SELECT c.election, e.election_name, e.election_label, c.contest, o.contest_name, o.contest_label, c.candidate, c.candidate_name,
    c.candidate_label, c.withdrawn, c.party, c.party_name, c.party_label, s.region, g.region_name,
    coalesce(g.region_label, 'several regions') AS region_label, s.votes
  FROM (
    SELECT u.election, coalesce(t.region, u.region) AS region, v.contest, v.candidate, sum(v.votes)::bigint AS votes
    FROM results.current u
    JOIN results.releases r ON r.revision = u.revision
    LEFT JOIN registry.stations t ON t.election = u.election AND t.station = u.station
    CROSS JOIN jsonb_to_recordset(r.votes) AS v (contest text, candidate text, votes bigint)
    GROUP BY 1, 2, 3, 4
  ) s
  JOIN results.candidate_labels c ON c.election = s.election AND c.contest = s.contest AND c.candidate = s.candidate
  JOIN results.election_labels e ON e.election = s.election
  JOIN results.contest_labels o ON o.election = s.election AND o.contest = s.contest
  LEFT JOIN results.region_labels g ON g.election = s.election AND g.region = s.region;

-- Turnout by region, age group or gender, as aggregator/results/turnout.ts tells it: exact for k = 1; else regions have what is released
-- and, while nothing may be released, multiples of k, as age groups and genders always have. A function, and not a view, so that
-- neither a plan nor a condition shows anything of the rows below it.
CREATE FUNCTION results.turnout(wanted text) RETURNS TABLE (kind text, value text, registered bigint, voters bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH newest AS (
    SELECT m.manifest::jsonb AS manifest FROM registry.manifests m WHERE m.election = wanted ORDER BY m.version DESC LIMIT 1
  ),
  terms AS (
    SELECT greatest((n.manifest->>'releaseThreshold')::bigint, e.release_threshold, 1) AS k,
      (n.manifest->>'resultsBeforeClosing')::boolean OR e.final_at IS NOT NULL AS released
    FROM newest n LEFT JOIN results.elections e ON e.election = wanted
  ),
  roll AS (
    SELECT r.region, r.age_group, r.gender, count(*) AS registered FROM counting.roll r
    WHERE r.election = wanted AND (r.struck_at IS NULL OR r.struck_at > now()) GROUP BY 1, 2, 3
  ),
  voted AS (
    SELECT g.region, g.age_group, g.gender, sum(g.voters) AS voters FROM counting.turnout_groups g
    WHERE g.election = wanted GROUP BY 1, 2, 3
  ),
  groups AS (
    SELECT region, age_group, gender, registered, 0 AS voters FROM roll
    UNION ALL SELECT region, age_group, gender, 0, voters FROM voted
  ),
  sums AS (
    SELECT d.kind, d.value, sum(g.registered) AS registered, sum(g.voters) AS voters
    FROM groups g
    CROSS JOIN LATERAL (VALUES ('region', g.region), ('age', g.age_group), ('gender', g.gender)) AS d (kind, value)
    GROUP BY 1, 2
    UNION ALL
    SELECT 'region', p.region, 0, 0 FROM registry.regions p
    WHERE p.election = wanted AND NOT EXISTS (SELECT FROM groups g WHERE g.region = p.region)
  ),
  shown AS (
    SELECT coalesce(t.region, c.region) AS region, sum(c.voters) AS voters
    FROM results.current c LEFT JOIN registry.stations t ON t.election = c.election AND t.station = c.station
    WHERE c.election = wanted GROUP BY 1
  )
  SELECT s.kind, s.value, s.registered::bigint,
    (CASE WHEN s.kind = 'region' AND t.k > 1 AND t.released THEN coalesce(h.voters, 0) ELSE s.voters - s.voters % t.k END)::bigint
  FROM sums s CROSS JOIN terms t
  LEFT JOIN shown h ON s.kind = 'region' AND h.region = s.value
$$;

-- How the whole number of voters grew: minutes in which it reached another multiple of k.
CREATE FUNCTION results.turnout_by_minute(wanted text) RETURNS TABLE (minute timestamptz, voters bigint, total bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH terms AS (
    SELECT greatest((m.manifest::jsonb->>'releaseThreshold')::bigint, e.release_threshold, 1) AS k
    FROM registry.manifests m LEFT JOIN results.elections e ON e.election = m.election
    WHERE m.election = wanted ORDER BY m.version DESC LIMIT 1
  ),
  minutes AS (
    SELECT v.minute, sum(sum(v.voters)) OVER (ORDER BY v.minute) AS total FROM counting.minute_voters v
    WHERE v.election = wanted GROUP BY 1
  ),
  steps AS (SELECT m.minute, m.total - m.total % t.k AS total FROM minutes m CROSS JOIN terms t),
  grown AS (SELECT s.minute, s.total - lag(s.total, 1, 0::numeric) OVER (ORDER BY s.minute) AS voters, s.total FROM steps s)
  SELECT g.minute, g.voters::bigint, g.total::bigint FROM grown g WHERE g.voters <> 0
$$;

-- Records by what became of them, of all partitions together: what the reconciliation tells.
CREATE FUNCTION results.outcomes_of(wanted text) RETURNS TABLE (fate text, reason text, records bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.fate, c.reason, sum(c.records)::bigint FROM counting.outcome_counts c
  WHERE c.election = wanted GROUP BY 1, 2 HAVING sum(c.records) <> 0
$$;

CREATE VIEW results.region_turnout AS
  SELECT e.election, e.election_name, e.election_label, t.value AS region, g.region_name, coalesce(g.region_label, t.value) AS region_label,
    t.registered, t.voters
  FROM results.election_labels e CROSS JOIN LATERAL results.turnout(e.election) t
  LEFT JOIN results.region_labels g ON g.election = e.election AND g.region = t.value
  WHERE t.kind = 'region';

-- kind is age or gender; no two of them are told together.
CREATE VIEW results.group_turnout AS
  SELECT e.election, e.election_name, e.election_label, t.kind, t.value, t.registered, t.voters
  FROM results.election_labels e CROSS JOIN LATERAL results.turnout(e.election) t WHERE t.kind IN ('age', 'gender');

CREATE VIEW results.minute_turnout AS
  SELECT e.election, e.election_name, e.election_label, t.minute, t.voters, t.total
  FROM results.election_labels e CROSS JOIN LATERAL results.turnout_by_minute(e.election) t;

CREATE VIEW results.outcomes AS
  SELECT e.election, e.election_name, e.election_label, o.fate, o.reason, o.records
  FROM results.election_labels e CROSS JOIN LATERAL results.outcomes_of(e.election) o;

GRANT USAGE ON SCHEMA results TO pollwire_analyst;
GRANT SELECT (election, election_name, election_label, contest, contest_name, contest_label, candidate, candidate_name, candidate_label,
  withdrawn, party, party_name, party_label, votes) ON results.candidate_results TO pollwire_analyst;
GRANT SELECT (election, election_name, election_label, contest, contest_name, contest_label, candidate, candidate_name, candidate_label,
  withdrawn, party, party_name, party_label, region, region_name, region_label, votes) ON results.region_results TO pollwire_analyst;
GRANT SELECT (election, election_name, election_label, region, region_name, region_label, registered, voters) ON results.region_turnout
  TO pollwire_analyst;
GRANT SELECT (election, election_name, election_label, kind, value, registered, voters) ON results.group_turnout TO pollwire_analyst;
GRANT SELECT (election, election_name, election_label, minute, voters, total) ON results.minute_turnout TO pollwire_analyst;
GRANT SELECT (election, election_name, election_label, fate, reason, records) ON results.outcomes TO pollwire_analyst;
REVOKE ALL ON FUNCTION results.turnout(text), results.turnout_by_minute(text), results.outcomes_of(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION results.turnout(text), results.turnout_by_minute(text), results.outcomes_of(text) TO pollwire_analyst;
