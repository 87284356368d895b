-- The office: who works in it, with which keys and roles. No passwords: a person signs in with a key of their own.
CREATE SCHEMA office;

CREATE TABLE office.accounts (
  account text PRIMARY KEY,
  name text NOT NULL,
  created_at timestamptz NOT NULL
);

-- Ed25519 public keys. key_id is the key's thumbprint (RFC 7638): nobody can give two keys one name.
CREATE TABLE office.account_keys (
  key_id text PRIMARY KEY,
  account text NOT NULL REFERENCES office.accounts,
  public_key bytea NOT NULL CHECK (length(public_key) = 32),
  added_at timestamptz NOT NULL,
  revoked_at timestamptz
);

-- Roles of accounts. admin is of the office (election is NULL); the others are each of one election. A grant without granted_at
-- waits for a second administrator.
CREATE TABLE office.grants (
  grant_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account text NOT NULL REFERENCES office.accounts,
  role text NOT NULL CHECK (role IN ('admin', 'registrar', 'official', 'auditor', 'observer')),
  election text REFERENCES registry.elections,
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL,
  approved_by text,
  granted_at timestamptz,
  revoked_at timestamptz,
  CHECK ((role = 'admin') = (election IS NULL))
);
CREATE UNIQUE INDEX grants_live ON office.grants (account, role, (coalesce(election, ''))) WHERE revoked_at IS NULL;

-- Assertions that were used, until they expire: each is good for one token.
CREATE TABLE office.used_assertions (
  account text NOT NULL REFERENCES office.accounts,
  assertion_id text NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (account, assertion_id)
);

GRANT USAGE ON SCHEMA office TO pollwire_office, pollwire_auditor;
GRANT SELECT, INSERT ON office.accounts, office.account_keys, office.grants TO pollwire_office;
GRANT UPDATE (revoked_at) ON office.account_keys TO pollwire_office;
GRANT UPDATE (approved_by, granted_at, revoked_at) ON office.grants TO pollwire_office;
GRANT SELECT, INSERT, DELETE ON office.used_assertions TO pollwire_office;
GRANT SELECT ON office.accounts, office.account_keys, office.grants TO pollwire_auditor;
