-- Sums that readers ask for and that would otherwise be made from every release, or from every station and minute.

-- Votes that all releases of a minute added, by candidate. A withdrawal adds negative votes. Only whole elections are summed:
-- a region's stations come from the newest manifest, so a part is summed from its own releases, by the index below.
CREATE TABLE results.minute_votes (
  election text NOT NULL,
  contest text NOT NULL,
  candidate text NOT NULL,
  minute timestamptz NOT NULL,
  added bigint NOT NULL,
  PRIMARY KEY (election, contest, candidate, minute)
) WITH (fillfactor = 70);

CREATE INDEX releases_of_station ON results.releases (election, station);

-- Runs in the statement that writes releases, whoever writes them. So the sums are never ahead of the releases, or behind.
CREATE FUNCTION results.sum_minutes() RETURNS trigger
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO results.minute_votes AS m (election, contest, candidate, minute, added)
  SELECT r.election, v.contest, v.candidate, date_trunc('minute', r.released_at, 'UTC'), sum(v.added)
  FROM written r CROSS JOIN jsonb_to_recordset(r.votes) AS v (contest text, candidate text, added bigint)
  GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
  ON CONFLICT (election, contest, candidate, minute) DO UPDATE SET added = m.added + excluded.added;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION results.sum_minutes() FROM PUBLIC;

INSERT INTO results.minute_votes (election, contest, candidate, minute, added)
SELECT r.election, v.contest, v.candidate, date_trunc('minute', r.released_at, 'UTC'), sum(v.added)
FROM results.releases r CROSS JOIN jsonb_to_recordset(r.votes) AS v (contest text, candidate text, added bigint)
GROUP BY 1, 2, 3, 4;

CREATE TRIGGER summed AFTER INSERT ON results.releases REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION results.sum_minutes();

-- Voters by the minute of acceptance, of all stations. Written with counting.turnout_counts, in the same statement.
CREATE TABLE counting.minute_voters (
  election text NOT NULL,
  minute timestamptz NOT NULL,
  lane smallint NOT NULL,
  voters bigint NOT NULL CHECK (voters >= 0),
  PRIMARY KEY (election, minute, lane)
) WITH (fillfactor = 70);

INSERT INTO counting.minute_voters (election, minute, lane, voters)
SELECT election, minute, lane, sum(voters) FROM counting.turnout_counts GROUP BY 1, 2, 3;

GRANT SELECT, INSERT, UPDATE ON results.minute_votes, counting.minute_voters TO pollwire_counter;
GRANT SELECT ON results.minute_votes TO pollwire_reader;
GRANT SELECT ON results.minute_votes, counting.minute_voters TO pollwire_auditor;
GRANT SELECT ON results.minute_votes TO pollwire_server;
GRANT SELECT (election, minute, voters) ON counting.minute_voters TO pollwire_server;
