/** The views beside the logs, and the topics of each: rebuilt from the database when one is lost. */
export const VIEW_TOPICS = {
  rejections: "rejected-votes",
  tallies: "tallies-by-candidate",
  turnout: "turnout-by-region",
} as const;

/**
 * The topics that the streaming recount on Spark keeps: votes of candidates and voters of regions as they are counted. They are not
 * held to k, so only officials' programs may read them.
 */
export const RECOUNT_TOPICS = ["spark-votes-per-candidate", "spark-turnout-by-region"] as const;
