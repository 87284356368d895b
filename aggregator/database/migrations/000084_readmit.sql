-- Officials admit records after all that one of their decisions rejected: the fourth ruling.
ALTER TABLE registry.decisions DROP CONSTRAINT decisions_action_check;
ALTER TABLE registry.decisions ADD CONSTRAINT decisions_action_check
  CHECK (action IN ('admit', 'reject', 'defer', 'readmit', 'waive'));

-- The streaming recount keeps which records were rejected so, with the reason by_decision: one of them may count later. They are not held.
CREATE OR REPLACE VIEW recount.differences AS
WITH place AS (
  SELECT election, partition, coalesce(c.next_offset, 0) AS counted, coalesce(r.next_offset, 0) AS recounted
  FROM recount.streams JOIN counting.log_positions c USING (election) LEFT JOIN recount.positions r USING (election, partition)
),
level AS (
  SELECT election FROM place GROUP BY election HAVING bool_and(counted = recounted)
),
tables AS (
  SELECT election, 'records read of partition ' || partition AS line, records_read AS value
  FROM counting.log_positions
  UNION ALL
  SELECT election, 'outcomes ' || partition || '/' || fate || CASE reason WHEN '' THEN '' ELSE '/' || reason END, records
  FROM counting.outcome_counts
  UNION ALL
  SELECT t.election, 'votes ' || o.contest || '/' || o.candidate || '/' || t.station || '/' || t.mode, sum(o.votes)::bigint
  FROM counting.tallies t JOIN counting.layouts l USING (election, layout)
    CROSS JOIN LATERAL unnest(l.contests, l.candidates, t.votes) AS o (contest, candidate, votes)
  GROUP BY 1, 2
  UNION ALL
  SELECT election, 'turnout ' || station || '/' || mode || '/' || to_char(minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'),
    sum(voters)::bigint
  FROM counting.turnout_counts GROUP BY 1, 2
  UNION ALL
  SELECT election, 'groups ' || region || '/' || age_group || '/' || gender, sum(voters)::bigint
  FROM counting.turnout_groups GROUP BY 1, 2
  UNION ALL
  SELECT election, 'held ' || partition || '/' || log_offset || '/' || record_index || ' ' || reason, 1 FROM counting.held
),
stream AS (
  SELECT election, 'records read of partition ' || partition AS line, records_read AS value FROM recount.positions
  UNION ALL
  SELECT election, 'outcomes ' || partition || '/' || fate || CASE reason WHEN '' THEN '' ELSE '/' || reason END, records
  FROM recount.outcomes
  UNION ALL
  SELECT election, 'votes ' || contest || '/' || candidate || '/' || station || '/' || mode, votes FROM recount.votes
  UNION ALL
  SELECT election, 'turnout ' || station || '/' || mode || '/' || to_char(minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'),
    voters
  FROM recount.turnout
  UNION ALL
  SELECT election, 'groups ' || region || '/' || age_group || '/' || gender, voters FROM recount.groups
  UNION ALL
  SELECT election, 'held ' || partition || '/' || log_offset || '/' || record_index || ' ' || reason, 1 FROM recount.held
  WHERE reason <> 'by_decision'
),
who AS (
  SELECT c.election, count(*) AS voters
  FROM counting.participations c JOIN level USING (election)
    LEFT JOIN recount.participations r USING (election, voter_key)
  WHERE r.vote_id IS DISTINCT FROM c.vote_id GROUP BY 1
),
others AS (
  SELECT r.election, count(*) AS voters
  FROM recount.participations r JOIN level USING (election)
    LEFT JOIN counting.participations c USING (election, voter_key)
  WHERE c.vote_id IS NULL GROUP BY 1
)
SELECT election, 'partition ' || partition || ' next offset' AS line, counted AS tables, recounted AS stream
FROM place WHERE counted <> recounted
UNION ALL
SELECT election, line, coalesce(t.value, 0), coalesce(s.value, 0)
FROM (SELECT tables.* FROM tables JOIN level USING (election)) t
  FULL JOIN (SELECT stream.* FROM stream JOIN level USING (election)) s USING (election, line)
WHERE coalesce(t.value, 0) <> coalesce(s.value, 0)
UNION ALL
SELECT election, 'voters who count in the tables only, or by another vote id', voters, 0 FROM who
UNION ALL
SELECT election, 'voters who count in the stream only', 0, voters FROM others;
