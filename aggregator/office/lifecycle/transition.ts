/**
 * The life of an election: which action is allowed in which state, how many officials it takes, and what keeps it from being done. Pure:
 * clock and database are facts that the caller brings.
 *
 * @module
 */

/** What is stored of an election's state. */
export const STATUSES = ["draft", "scheduled", "canvass", "certified", "cancelled", "destroyed"] as const;
export type Status = (typeof STATUSES)[number];

/** Where an election stands at a time. `open`, `paused` and `closed` follow from manifest and clock. */
export const PHASES = [
  "draft",
  "scheduled",
  "open",
  "paused",
  "closed",
  "canvass",
  "certified",
  "cancelled",
  "destroyed",
] as const;
export type Phase = (typeof PHASES)[number];

/** Times of an election, milliseconds since 1970, and whether voting is paused everywhere. */
export type Hours = Readonly<{
  opensAtMs: number;
  closesAtMs: number;
  acceptsUntilMs: number;
  isPaused: boolean;
}>;

/** Where an election stands at a time. The last moment is still open. */
export function phaseAt(status: Status, { opensAtMs, closesAtMs, isPaused }: Hours, nowMs: number): Phase {
  if (status !== "scheduled") return status;
  if (nowMs < opensAtMs) return "scheduled";
  if (nowMs > closesAtMs) return "closed";
  return isPaused ? "paused" : "open";
}

/** What an action depends on beside the state. */
export type Facts =
  & Hours
  & Readonly<{
    nowMs: number;
    /** The time that the action asks for, where it does. */
    newClosesAtMs?: number;
    recordsRead: number;
    voters: number;
    /** A station without a gateway or without a device, if there is one. */
    emptyStation?: string;
    /** Whether voting is paused somewhere. */
    isPausedSomewhere: boolean;
    /** What is on the log and was not read. */
    unread: number;
    openSenderKeys: number;
    held: number;
    isFinal: boolean;
    /** Results wait for officials to release them. */
    isWithheld: boolean;
    /** Checks of the data that fail and are not waived. */
    failingChecks: readonly string[];
    /** Lines in which recount and tables differ; `undefined` when nobody has recounted. */
    recountDifferences: number | undefined;
    /** Adjustments and decisions since the newest certified version. */
    corrections: number;
    /** Stations whose counts have changed, and that were not looked at for a release since. */
    unpublished: number;
    /** Records that a decision rejected. */
    rejectedByDecision: number;
    /** Counting has ended at the positions that were certified. */
    isCertified: boolean;
    /** Until when records are kept, and why officials hold them longer, where they do. */
    retentionUntilMs: number;
    hold: string | undefined;
    /** Its votes are test votes. */
    isRehearsal?: boolean;
  }>;

/** How long before opening an election must be scheduled. */
export const SCHEDULE_AHEAD_MS = 600_000;

type Rule = Readonly<{
  from: readonly Phase[];
  /** The stored state after it; unchanged when left out. */
  to?: Status;
  officials: 1 | 2;
  /** Why it cannot be done; `undefined` when it can. */
  refuse?(facts: Facts): string | undefined;
}>;

const VOTING: readonly Phase[] = ["open", "paused"];
const BEFORE_CERTIFICATION: readonly Phase[] = ["draft", "scheduled", "open", "paused", "closed", "canvass"];
const iso = (ms: number) => new Date(ms).toISOString();

/** Every action, from which phases it leads where, and how many officials it takes. */
export const ACTIONS = {
  schedule: {
    from: ["draft"],
    to: "scheduled",
    officials: 2,
    refuse({ emptyStation, voters, opensAtMs, nowMs }) {
      if (emptyStation !== undefined) return `station ${emptyStation} has no gateway or no device`;
      if (voters === 0) return "nobody is on the roll";
      if (opensAtMs < nowMs + SCHEDULE_AHEAD_MS) {
        return `it opens at ${iso(opensAtMs)}: that is in less than 10 min`;
      }
    },
  },
  unschedule: {
    from: ["scheduled"],
    to: "draft",
    officials: 2,
    refuse: ({ recordsRead }) =>
      recordsRead > 0 ? `${recordsRead} records were read from its log` : undefined,
  },
  set_hours: { from: ["draft"], officials: 1 },
  pause: { from: VOTING, officials: 1 },
  resume: {
    from: VOTING,
    officials: 1,
    refuse: ({ isPausedSomewhere }) => isPausedSomewhere ? undefined : "voting is paused nowhere",
  },
  extend: {
    from: ["scheduled", "open", "paused", "closed"],
    officials: 2,
    refuse({ acceptsUntilMs, closesAtMs, newClosesAtMs, nowMs }) {
      if (nowMs > acceptsUntilMs) return `the acceptance window ended at ${iso(acceptsUntilMs)}`;
      if (newClosesAtMs !== undefined && newClosesAtMs <= closesAtMs) {
        return `the new time must be later than ${iso(closesAtMs)}, when it closes now`;
      }
      if (newClosesAtMs !== undefined && newClosesAtMs <= nowMs) return "the new time must be in the future";
    },
  },
  close_early: { from: VOTING, officials: 2 },
  begin_canvass: {
    from: ["closed"],
    to: "canvass",
    officials: 1,
    refuse({ acceptsUntilMs, nowMs, unread, openSenderKeys }) {
      if (nowMs <= acceptsUntilMs) return `votes may be delivered until ${iso(acceptsUntilMs)}`;
      if (unread > 0) return `${unread} records on the log were not read yet`;
      if (openSenderKeys > 0) return `${openSenderKeys} sender keys have neither a statement nor a waiver`;
    },
  },
  publish: {
    from: ["closed", "canvass"],
    officials: 2,
    refuse: ({ isWithheld }) =>
      isWithheld
        ? undefined
        : "its results are not withheld: they are published, or will be once all is counted",
  },
  certify: {
    from: ["canvass"],
    to: "certified",
    officials: 2,
    refuse({ unread, held, isFinal, isWithheld, failingChecks, recountDifferences, isRehearsal }) {
      if (isRehearsal) return "it is a rehearsal, whose votes are test votes: nothing certifies them";
      if (unread > 0) return `${unread} records on the log were not read yet`;
      if (held > 0) return `${held} records are held: decide about them`;
      if (isWithheld) return "its results are withheld: publish them first";
      if (!isFinal) return "the final release has not been made";
      if (failingChecks.length > 0) return `checks fail and are not waived: ${failingChecks.join(", ")}`;
      if (recountDifferences !== undefined && recountDifferences > 0) {
        return `recount and tables differ in ${recountDifferences} lines`;
      }
    },
  },
  correct: {
    from: ["certified"],
    officials: 2,
    refuse({ corrections, unpublished }) {
      if (corrections === 0) {
        return "there is no decision or adjustment since the newest version: nothing would be corrected";
      }
      if (unpublished > 0) {
        return `counts of ${unpublished} stations have changed and are not published yet: wait a moment`;
      }
    },
  },
  adjust: { from: ["canvass", "certified"], officials: 2 },
  reopen: {
    from: ["certified"],
    to: "canvass",
    officials: 2,
    refuse: ({ nowMs, retentionUntilMs }) =>
      nowMs > retentionUntilMs ? `the time of retention ended at ${iso(retentionUntilMs)}` : undefined,
  },
  cancel: { from: BEFORE_CERTIFICATION, to: "cancelled", officials: 2 },
  destroy: {
    from: ["certified", "cancelled"],
    to: "destroyed",
    officials: 2,
    refuse({ nowMs, retentionUntilMs, hold }) {
      if (hold !== undefined) return `a hold is set on its records: ${hold}`;
      if (nowMs <= retentionUntilMs) return `its records are kept until ${iso(retentionUntilMs)}`;
    },
  },
  set_hold: {
    from: [...BEFORE_CERTIFICATION, "certified", "cancelled"],
    officials: 1,
    refuse: ({ hold }) => hold === undefined ? undefined : `a hold is set already: ${hold}`,
  },
  lift_hold: {
    from: [...BEFORE_CERTIFICATION, "certified", "cancelled"],
    officials: 2,
    refuse: ({ hold }) => hold === undefined ? "no hold is set" : undefined,
  },
  decide: {
    from: ["open", "paused", "closed", "canvass", "certified"],
    officials: 2,
    refuse: ({ isCertified, rejectedByDecision }) =>
      isCertified && rejectedByDecision === 0
        ? "nothing is held once results are certified, and no decision rejected a record"
        : undefined,
  },
  waive_sender_keys: { from: ["open", "paused", "closed", "canvass"], officials: 2 },
  waive_check: { from: ["canvass"], officials: 2 },
} as const satisfies Record<string, Rule>;
export type Action = keyof typeof ACTIONS;

/** What an action leads to, or why it is not allowed. */
export type Transition =
  | Readonly<{ to: Status; officials: 1 | 2 }>
  | Readonly<{ refused: "phase" | "facts"; why: string }>;

/** Says what an action leads to. */
export function transition(status: Status, action: Action, facts: Facts): Transition {
  const rule: Rule = ACTIONS[action];
  const phase = phaseAt(status, facts, facts.nowMs);
  if (!rule.from.includes(phase)) {
    return { refused: "phase", why: `the election is ${phase}, and it takes ${rule.from.join(", ")}` };
  }
  const why = rule.refuse?.(facts);
  return why === undefined ? { to: rule.to ?? status, officials: rule.officials } : { refused: "facts", why };
}

/** The actions that are allowed now. */
export function allowedActions(status: Status, facts: Facts): Action[] {
  return (Object.keys(ACTIONS) as Action[]).filter((action) => "to" in transition(status, action, facts));
}
