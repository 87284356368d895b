-- Who a person of the office is at an OpenID provider. An identity belongs to one account for ever, so that a person has one account.
CREATE TABLE office.identities (
  identity_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  issuer text NOT NULL,
  subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
  account text NOT NULL REFERENCES office.accounts,
  added_at timestamptz NOT NULL,
  revoked_at timestamptz,
  UNIQUE (issuer, subject)
);

GRANT SELECT, INSERT ON office.identities TO pollwire_office;
GRANT UPDATE (added_at, revoked_at) ON office.identities TO pollwire_office;
GRANT SELECT ON office.identities TO pollwire_auditor;
