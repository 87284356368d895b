-- Earlier elections, and how their units compare with those of an election that is counted here.
CREATE SCHEMA history;

-- imported: published results of which there are no votes here. counted: an election of this database, by what was released of it.
CREATE TABLE history.elections (
  past text PRIMARY KEY,
  name text NOT NULL,
  held_on date NOT NULL,
  kind text NOT NULL CHECK (kind IN ('imported', 'counted')),
  -- A file's name, or the election and the revision of its results.
  source text NOT NULL,
  -- Of the file's bytes, or of the results as canonical JSON.
  sha256 bytea NOT NULL CHECK (length(sha256) = 32),
  taken_at timestamptz NOT NULL
);

CREATE TABLE history.contests (
  past text NOT NULL REFERENCES history.elections,
  contest text NOT NULL,
  name text NOT NULL,
  PRIMARY KEY (past, contest)
);

CREATE TABLE history.parties (
  past text NOT NULL REFERENCES history.elections,
  party text NOT NULL,
  name text NOT NULL,
  PRIMARY KEY (past, party)
);

-- The places of which an earlier election has results. registered and ballots are NULL where the source does not say.
CREATE TABLE history.units (
  past text NOT NULL REFERENCES history.elections,
  unit text NOT NULL,
  name text NOT NULL,
  -- The region's name in the source; NULL where it names none.
  region text,
  registered bigint CHECK (registered >= 0),
  ballots bigint CHECK (ballots >= 0),
  PRIMARY KEY (past, unit)
);

CREATE TABLE history.results (
  past text NOT NULL,
  contest text NOT NULL,
  unit text NOT NULL,
  candidate text NOT NULL,
  party text,
  votes bigint NOT NULL CHECK (votes >= 0),
  PRIMARY KEY (past, contest, unit, candidate),
  FOREIGN KEY (past, contest) REFERENCES history.contests,
  FOREIGN KEY (past, unit) REFERENCES history.units,
  FOREIGN KEY (past, party) REFERENCES history.parties
);

-- Which contest of an election is compared with which of an earlier one.
CREATE TABLE history.comparisons (
  election text NOT NULL REFERENCES registry.elections,
  contest text NOT NULL,
  past text NOT NULL,
  past_contest text NOT NULL,
  PRIMARY KEY (election, contest, past),
  FOREIGN KEY (past, past_contest) REFERENCES history.contests (past, contest)
);

-- Where the votes of an earlier unit belong today. Without a station they are somewhere in the region, without a region they are
-- somewhere in the election, or outside of it.
CREATE TABLE history.unit_links (
  past text NOT NULL,
  unit text NOT NULL,
  election text NOT NULL REFERENCES registry.elections,
  link integer NOT NULL CHECK (link > 0),
  region text,
  station text,
  weight numeric NOT NULL CHECK (weight > 0 AND weight <= 1),
  -- name: names are equal; file: officials said so; none: nothing is known.
  method text NOT NULL CHECK (method IN ('name', 'file', 'none')),
  PRIMARY KEY (past, election, unit, link),
  FOREIGN KEY (past, unit) REFERENCES history.units,
  CHECK (station IS NULL OR region IS NOT NULL),
  CHECK ((method = 'none') = (region IS NULL))
);

-- An earlier party is one party today, or none. Several may have become one.
CREATE TABLE history.party_links (
  past text NOT NULL,
  past_party text NOT NULL,
  election text NOT NULL REFERENCES registry.elections,
  party text NOT NULL,
  method text NOT NULL CHECK (method IN ('name', 'file')),
  PRIMARY KEY (past, election, past_party),
  FOREIGN KEY (past, past_party) REFERENCES history.parties (past, party)
);

-- The weights of an earlier unit sum to 1, so links neither add votes nor lose any. Checked at the end of the transaction.
CREATE FUNCTION history.check_weights() RETURNS trigger
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  changed history.unit_links;
  total numeric;
BEGIN
  changed := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  SELECT sum(l.weight) INTO total FROM history.unit_links l
  WHERE l.past = changed.past AND l.election = changed.election AND l.unit = changed.unit;
  IF total <> 1 THEN
    RAISE EXCEPTION 'the weights of unit % of % must sum to 1, and sum to %', changed.unit, changed.past, total
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION history.check_weights() FROM PUBLIC;

CREATE CONSTRAINT TRIGGER weights AFTER INSERT OR UPDATE OR DELETE ON history.unit_links
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.check_weights();

-- What was taken over stays as it is.
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON history.elections FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept_whole BEFORE TRUNCATE ON history.elections FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON history.units FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept_whole BEFORE TRUNCATE ON history.units FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON history.results FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER kept_whole BEFORE TRUNCATE ON history.results FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- Votes of the earlier election where they belong today, by today's party. party is '' for candidates without a party today.
CREATE FUNCTION history.votes_then(wanted text, wanted_contest text, wanted_past text)
  RETURNS TABLE (region text, station text, party text, votes numeric)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT l.region, l.station, t.party, sum(t.votes * l.weight)
  FROM (
    SELECT r.unit, coalesce(p.party, '') AS party, sum(r.votes) AS votes
    FROM history.comparisons c
    JOIN history.results r ON r.past = c.past AND r.contest = c.past_contest
    LEFT JOIN history.party_links p ON p.past = r.past AND p.past_party = r.party AND p.election = c.election
    WHERE c.election = wanted AND c.contest = wanted_contest AND c.past = wanted_past
    GROUP BY 1, 2
  ) t
  JOIN history.unit_links l ON l.past = wanted_past AND l.election = wanted AND l.unit = t.unit
  GROUP BY 1, 2, 3
$$;

-- Units that showed the contest at a revision: ballots, and votes by candidate. Released figures, and nothing else.
CREATE FUNCTION history.units_now(wanted text, wanted_contest text, up_to bigint)
  RETURNS TABLE (region text, station text, members jsonb, ballots numeric, votes jsonb)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(s.region, r.region), r.station, r.members, m.ballots, r.votes
  FROM (
    SELECT DISTINCT ON (unit) station, region, members, votes, marks FROM results.releases
    WHERE election = wanted AND revision <= up_to ORDER BY unit, revision DESC
  ) r
  LEFT JOIN registry.stations s ON s.election = wanted AND s.station = r.station
  CROSS JOIN LATERAL (
    SELECT sum(v.votes) AS ballots FROM jsonb_to_recordset(r.marks) AS v (contest text, candidate text, votes numeric)
    WHERE v.contest = wanted_contest AND v.candidate = '#ballots'
  ) m
  WHERE m.ballots > 0
$$;

-- Votes at a revision by place and today's party. station is NULL for what is shown for several stations together.
CREATE FUNCTION history.votes_now(wanted text, wanted_contest text, up_to bigint)
  RETURNS TABLE (region text, station text, party text, votes numeric)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT u.region, u.station, coalesce(c.party, ''), sum(v.votes)
  FROM history.units_now(wanted, wanted_contest, up_to) u
  CROSS JOIN LATERAL jsonb_to_recordset(u.votes) AS v (contest text, candidate text, votes numeric)
  LEFT JOIN registry.candidates c ON c.election = wanted AND c.contest = v.contest AND c.candidate = v.candidate
  WHERE v.contest = wanted_contest GROUP BY 1, 2, 3
$$;

-- Whether the final release was made by a revision: then the places that it shows by themselves are complete.
CREATE FUNCTION history.is_final(wanted text, up_to bigint) RETURNS boolean
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (
    SELECT FROM results.elections e WHERE e.election = wanted AND e.final_at IS NOT NULL AND NOT EXISTS (
      SELECT FROM results.releases r WHERE r.election = wanted AND r.revision > up_to AND r.released_at <= e.final_at
    )
  )
$$;

-- Each place with what hinders its comparison, at a revision; station is NULL in the row of a region. linked: the votes that are
-- known to belong there, as a share of all that may belong there. why: not_final, together (not shown by itself), no_votes,
-- not_linked (less than 95 %: a station is compared with its region then); NULL: it is compared.
CREATE FUNCTION history.places(wanted text, wanted_contest text, wanted_past text, up_to bigint)
  RETURNS TABLE (region text, station text, votes_then numeric, votes_now numeric, ballots_now numeric,
    ballots_then numeric, registered_then numeric, registered_now bigint, linked numeric, why text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH then_votes AS MATERIALIZED (SELECT * FROM history.votes_then(wanted, wanted_contest, wanted_past)),
  units AS MATERIALIZED (SELECT * FROM history.units_now(wanted, wanted_contest, up_to)),
  now_votes AS MATERIALIZED (SELECT * FROM history.votes_now(wanted, wanted_contest, up_to)),
  together AS MATERIALIZED (
    SELECT DISTINCT 'station' AS kind, jsonb_array_elements_text(members->'stations') AS id FROM units WHERE members ? 'stations'
    UNION SELECT DISTINCT 'region', jsonb_array_elements_text(members->'regions') FROM units WHERE members ? 'regions'
  ),
  final AS MATERIALIZED (SELECT history.is_final(wanted, up_to) AS made),
  nowhere AS MATERIALIZED (SELECT coalesce(sum(votes), 0) AS votes FROM then_votes WHERE region IS NULL),
  somewhere AS MATERIALIZED (SELECT region, sum(votes) AS votes FROM then_votes WHERE station IS NULL GROUP BY 1),
  -- Sums of stations, and those of whole regions with '' for a station.
  then_sums AS MATERIALIZED (
    SELECT region, station, sum(votes) AS votes FROM then_votes WHERE station IS NOT NULL GROUP BY 1, 2
    UNION ALL SELECT region, '', sum(votes) FROM then_votes WHERE region IS NOT NULL GROUP BY 1
  ),
  now_sums AS MATERIALIZED (
    SELECT region, station, sum(votes) AS votes FROM now_votes WHERE station IS NOT NULL GROUP BY 1, 2
    UNION ALL SELECT region, '', sum(votes) FROM now_votes WHERE region IS NOT NULL GROUP BY 1
  ),
  ballot_sums AS MATERIALIZED (
    SELECT region, station, sum(ballots) AS ballots FROM units WHERE station IS NOT NULL GROUP BY 1, 2
    UNION ALL SELECT region, '', sum(ballots) FROM units WHERE region IS NOT NULL GROUP BY 1
  ),
  turnout AS MATERIALIZED (
    SELECT region, station, CASE WHEN known THEN ballots END AS ballots, CASE WHEN known THEN registered END AS registered
    FROM (
      SELECT l.region, p.station, bool_and(u.registered IS NOT NULL AND u.ballots IS NOT NULL) AS known,
        sum(u.ballots * l.weight) AS ballots, sum(u.registered * l.weight) AS registered
      FROM history.unit_links l
      JOIN history.units u ON u.past = l.past AND u.unit = l.unit
      CROSS JOIN LATERAL (SELECT '' AS station UNION ALL SELECT l.station WHERE l.station IS NOT NULL) p
      WHERE l.past = wanted_past AND l.election = wanted AND l.region IS NOT NULL GROUP BY 1, 2
    ) t
  ),
  roll AS MATERIALIZED (
    SELECT r.region, count(*) AS voters FROM counting.roll r
    WHERE r.election = wanted AND (SELECT made FROM final) AND (r.struck_at IS NULL OR r.struck_at > now()) GROUP BY 1
  ),
  places AS (
    SELECT s.region, s.station, s.registered::bigint AS registered FROM registry.stations s WHERE s.election = wanted
    UNION ALL
    SELECT g.region, '', r.voters FROM registry.regions g LEFT JOIN roll r ON r.region = g.region WHERE g.election = wanted
  ),
  sums AS (
    SELECT p.region, p.station, p.registered, coalesce(t.votes, 0) AS votes_then, coalesce(n.votes, 0) AS votes_now,
      coalesce(b.ballots, 0) AS ballots, nowhere.votes + CASE p.station WHEN '' THEN 0 ELSE coalesce(s.votes, 0) END AS unplaced,
      p.station IN (SELECT id FROM together WHERE kind = 'station') OR p.region IN (SELECT id FROM together WHERE kind = 'region')
        AS is_together
    FROM places p
    CROSS JOIN nowhere
    LEFT JOIN somewhere s ON s.region = p.region
    LEFT JOIN then_sums t ON t.region = p.region AND t.station = p.station
    LEFT JOIN now_sums n ON n.region = p.region AND n.station = p.station
    LEFT JOIN ballot_sums b ON b.region = p.region AND b.station = p.station
  )
  SELECT s.region, nullif(s.station, ''), s.votes_then, s.votes_now, s.ballots, t.ballots, t.registered, s.registered,
    s.votes_then / nullif(s.votes_then + s.unplaced, 0),
    CASE
      WHEN NOT final.made THEN 'not_final'
      WHEN s.is_together THEN 'together'
      WHEN s.votes_then = 0 OR s.votes_now = 0 THEN 'no_votes'
      WHEN s.votes_then < 0.95 * (s.votes_then + s.unplaced) THEN 'not_linked'
    END
  FROM sums s CROSS JOIN final
  LEFT JOIN turnout t ON t.region = s.region AND t.station = s.station
$$;

-- The comparison by place and party at a revision: places that are compared and no others. The rows without a region are the sum
-- of the regions that are compared: like for like. party is '' for candidates without a party.
CREATE FUNCTION history.compare(wanted text, wanted_contest text, wanted_past text, up_to bigint)
  RETURNS TABLE (region text, station text, party text, votes_then numeric, votes_now numeric, share_then numeric,
    share_now numeric, change numeric)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH places AS MATERIALIZED (
    SELECT p.region, p.station FROM history.places(wanted, wanted_contest, wanted_past, up_to) p WHERE p.why IS NULL
  ),
  lines AS MATERIALIZED (
    SELECT t.region, t.station, t.party, t.votes AS before, 0::numeric AS after
    FROM history.votes_then(wanted, wanted_contest, wanted_past) t
    UNION ALL
    SELECT n.region, n.station, n.party, 0, n.votes FROM history.votes_now(wanted, wanted_contest, up_to) n
  ),
  sums AS (
    SELECT p.region, p.station, l.party, sum(l.before) AS before, sum(l.after) AS after
    FROM places p JOIN lines l ON l.region = p.region AND l.station = p.station GROUP BY 1, 2, 3
    UNION ALL
    SELECT p.region, NULL, l.party, sum(l.before), sum(l.after)
    FROM places p JOIN lines l ON l.region = p.region WHERE p.station IS NULL GROUP BY 1, 3
    UNION ALL
    SELECT NULL, NULL, l.party, sum(l.before), sum(l.after)
    FROM places p JOIN lines l ON l.region = p.region WHERE p.station IS NULL GROUP BY 3
  ),
  shares AS (
    SELECT s.*, s.before / sum(s.before) OVER place AS share_before, s.after / sum(s.after) OVER place AS share_after
    FROM sums s WINDOW place AS (PARTITION BY s.region, s.station)
  )
  SELECT s.region, s.station, s.party, s.before, s.after, s.share_before, s.share_after, s.share_after - s.share_before
  FROM shares s WHERE s.before > 0 OR s.after > 0
$$;

-- Now, of every election and every earlier one that it is compared with. Times of releases are not in it.
CREATE VIEW history.comparison AS
  SELECT c.election, c.contest, c.past, v.region, v.station, v.party, v.votes_then, v.votes_now, v.share_then, v.share_now, v.change
  FROM history.comparisons c
  CROSS JOIN LATERAL history.compare(c.election, c.contest, c.past, 9223372036854775807) v;

CREATE VIEW history.compared_places AS
  SELECT c.election, c.contest, c.past, p.region, p.station, p.votes_then, p.votes_now, p.ballots_then, p.registered_then,
    p.ballots_now, p.registered_now, p.linked, p.why
  FROM history.comparisons c
  CROSS JOIN LATERAL history.places(c.election, c.contest, c.past, 9223372036854775807) p;

GRANT USAGE ON SCHEMA history TO pollwire_registrar, pollwire_counter, pollwire_reader, pollwire_auditor, pollwire_server;
GRANT SELECT, INSERT ON history.elections, history.contests, history.parties, history.units, history.results TO pollwire_registrar;
GRANT SELECT, INSERT, DELETE ON history.comparisons, history.unit_links, history.party_links TO pollwire_registrar;
GRANT SELECT ON history.elections, history.contests, history.parties, history.units, history.results, history.comparisons,
  history.unit_links, history.party_links TO pollwire_counter, pollwire_reader, pollwire_auditor, pollwire_server;
GRANT SELECT (election, contest, past, region, station, party, votes_then, votes_now, share_then, share_now, change)
  ON history.comparison TO pollwire_counter, pollwire_auditor, pollwire_server;
GRANT SELECT (election, contest, past, region, station, votes_then, votes_now, ballots_then, registered_then, ballots_now,
  registered_now, linked, why) ON history.compared_places TO pollwire_counter, pollwire_auditor, pollwire_server;
REVOKE ALL ON FUNCTION history.votes_then(text, text, text), history.units_now(text, text, bigint),
  history.votes_now(text, text, bigint), history.is_final(text, bigint), history.places(text, text, text, bigint),
  history.compare(text, text, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION history.votes_then(text, text, text), history.units_now(text, text, bigint),
  history.votes_now(text, text, bigint), history.is_final(text, bigint), history.places(text, text, text, bigint),
  history.compare(text, text, text, bigint) TO pollwire_counter, pollwire_auditor, pollwire_server;
