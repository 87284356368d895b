-- A further key of an official or an administrator waits for a second administrator, like the role itself: who adds a key could act as
-- the account. A key without granted_at signs nobody in.
ALTER TABLE office.account_keys
  ADD COLUMN requested_by text,
  ADD COLUMN approved_by text CHECK (approved_by <> requested_by),
  ADD COLUMN granted_at timestamptz;
UPDATE office.account_keys SET granted_at = added_at;

GRANT UPDATE (approved_by, granted_at) ON office.account_keys TO pollwire_office;
GRANT SELECT (requested_by, approved_by, granted_at) ON office.account_keys TO pollwire_office, pollwire_auditor;
