-- Which process does a piece of work that one is enough for: writing the views beside the log, filling the index. It says
-- so again and again, and who has not said so until then has lost it to whoever asks next: however it ended, and whatever
-- became of its connections.
CREATE TABLE counting.leases (
  work text PRIMARY KEY,
  process uuid NOT NULL,
  until timestamptz NOT NULL
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON counting.leases TO pollwire_counter;
GRANT SELECT ON counting.leases TO pollwire_auditor;
