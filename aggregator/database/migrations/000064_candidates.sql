-- Candidates and parties have states, and changes of voters, candidates and parties are written for the topics of their names.

-- What a definition names is qualified. on_ballot says whether the newest manifest has it.
ALTER TABLE registry.candidates ADD COLUMN status text NOT NULL DEFAULT 'qualified'
  CHECK (status IN ('filed', 'qualified', 'refused', 'withdrawn'));
ALTER TABLE registry.candidates ADD COLUMN status_reason text;
ALTER TABLE registry.candidates ADD COLUMN status_at timestamptz;
ALTER TABLE registry.candidates ADD COLUMN on_ballot boolean NOT NULL DEFAULT true;
ALTER TABLE registry.parties ADD COLUMN status text NOT NULL DEFAULT 'qualified'
  CHECK (status IN ('filed', 'qualified', 'refused', 'withdrawn'));
ALTER TABLE registry.parties ADD COLUMN status_reason text;
ALTER TABLE registry.parties ADD COLUMN status_at timestamptz;
ALTER TABLE registry.parties ADD COLUMN on_ballot boolean NOT NULL DEFAULT true;
GRANT SELECT ON registry.candidates, registry.parties
  TO pollwire_registrar, pollwire_counter, pollwire_reader, pollwire_auditor, pollwire_server;
GRANT UPDATE (status, status_reason, status_at, on_ballot) ON registry.candidates, registry.parties TO pollwire_office;

-- Changes for the topics, written in the transaction of the change. Numbers have no gap and are committed in their order: the
-- election's row of registry.revisions is locked. A change of voters names the change of history, and registry.voters says whose
-- it is: rows there are never changed, so what is read of a change is the same at any time.
CREATE TABLE registry.outbox (
  election text NOT NULL REFERENCES registry.elections,
  number bigint NOT NULL CHECK (number > 0),
  topic text NOT NULL CHECK (topic IN ('voters', 'candidates', 'parties')),
  at timestamptz NOT NULL,
  -- Of voters: the change of history.
  revision bigint,
  -- Of candidates and parties: the message.
  key text,
  value text,
  PRIMARY KEY (election, number),
  CHECK (CASE WHEN topic = 'voters' THEN revision IS NOT NULL AND key IS NULL AND value IS NULL
    ELSE revision IS NULL AND key IS NOT NULL AND value IS NOT NULL END)
);
CREATE TRIGGER kept BEFORE UPDATE ON registry.outbox FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
-- How far each election's changes are on the topics.
CREATE TABLE registry.outbox_positions (
  election text PRIMARY KEY REFERENCES registry.elections,
  number bigint NOT NULL CHECK (number >= 0),
  produced_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX voters_of_strike ON registry.voters (struck_revision, election) WHERE struck_revision IS NOT NULL;
GRANT USAGE ON SCHEMA registry TO pollwire_office;
GRANT SELECT, INSERT ON registry.outbox TO pollwire_registrar;
GRANT SELECT, INSERT, UPDATE (number, produced_at) ON registry.outbox_positions TO pollwire_office;

-- What elections have already.
INSERT INTO registry.outbox (election, number, topic, at, revision, key, value)
SELECT election, row_number() OVER (PARTITION BY election ORDER BY place, revision, key), topic, at, revision, key, value
FROM (
  SELECT p.election, 1 AS place, 'parties' AS topic, e.created_at AS at, NULL::bigint AS revision,
    p.election || '/' || p.party AS key,
    json_build_object('election', p.election, 'party', p.party, 'name', p.name, 'status', p.status, 'onBallot', p.on_ballot)::text AS value
  FROM registry.parties p JOIN registry.elections e USING (election)
  UNION ALL
  SELECT c.election, 2, 'candidates', e.created_at, NULL, c.election || '/' || c.contest || '/' || c.candidate,
    json_build_object('election', c.election, 'contest', c.contest, 'candidate', c.candidate, 'name', c.name, 'party', c.party,
      'status', c.status, 'onBallot', c.on_ballot)::text
  FROM registry.candidates c JOIN registry.elections e USING (election)
  UNION ALL
  SELECT h.election, 3, 'voters', h.changed_at, h.revision, NULL, NULL FROM registry.changes h WHERE h.kind = 'roll'
) AS known;
