-- What one would write instead of Pollwire: the first vote of each voter counts, totals by candidate and by station.
-- ${NAMES} are filled in by bench/flink.ts.
SET 'execution.checkpointing.interval' = '10 s';
SET 'execution.checkpointing.mode' = 'EXACTLY_ONCE';
SET 'execution.checkpointing.dir' = 'file://${CHECKPOINTS}';
SET 'state.backend.type' = 'rocksdb';
SET 'parallelism.default' = '2';
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '100 ms';
SET 'table.exec.mini-batch.size' = '5000';
SET 'taskmanager.memory.managed.size' = '512m';
SET 'taskmanager.numberOfTaskSlots' = '2';

CREATE TABLE votes (voter STRING, candidate STRING, station STRING, seen AS PROCTIME()) WITH (
  'connector' = 'kafka', 'topic' = '${TOPIC}', 'properties.bootstrap.servers' = '${BROKERS}',
  'scan.startup.mode' = 'earliest-offset', 'format' = 'json'
);
CREATE TABLE by_candidate (candidate STRING, votes BIGINT, PRIMARY KEY (candidate) NOT ENFORCED) WITH (
  'connector' = 'jdbc', 'url' = '${DATABASE}', 'username' = '${USER}', 'password' = '${PASSWORD}',
  'table-name' = '${SCHEMA}.by_candidate', 'sink.buffer-flush.interval' = '100 ms'
);
CREATE TABLE by_station (station STRING, votes BIGINT, PRIMARY KEY (station) NOT ENFORCED) WITH (
  'connector' = 'jdbc', 'url' = '${DATABASE}', 'username' = '${USER}', 'password' = '${PASSWORD}',
  'table-name' = '${SCHEMA}.by_station', 'sink.buffer-flush.interval' = '100 ms'
);
CREATE TEMPORARY VIEW first_votes AS
  SELECT voter, candidate, station
  FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY voter ORDER BY seen ASC) AS nth FROM votes)
  WHERE nth = 1;

EXECUTE STATEMENT SET BEGIN
  -- COUNT(*) would keep the state of the deduplication twice.
  INSERT INTO by_candidate SELECT candidate, COUNT(station) FROM first_votes GROUP BY candidate;
  INSERT INTO by_station SELECT station, COUNT(station) FROM first_votes GROUP BY station;
END;
