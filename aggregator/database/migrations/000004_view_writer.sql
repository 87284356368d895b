-- Which process writes the views beside the log: one at a time. It says so again and again, and who has not said so
-- until then has lost it to whoever asks next: however it ended, and whatever became of its connections.
CREATE TABLE counting.view_writer (
  sole boolean PRIMARY KEY DEFAULT true CHECK (sole),
  process uuid NOT NULL,
  until timestamptz NOT NULL
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON counting.view_writer TO pollwire_counter;
GRANT SELECT ON counting.view_writer TO pollwire_auditor;
