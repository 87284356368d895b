/** The views beside the logs, and the topics of each: rebuilt from the database when one is lost. */
export const VIEW_TOPICS = {
  rejections: "rejected-votes",
  tallies: "tallies-by-candidate",
  turnout: "turnout-by-region",
} as const;
