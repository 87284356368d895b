"""What PostgreSQL says: every query of a recount, and no other file has one.

Each query of `TABLES` has the columns key (text) and value (text or bigint), one row a line that is compared. A line
that is 0 may be left out. `{election}` is replaced by a quoted literal: JDBC's queries of Spark take no parameters.
"""

from __future__ import annotations

OUTCOMES = "outcomes"
RECORDS_READ = "records read of partition"
VOTES = "votes"
TURNOUT = "turnout"
MINUTES = "voters of minute"
GROUPS = "groups"
STATION_VOTERS = "voters at"
HELD = "held record"

TABLES = {
    RECORDS_READ: """
        SELECT partition::text AS key, records_read AS value
        FROM counting.log_positions WHERE election = {election} AND records_read <> 0""",
    OUTCOMES: """
        SELECT partition || '/' || fate || CASE reason WHEN '' THEN '' ELSE '/' || reason END AS key, records AS value
        FROM counting.outcome_counts WHERE election = {election} AND records <> 0""",
    VOTES: """
        SELECT o.contest || '/' || o.candidate || '/' || t.station || '/' || t.mode AS key, sum(o.votes)::bigint AS value
        FROM counting.tallies t JOIN counting.layouts l USING (election, layout)
          CROSS JOIN LATERAL unnest(l.contests, l.candidates, t.votes) AS o (contest, candidate, votes)
        WHERE t.election = {election} GROUP BY 1 HAVING sum(o.votes) <> 0""",
    TURNOUT: """
        SELECT station || '/' || mode || '/' || to_char(minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS key,
          sum(voters)::bigint AS value
        FROM counting.turnout_counts WHERE election = {election} GROUP BY 1 HAVING sum(voters) <> 0""",
    MINUTES: """
        SELECT to_char(minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS key, sum(voters)::bigint AS value
        FROM counting.minute_voters WHERE election = {election} GROUP BY 1 HAVING sum(voters) <> 0""",
    GROUPS: """
        SELECT region || '/' || age_group || '/' || gender AS key, sum(voters)::bigint AS value
        FROM counting.turnout_groups WHERE election = {election} GROUP BY 1 HAVING sum(voters) <> 0""",
    STATION_VOTERS: """
        SELECT station || '/' || mode AS key, sum(voters)::bigint AS value
        FROM counting.tallies WHERE election = {election} GROUP BY 1 HAVING sum(voters) <> 0""",
    HELD: """
        SELECT partition || '/' || log_offset || '/' || record_index AS key, reason AS value
        FROM counting.held WHERE election = {election}""",
}

# Large tables, read by many tasks: `bucket` is 0 to 255.
ROLL = """
    SELECT voter_key, revision, struck_revision, (extract(epoch FROM struck_at) * 1000)::bigint AS struck_ms, region,
      station, age_group, gender, get_byte(voter_key, 31) AS bucket
    FROM counting.roll WHERE election = {election}"""
PARTICIPATIONS = """
    SELECT voter_key, vote_id::text AS vote_id, get_byte(voter_key, 31) AS bucket
    FROM counting.participations WHERE election = {election}"""

# Read on the driver; the parameter is the election.
ELECTION = "SELECT format, partitions, vote_bytes FROM registry.elections WHERE election = %s"
POSITIONS = "SELECT partition, next_offset FROM counting.log_positions WHERE election = %s"
CHANGES = """
    SELECT revision, kind, positions FROM registry.changes WHERE election = %s ORDER BY revision"""
MANIFESTS = """
    SELECT revision, (extract(epoch FROM effective_at) * 1000)::bigint, manifest, signature
    FROM registry.manifests WHERE election = %s ORDER BY version"""
GATEWAY_KEYS = "SELECT gateway, version, revision, revoked_revision FROM registry.gateway_keys WHERE election = %s"
DEVICE_KEYS = "SELECT device, version, revision, station FROM registry.device_keys WHERE election = %s"
DECISIONS = """
    SELECT revision, c.positions, d.action, d.selector
    FROM registry.decisions d JOIN registry.changes c USING (election, revision)
    WHERE election = %s AND d.action <> 'waive' ORDER BY revision"""


def literal(text: str) -> str:
    """A string constant in SQL."""
    return "'" + text.replace("'", "''") + "'"
