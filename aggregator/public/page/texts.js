/** Every text of the page, and how it spells numbers and times. Data comes from the server; nothing else is here. */

const LOCALE = "en-GB";
const whole = new Intl.NumberFormat(LOCALE);
const percent = new Intl.NumberFormat(LOCALE, {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const clock = new Intl.DateTimeFormat(LOCALE, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const hour = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const moment = new Intl.DateTimeFormat(LOCALE, {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
  timeZoneName: "short",
});

/** @param {number} value A whole number. */
export const number = (value) => whole.format(value);
/** @param {number} share From 0 to 1. */
export const share = (share) => percent.format(share);
/** @param {number | string} time */
export const timeOfDay = (time) => clock.format(new Date(time));
/** @param {number | string} time */
export const minuteOfDay = (time) => hour.format(new Date(time));
/** @param {number | string} time */
export const dayAndTime = (time) => moment.format(new Date(time));
/** @param {number} ms A length of time, to one decimal place while it is short. */
export const seconds = (ms) =>
  ms < 9_950 ? `${(ms / 1000).toFixed(1)} s` : `${number(Math.round(ms / 1000))} s`;

/** Isolates a name where no element can: in a window's title, in options, inside a sentence (UAX 9: FSI and PDI). */
const isolate = (name) => `\u2068${name}\u2069`;

const many = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** @type {Record<string, string>} What became of records, by fate and reason. */
const outcomes = {
  counted: "Counted",
  "duplicate/retransmission": "The same vote sent again",
  "duplicate/double_vote": "Second vote of a voter",
  "rejected/unreadable": "Unreadable",
  "rejected/wrong_election": "Of another election",
  "rejected/unknown_gateway": "From an unknown gateway",
  "rejected/bad_signature": "Gateway's signature wrong",
  "rejected/cannot_open": "Cannot be opened",
  "rejected/malformed": "Not a record",
  "rejected/bad_proof": "Altered or made up by a gateway",
  "rejected/invalid_vote": "Signed by its device, and not a vote",
  "rejected/wrong_partition": "On the wrong partition",
  "rejected/unknown_manifest": "Names an unknown manifest",
  "rejected/not_open": "Accepted out of hours",
  "rejected/cast_out_of_hours": "Cast out of hours",
  "rejected/unknown_station": "Unknown station",
  "rejected/foreign_station": "Station of another gateway",
  "rejected/unknown_contest": "Unknown contest",
  "rejected/unknown_candidate": "Unknown candidate",
  "rejected/repeated_candidate": "Candidate selected twice",
  "rejected/overvote": "Too many candidates",
  "rejected/unknown_voter": "Voter not on the roll",
  "rejected/wrong_station": "Voter of another station",
  "rejected/wrong_region": "Voter of another region",
  "rejected/foreign_device": "Device of another station",
  "rejected/by_decision": "Rejected by officials",
  "rejected/after_certification": "Came after the results were certified",
  "held/gateway_revoked": "Held: gateway's key revoked",
  "held/device_revoked": "Held: device's key revoked",
  "held/clock": "Held: gateway's clock ahead",
  "held/superseded": "Held: allowed by an earlier manifest only",
  statement: "Gateways' statements",
};

const phases = { scheduled: "Not open yet", open: "Open", closed: "Closed" };

export const texts = {
  isolate,
  title: (name) => `${isolate(name)} – Pollwire`,
  phases,
  electionOption: (name, phase) => `${isolate(name)} (${phases[phase].toLowerCase()})`,
  hours: {
    scheduled: ({ opensAt }) => `Opens ${dayAndTime(opensAt)}`,
    open: ({ closesAt }) => `Closes ${dayAndTime(closesAt)}`,
    closed: ({ closesAt }) => `Closed ${dayAndTime(closesAt)}`,
  },
  size: ({ stations, regions }) => `${many(stations, "station")} in ${many(regions, "region")}`,

  election: "Election",
  totals: "Totals",
  loading: "Loading",
  noElections: "There is no election yet",
  noElectionsHint: "This page shows the first one as soon as it is created.",
  unreachable: "The server does not answer. Trying again.",

  live: "Live",
  late: "Late",
  away: "Not connected",
  connecting: "Connecting",
  age: (ms) => `figures ${seconds(ms)} old`,
  asOf: (time) => `figures of ${timeOfDay(time)}`,

  turnout: "Turnout",
  turnoutOf: (voters, registered) => `${number(voters)} of ${number(registered)} on the roll`,
  ofRegistered: (voters, registered) => `${number(voters)} of ${number(registered)}`,
  rollUnknown: "no roll yet",
  voters: "Voters counted",
  inResults: (released) => `${number(released)} in the results`,
  rate: "Votes per second",
  rateHint: (spanS) => `over the last ${spanS} seconds`,
  waiting: "Waiting to be counted",
  waitingHint: (records) =>
    records === null ? "the log does not answer" : records === 1 ? "record on the log" : "records on the log",
  notCounted: "Not counted",
  notCountedHint: (duplicate, rejected) => `${number(duplicate)} repeated, ${number(rejected)} rejected`,

  results: "Results",
  unofficial: "Unofficial",
  contest: "Contest",
  /** @param {{ name?: string, votes: number }[]} tied Candidates of whom one more than may win has as many votes. */
  contestNote: (votes, allowed, candidates, tied = []) => {
    const choice = allowed > candidates
      ? `A voter may choose up to ${number(allowed)}; ${many(candidates, "candidate")} ${
        candidates === 1 ? "stands" : "stand"
      }.`
      : `A voter may choose ${allowed === 1 ? "one" : `up to ${number(allowed)}`} of ${number(candidates)}.`;
    if (votes === 0) return choice;
    const shares = `${choice} Shares are of the ${many(votes, "vote")} in this contest.`;
    if (tied.length === 0) return shares;
    const names = tied.map(({ name }) => isolate(name)).join(", ");
    return `${shares} A tie: ${names} have ${many(tied[0].votes, "vote")} each.`;
  },
  about: (name) => `About ${name}`,
  parties: "Parties",
  partiesOfAll: "Parties, all contests together",
  withoutParty: "Without a party",
  contestTotals: ({ ballots, undervotes, blanks }, allowed) => {
    if (ballots === 0) return "";
    const unused = allowed === 1 ? "" : ` Choices not made: ${number(undervotes)}.`;
    return `${many(ballots, "ballot")} had this contest, ${number(blanks)} of them blank.${unused}`;
  },
  released: (released, counted, hidden, threshold, final) => {
    if (hidden === 0) return `Votes of all ${number(released)} voters counted so far.`;
    const some = `Votes of ${number(released)} of ${number(counted)} voters. Counted, not yet shown: ${
      number(hidden)
    }.`;
    if (threshold === 1) return some;
    const reason = "so that nobody can see how one person voted.";
    return final
      ? `${some} They are shown when at least ${number(threshold)} can be shown together, ${reason}`
      : `${some} Votes are shown in groups of ${number(threshold)} or more, ${reason}`;
  },
  afterClosing: "This election shows no results before it closes.",
  nothingReleased: "No results yet.",
  showAll: (count) => `Show all ${number(count)}`,
  showFewer: "Show fewer",
  votes: (votes) => many(votes, "vote"),

  regions: "Turnout by region",
  findRegion: "Find a region",
  regionsAge: (count, atMs) =>
    `${many(count, "region")}, ${
      texts.asOf(atMs)
    }. A voter counts in the region of the roll, a vote in that of its station.`,
  noSuchRegion: "No region has that in its name.",
  overTime: "Voters per minute",
  overTimeLabel: (from, to, most) =>
    `Voters per minute from ${minuteOfDay(from)} to ${minuteOfDay(to)}, at most ${number(most)}`,
  peak: (voters, time) => `Most: ${voters} at ${time}`,
  soFar: (time) => `${time}, so far`,
  noVotersYet: "Nobody has voted yet.",

  reconciliation: "Every record accounted for",
  balanced: "Balanced",
  unbalanced: "NOT BALANCED",
  unbalancedAlert: (difference) =>
    `The count does not add up: ${number(Math.abs(difference))} ${
      difference > 0 ? "records were read and have no outcome" : "outcomes more than records were read"
    }. Do not rely on these figures until this is explained.`,
  unbalancedPartitions:
    "The count does not add up on every partition. Do not rely on these figures until this is explained.",
  read: "read",
  counted: "counted",
  duplicate: "repeated",
  rejected: "rejected",
  held: "held for officials",
  statements: "statements",
  outcome: "Outcome",
  records: "Records",
  outcomeOf: ({ fate, reason }) => {
    const name = reason === "" ? fate : `${fate}/${reason}`;
    return outcomes[name] ?? (reason || fate).replaceAll("_", " ");
  },
  doubleVotes: (count) =>
    count === 1
      ? "1 second vote of a voter was refused. Officials should look at it."
      : `${number(count)} second votes of voters were refused. Officials should look at them.`,
  gaps: (count) => `${many(count, "gap")} in the log's offsets to be explained before certification.`,
  partitions: (count, atMs) => `${many(count, "partition")} of the log, ${texts.asOf(atMs)}`,
  partition: "Partition",
  balance: "Balance",
  lag: "Waiting",
  unknown: "?",
  none: "–",
  rejections: "Newest records that were not counted",
  noRejections: "None.",
  when: "When",
  why: "Why",
  station: "Station",
  gateway: "Gateway",
  place: "Place on the log",

  sources: "The same figures as data:",
  resources: { results: "results", turnout: "turnout", reconciliation: "reconciliation" },
  api: "description of the API",
};
