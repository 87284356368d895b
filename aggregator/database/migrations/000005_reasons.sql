-- One word, one thing: an outcome has a reason.
ALTER TABLE counting.outcome_counts RENAME COLUMN cause TO reason;
ALTER TABLE counting.rejections RENAME COLUMN cause TO reason;
