-- What each release cost beyond its row.

-- Checked for every release, though the statement that writes this row has just written the release, and none is ever deleted.
ALTER TABLE results.current DROP CONSTRAINT current_revision_fkey;
