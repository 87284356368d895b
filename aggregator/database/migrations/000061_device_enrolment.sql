-- One-time codes with which devices fetch their keys. The code itself is not kept.
CREATE TABLE office.enrolment_codes (
  code_hash bytea PRIMARY KEY CHECK (length(code_hash) = 32),
  election text NOT NULL REFERENCES registry.elections,
  device text NOT NULL,
  version integer NOT NULL,
  issued_at timestamptz NOT NULL,
  issued_by text NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  -- Another code has taken its place.
  replaced_at timestamptz
);
CREATE INDEX enrolment_codes_of_device ON office.enrolment_codes (election, device, version);
GRANT SELECT, INSERT, UPDATE (used_at, replaced_at) ON office.enrolment_codes TO pollwire_office;
