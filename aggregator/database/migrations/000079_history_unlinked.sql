-- A station to which no earlier vote is linked said that there were no votes, also where its region has votes that may be its own.
-- It is not_linked then: its region is compared in its place. The rest of the function is as it was.
CREATE OR REPLACE FUNCTION history.places(wanted text, wanted_contest text, wanted_past text, up_to bigint)
  RETURNS TABLE (region text, station text, votes_then numeric, votes_now numeric, ballots_now numeric,
    ballots_then numeric, registered_then numeric, registered_now bigint, linked numeric, why text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
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
      WHEN s.votes_then + s.unplaced = 0 OR s.votes_now = 0 THEN 'no_votes'
      WHEN s.votes_then < 0.95 * (s.votes_then + s.unplaced) THEN 'not_linked'
    END
  FROM sums s CROSS JOIN final
  LEFT JOIN turnout t ON t.region = s.region AND t.station = s.station
$$;
