-- Officials see what gateways said of themselves last, and which records wait for a decision: neither a candidate nor a voter is in it.
GRANT USAGE ON SCHEMA counting TO pollwire_office;
GRANT SELECT ON counting.gateway_syncs TO pollwire_office;
GRANT SELECT (election, partition, log_offset, record_index, reason, accepted_at, gateway, station) ON counting.held TO pollwire_office;
