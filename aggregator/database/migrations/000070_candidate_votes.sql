-- Votes of all releases together, by candidate, and so are marks (#blank and the like). Results of a whole election are read
-- from here: 3,694 stations with 68 contests have half a million lines, and this has 400.
CREATE TABLE results.candidate_votes (
  election text NOT NULL,
  contest text NOT NULL,
  candidate text NOT NULL,
  votes bigint NOT NULL,
  PRIMARY KEY (election, contest, candidate)
) WITH (fillfactor = 50);

-- Runs in the statement that writes releases, whoever writes them. So the sums are never ahead of the releases, or behind.
CREATE OR REPLACE FUNCTION results.sum_minutes() RETURNS trigger
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  WITH lines AS MATERIALIZED (
    SELECT r.election, v.contest, v.candidate, date_trunc('minute', r.released_at, 'UTC') AS minute, sum(v.added) AS added
    FROM written r CROSS JOIN jsonb_to_recordset(r.votes || r.marks) AS v (contest text, candidate text, added bigint)
    GROUP BY 1, 2, 3, 4
  ),
  minutes AS (
    INSERT INTO results.minute_votes AS m (election, contest, candidate, minute, added)
    SELECT election, contest, candidate, minute, added FROM lines WHERE candidate NOT LIKE '#%' ORDER BY 1, 2, 3, 4
    ON CONFLICT (election, contest, candidate, minute) DO UPDATE SET added = m.added + excluded.added
  )
  INSERT INTO results.candidate_votes AS c (election, contest, candidate, votes)
  SELECT election, contest, candidate, sum(added) FROM lines GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT (election, contest, candidate) DO UPDATE SET votes = c.votes + excluded.votes;
  RETURN NULL;
END $$;

INSERT INTO results.candidate_votes (election, contest, candidate, votes)
SELECT c.election, v.contest, v.candidate, sum(v.votes)
FROM results.current c JOIN results.releases r ON r.revision = c.revision
CROSS JOIN jsonb_to_recordset(r.votes || r.marks) AS v (contest text, candidate text, votes bigint)
GROUP BY 1, 2, 3;

GRANT SELECT, INSERT, UPDATE ON results.candidate_votes TO pollwire_counter;
GRANT SELECT ON results.candidate_votes TO pollwire_reader, pollwire_auditor, pollwire_server;
