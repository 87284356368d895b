-- A comparison asked for places twice, and each of them and of the lines read all releases again. One function reads them once: a row
-- without a party is a place with what hinders its comparison, one with a party a line of a place that is compared. The other two
-- give its rows.
CREATE FUNCTION history.compared(wanted text, wanted_contest text, wanted_past text, up_to bigint)
  RETURNS TABLE (region text, station text, party text, votes_then numeric, votes_now numeric, share_then numeric,
    share_now numeric, change numeric, ballots_then numeric, registered_then numeric, ballots_now numeric, registered_now bigint,
    linked numeric, why text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
  WITH then_votes AS MATERIALIZED (SELECT * FROM history.votes_then(wanted, wanted_contest, wanted_past)),
  units AS MATERIALIZED (SELECT * FROM history.units_now(wanted, wanted_contest, up_to)),
  now_votes AS MATERIALIZED (
    SELECT u.region, u.station, coalesce(c.party, '') AS party, sum(v.votes) AS votes
    FROM units u
    CROSS JOIN LATERAL jsonb_to_recordset(u.votes) AS v (contest text, candidate text, votes numeric)
    LEFT JOIN registry.candidates c ON c.election = wanted AND c.contest = v.contest AND c.candidate = v.candidate
    WHERE v.contest = wanted_contest GROUP BY 1, 2, 3
  ),
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
  ),
  judged AS MATERIALIZED (
    SELECT s.region, nullif(s.station, '') AS station, s.votes_then, s.votes_now, s.ballots AS ballots_now,
      t.ballots AS ballots_then, t.registered AS registered_then, s.registered AS registered_now,
      s.votes_then / nullif(s.votes_then + s.unplaced, 0) AS linked,
      CASE
        WHEN NOT final.made THEN 'not_final'
        WHEN s.is_together THEN 'together'
        WHEN s.votes_then + s.unplaced = 0 OR s.votes_now = 0 THEN 'no_votes'
        WHEN s.votes_then < 0.95 * (s.votes_then + s.unplaced) THEN 'not_linked'
      END AS why
    FROM sums s CROSS JOIN final
    LEFT JOIN turnout t ON t.region = s.region AND t.station = s.station
  ),
  lines AS MATERIALIZED (
    SELECT t.region, t.station, t.party, t.votes AS before, 0::numeric AS after FROM then_votes t
    UNION ALL
    SELECT n.region, n.station, n.party, 0, n.votes FROM now_votes n
  ),
  -- Of whole regions, by party: the rows of the election are sums of them.
  region_lines AS MATERIALIZED (
    SELECT l.region, l.party, sum(l.before) AS before, sum(l.after) AS after
    FROM judged p JOIN lines l ON l.region = p.region WHERE p.station IS NULL AND p.why IS NULL GROUP BY 1, 2
  ),
  line_sums AS (
    SELECT p.region, p.station, l.party, sum(l.before) AS before, sum(l.after) AS after
    FROM judged p JOIN lines l ON l.region = p.region AND l.station = p.station WHERE p.why IS NULL GROUP BY 1, 2, 3
    UNION ALL SELECT r.region, NULL, r.party, r.before, r.after FROM region_lines r
    UNION ALL SELECT NULL, NULL, r.party, sum(r.before), sum(r.after) FROM region_lines r GROUP BY 3
  ),
  shares AS (
    SELECT s.*, s.before / sum(s.before) OVER place AS share_before, s.after / sum(s.after) OVER place AS share_after
    FROM line_sums s WINDOW place AS (PARTITION BY s.region, s.station)
  )
  SELECT p.region, p.station, NULL::text, p.votes_then, p.votes_now, NULL::numeric, NULL::numeric, NULL::numeric, p.ballots_then,
    p.registered_then, p.ballots_now, p.registered_now, p.linked, p.why
  FROM judged p
  UNION ALL
  SELECT s.region, s.station, s.party, s.before, s.after, s.share_before, s.share_after, s.share_after - s.share_before, NULL, NULL,
    NULL, NULL, NULL, NULL
  FROM shares s WHERE s.before > 0 OR s.after > 0
$$;

CREATE OR REPLACE FUNCTION history.places(wanted text, wanted_contest text, wanted_past text, up_to bigint)
  RETURNS TABLE (region text, station text, votes_then numeric, votes_now numeric, ballots_now numeric,
    ballots_then numeric, registered_then numeric, registered_now bigint, linked numeric, why text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.region, c.station, c.votes_then, c.votes_now, c.ballots_now, c.ballots_then, c.registered_then, c.registered_now, c.linked,
    c.why
  FROM history.compared(wanted, wanted_contest, wanted_past, up_to) c WHERE c.party IS NULL
$$;

CREATE OR REPLACE FUNCTION history.compare(wanted text, wanted_contest text, wanted_past text, up_to bigint)
  RETURNS TABLE (region text, station text, party text, votes_then numeric, votes_now numeric, share_then numeric,
    share_now numeric, change numeric)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.region, c.station, c.party, c.votes_then, c.votes_now, c.share_then, c.share_now, c.change
  FROM history.compared(wanted, wanted_contest, wanted_past, up_to) c WHERE c.party IS NOT NULL
$$;

DROP FUNCTION history.votes_now(text, text, bigint);

REVOKE ALL ON FUNCTION history.compared(text, text, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION history.compared(text, text, text, bigint) TO pollwire_counter, pollwire_auditor, pollwire_server;
