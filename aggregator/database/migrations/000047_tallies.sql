-- The count of a station and mode as one row: votes of all options in one array, and voters beside it.

-- Which option each number of a tally belongs to: contests[n] and candidates[n] name votes[n]. A layout never changes:
-- another ballot, and a ballot to which a later manifest adds a candidate, has a layout of its own.
CREATE TABLE counting.layouts (
  election text NOT NULL,
  -- Made from the options, so every process finds the same one: aggregator/counting/layouts.ts.
  layout bigint NOT NULL,
  -- The first so many options are the ballots of each contest.
  ballots integer NOT NULL CHECK (ballots >= 0),
  contests text[] NOT NULL,
  -- Candidates, or marks (shared/marks.ts).
  candidates text[] NOT NULL CHECK (cardinality(candidates) = cardinality(contests)),
  PRIMARY KEY (election, layout)
);
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON counting.layouts
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();

-- A lane is a counting connection: two of them never wait for one another's rows. Readers sum lanes and layouts.
CREATE TABLE counting.tallies (
  election text NOT NULL,
  station text NOT NULL,
  mode text NOT NULL,
  layout bigint NOT NULL,
  lane smallint NOT NULL,
  voters bigint NOT NULL CHECK (voters >= 0),
  -- Of one lane of one station and mode: 2 147 483 647 is enough.
  votes integer[] NOT NULL CHECK (0 <= ALL (votes)),
  PRIMARY KEY (election, station, mode, layout, lane),
  FOREIGN KEY (election, layout) REFERENCES counting.layouts
) WITH (fillfactor = 70);

CREATE TEMPORARY TABLE old_options ON COMMIT DROP AS
SELECT election, station, contest, candidate, row_number() OVER (
  PARTITION BY election, station ORDER BY candidate <> '#ballots', contest COLLATE "C", candidate COLLATE "C"
) AS slot
FROM (SELECT DISTINCT election, station, contest, candidate FROM counting.station_counts) o;

CREATE TEMPORARY TABLE old_layouts ON COMMIT DROP AS
SELECT election, station, count(slot) FILTER (WHERE candidate = '#ballots') AS ballots,
  coalesce(array_agg(contest ORDER BY slot) FILTER (WHERE slot IS NOT NULL), '{}') AS contests,
  coalesce(array_agg(candidate ORDER BY slot) FILTER (WHERE slot IS NOT NULL), '{}') AS candidates,
  ('x' || left(encode(sha256(convert_to(
    coalesce(string_agg(contest || '/' || candidate, ',' ORDER BY slot), ''), 'UTF8'
  )), 'hex'), 16))::bit(64)::bigint AS layout
FROM (SELECT election, station FROM counting.station_counts UNION SELECT election, station FROM counting.station_voters) s
LEFT JOIN old_options USING (election, station)
GROUP BY election, station;

INSERT INTO counting.layouts (election, layout, ballots, contests, candidates)
SELECT DISTINCT election, layout, ballots, contests, candidates FROM old_layouts;

INSERT INTO counting.tallies (election, station, mode, layout, lane, voters, votes)
SELECT election, station, mode, layout, lane, coalesce(v.voters, 0), coalesce(c.votes, '{}')
FROM (
  SELECT election, station, mode, lane FROM counting.station_counts
  UNION SELECT election, station, mode, lane FROM counting.station_voters
) r
JOIN old_layouts USING (election, station)
LEFT JOIN counting.station_voters v USING (election, station, mode, lane)
LEFT JOIN (
  SELECT election, station, mode, lane, array_agg(coalesce(n.votes, 0)::integer ORDER BY slot) AS votes
  FROM (
    SELECT DISTINCT election, station, mode, lane FROM counting.station_counts
    UNION SELECT election, station, mode, lane FROM counting.station_voters
  ) every
  JOIN old_options USING (election, station)
  LEFT JOIN counting.station_counts n USING (election, station, mode, lane, contest, candidate)
  GROUP BY election, station, mode, lane
) c USING (election, station, mode, lane);

DROP TABLE counting.station_counts, counting.station_voters;

CREATE OR REPLACE FUNCTION counting.ballots_of(wanted text) RETURNS TABLE (contest text, ballots bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$ SELECT o.contest, sum(o.votes)::bigint
    FROM counting.tallies t JOIN counting.layouts l ON l.election = t.election AND l.layout = t.layout
    CROSS JOIN LATERAL unnest(l.contests[1:l.ballots], t.votes[1:l.ballots]) AS o (contest, votes)
    WHERE t.election = wanted AND o.votes > 0 GROUP BY o.contest $$;

GRANT SELECT, INSERT ON counting.layouts TO pollwire_counter;
GRANT SELECT, INSERT, UPDATE ON counting.tallies TO pollwire_counter;
GRANT SELECT ON counting.layouts, counting.tallies TO pollwire_auditor;
GRANT SELECT (election, station, voters) ON counting.tallies TO pollwire_server;
