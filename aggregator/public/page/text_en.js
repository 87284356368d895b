/** Every text of the page in English. Data comes from the server; nothing else is here. */
import { formatOf } from "./format.js";

const format = formatOf("en-GB");
const { day, decimal, dayAndTime, isolate, list, minuteOfDay, number, seconds, share, signed, timeOfDay } =
  format;

const whole = (votes) => `${votes < 0 ? "−" : "+"}${number(Math.abs(votes))}`;
const many = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
/** Whoever withdrew is marked wherever the name stands. */
const named = ({ name, withdrawn }) => withdrawn ? `${isolate(name)} (withdrawn)` : isolate(name);
const names = (rows) => list(rows.map(named));
const points = (value) => `${decimal(value)} ${decimal(value) === "1.0" ? "point" : "points"}`;

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
  "held/mode": "Held: votes of this kind are decided one by one",
  "held/clock": "Held: gateway's clock ahead",
  "held/superseded": "Held: allowed by an earlier manifest only",
  statement: "Gateways' statements",
};

/** @type {Record<string, string>} */
const modes = { in_person: "In person", early: "Early", absentee: "Absentee", provisional: "Provisional" };

/** @type {Record<string, string>} */
const hiddenProjections = {
  before_closing: "No projection before the polls close.",
  no_roll: "No projection: there is no roll.",
  too_large: "No projection: the election has too many stations for it.",
  order_roll:
    "No projection: the stations that have reported differ too much in size from those that are out.",
  order_earlier:
    "No projection: the stations that have reported voted too differently at an earlier election.",
};

/** @type {Record<string, string>} */
const groups = { female: "Women", male: "Men", diverse: "Diverse", other: "Other", unknown: "Not known" };

/** @type {Record<string, string>} Why a place is not compared with an earlier election. */
const notCompared = {
  together: "Its votes are shown only together with others'",
  no_votes: "No votes then, or none now",
  not_linked: "Too few earlier votes are known to belong here",
};

export const texts = {
  ...format,
  code: "en",
  language: "English",
  title: (name) => `${isolate(name)} – Pollwire`,
  electionOption: (name, phase) =>
    `${isolate(name)} (${{ scheduled: "not open yet", open: "open", closed: "closed" }[phase]})`,
  phases: {
    scheduled: () => "Not open yet",
    open: () => "Polls open",
    late: ({ acceptsUntil }) => `Closed · late votes until ${minuteOfDay(acceptsUntil)}`,
    closed: () => "Closed",
    final: () => "Closed · final release made",
  },
  hours: {
    scheduled: ({ opensAt }) => `Opens ${dayAndTime(opensAt)}`,
    open: ({ closesAt }) => `Closes ${dayAndTime(closesAt)}`,
    late: ({ closesAt }) => `Closed ${dayAndTime(closesAt)}`,
    closed: ({ closesAt }) => `Closed ${dayAndTime(closesAt)}`,
    final: ({ closesAt }) => `Closed ${dayAndTime(closesAt)}`,
  },
  size: ({ stations, regions, candidates }) =>
    `${many(stations, "station")} in ${many(regions, "region")} · ${many(candidates, "candidate")}`,

  election: "Election",
  contest: "Contest",
  languageLabel: "Language",
  loading: "Loading",
  noElections: "There is no election yet. This page shows the first one as soon as it is created.",
  unreachable: "The server does not answer. Trying again.",
  noScript: "This page shows live figures and needs JavaScript.",

  live: "Live",
  late: "Late",
  away: "Not connected",
  connecting: "Connecting",
  paused: "Paused",
  asOf: (time) => `As of ${timeOfDay(time)}`,
  age: (ms) => `${seconds(ms)} old`,
  pace: "Show what is new",
  paces: (s) => s === 0 ? "at once" : `every ${number(s)} s`,
  pause: "Pause",
  resume: "Go on",
  refresh: "Show now",
  waitingReleases: (count) => `${many(count, "change")} waiting`,

  /** What can be said of a contest, as a sentence. `phase` is the election's. */
  named,
  story: {
    scheduled: () => "The polls are not open yet.",
    sealed: () => "No results before the polls close.",
    untilReleased: () => "No results until officials release them.",
    withheld: () => "Officials have not released the results yet.",
    none: () => "No results yet.",
    tied: ({ leaders }) => `${names(leaders)} are tied with ${many(leaders[0].votes, "vote")} each.`,
    alone: ({ leaders }) =>
      leaders.length === 1
        ? `${names(leaders)} stands alone and has ${many(leaders[0].votes, "vote")}.`
        : `${names(leaders)} stand for as many seats as there are candidates.`,
    leads: ({ leaders, runnerUp, lead, points: by }) =>
      leaders.length === 1
        ? `${names(leaders)} leads ${named(runnerUp)} by ${many(lead, "vote")} (${points(by)}).`
        : `${names(leaders)} lead; ${named(leaders.at(-1))} is ${many(lead, "vote")} (${
          points(by)
        }) ahead of ${named(runnerUp)}.`,
    close: ({ leaders, runnerUp, lead, points: by }) =>
      `Too close to say: ${named(leaders.at(-1))} is ${many(lead, "vote")} (${points(by)}) ahead of ${
        named(runnerUp)
      }.`,
    decided: ({ leaders, runnerUp, lead, points: by }) =>
      leaders.length === 1
        ? `${names(leaders)} cannot be overtaken: ${many(lead, "vote")} (${points(by)}) ahead of ${
          named(runnerUp)
        }.`
        : `${names(leaders)} cannot be overtaken; ${named(runnerUp)} is ${many(lead, "vote")} behind.`,
  },
  because: {
    leads: ({ out }) => out === undefined ? "" : `More votes than that can still come: ${number(out)}.`,
    close: ({ out }) => out === undefined ? "" : `Votes that can still come: ${number(out)}.`,
    tied: ({ out }) => out === undefined ? "" : `Votes that can still come: ${number(out)}.`,
    decided: ({ out }) =>
      out === 0
        ? "No vote can still come."
        : `The lead is greater than the ${many(out, "vote")} that can still come.`,
  },
  unofficial: "Unofficial",
  rehearsal: "Rehearsal: test votes, not results",
  rehearsalMark: "Rehearsal",
  notices: {
    draft: "Draft: not scheduled yet",
    cancelled: "Cancelled: there are no results",
    reopened: "Reopened: certified results are being counted again",
  },
  certified: (version) =>
    version === undefined
      ? "Certified"
      : version.version === 1
      ? `Certified ${dayAndTime(version.certifiedAt)}`
      : `Certified ${dayAndTime(version.certifiedAt)}, version ${number(version.version)}`,
  corrected: "Corrected",
  correctedWhy: ({ releasedAt, voters }) =>
    `Votes of ${many(voters, "voter")} that were shown were withdrawn, the last ones at ${
      dayAndTime(releasedAt)
    }: counting again did not confirm them. They are not in these figures.`,
  counted: "Voters counted",
  /** Both are of the whole election. */
  notShown: (voters, threshold) =>
    voters === 0
      ? "all of them in the results"
      : threshold === 1
      ? `${number(voters)} more not in the results yet`
      : `${number(voters)} more are shown once ${number(threshold)} can be shown together`,
  stillOut: "Still out",
  stillOutSource: (registered) => `of ${number(registered)} on the roll`,
  stillOutClosed: "counted, not shown yet",
  rollUnknown: "no roll yet",
  turnout: "Turnout",
  turnoutOf: (voters, registered) => `${number(voters)} of ${number(registered)}`,
  stationsIn: "Stations in the results",
  stationsOf: (reporting, stations) => `${number(reporting)} of ${number(stations)}`,
  stationsHint: (reporting, stations) =>
    reporting === stations ? "all have votes in" : `${number(stations - reporting)} have none yet`,
  stationsComplete: "Stations complete",
  stationsEmpty: (stations) => stations === 0 ? "all have votes" : `${number(stations)} without a vote`,
  shapes: { bars: "Bars", ring: "Ring" },
  seatsNow: (seats) => `${many(seats, "seat")} as the votes stand:`,
  seatsWon: (seats) => `${many(seats, "seat")}:`,
  seatsOpen: "not decided",
  modes: "By how votes were cast",
  mode: (mode) => modes[mode] ?? (mode === undefined ? "Shown together" : mode.replaceAll("_", " ")),

  projection: "What is coming",
  projectionTag: "Projection, not a result",
  rangeOf: (low, high) => `${share(low)} to ${share(high)}`,
  randomOrder: (low, high) => `Safe if the order is random: ${share(low)} to ${share(high)}`,
  projectionFrom: ({ stations, ofStations, rollShare }, releasedAt) =>
    `Estimated from ${number(stations)} of ${many(ofStations, "station")} with ${
      share(rollShare)
    } of the roll${releasedAt === null ? "" : `, as of ${timeOfDay(releasedAt)}`}.`,
  projectionMeaning: (confidence) =>
    `The final share should lie in the range ${
      number(Math.round(10 * confidence))
    } times in 10. Stations that are still out may surprise.`,
  projectionHidden: ({ hidden, reported, least }) =>
    hidden === "too_little" && reported !== null
      ? `No projection yet: ${number(reported.stations)} stations in ${
        many(reported.regions, "region")
      } have reported, with ${share(reported.rollShare)} of the roll. It takes ${
        number(least.stations)
      } stations, ${number(least.regions)} regions and ${share(least.rollShare)}.`
      : hiddenProjections[hidden] ?? "No projection.",
  randomOrderHidden: {
    roll: "The order is not random: stations that have reported differ in size from all.",
    earlier:
      "The order is not random: stations that have reported voted otherwise than all at an earlier election.",
    regions: "The order is not random: some regions are ahead of others. The ranges allow for that.",
    rolls: "No range for a random order: it is not known how many voters each station has.",
  },

  results: "Results",
  votes: (votes) => many(votes, "vote"),
  ballots: ({ ballots, blanks, undervotes }, allowed) => {
    if (ballots === 0) return "";
    const unused = allowed === 1 ? "" : ` ${many(undervotes, "choice")} not made.`;
    return `${many(ballots, "ballot")}, ${number(blanks)} blank in this contest.${unused}`;
  },
  withdrawn: "Withdrawn: votes are counted",
  uncontested: "Elected unopposed",
  adjustments: "Added beside the count",
  adjustmentsWhy:
    "Officials added these votes, or took them off: they are on no electronic ballot box, such as ballots on paper. No other figure of this page has them.",
  adjustmentTotals: (rows) =>
    rows.length === 0
      ? "In all, nobody has more or fewer votes by them."
      : `In all: ${list(rows.map(({ name, votes }) => `${isolate(name)} ${whole(votes)}`))}.`,
  adjustmentVotes: (votes) => whole(votes),
  adjustmentsMore: (count) => `${many(count, "more line")}: /adjustments of the API has all of them.`,
  adjusted: { candidate: "Candidate", station: "Station", votes: "Votes", reason: "Reason" },
  choice: (allowed, candidates) =>
    allowed > candidates
      ? `A voter may choose up to ${number(allowed)}; ${many(candidates, "candidate")} ${
        candidates === 1 ? "stands" : "stand"
      }.`
      : `A voter may choose ${allowed === 1 ? "one" : `up to ${number(allowed)}`} of ${number(candidates)}.`,
  moreCandidates: (count) =>
    `${many(count, "more candidate")} ${count === 1 ? "is" : "are"} not listed here.`,
  half: "50 %",
  about: (name) => `About ${isolate(name)}`,
  showAll: (count) => `Show all ${number(count)}`,
  showFewer: "Show fewer",
  parties: "Parties, all contests together",
  withoutParty: "Without a party",

  places: "Places",
  place: "Region",
  find: "Find a region",
  leader: "Leads",
  margin: "Margin",
  tie: "Tie",
  noVotes: "No votes yet",
  pointsOf: (value) => `${decimal(value)} pt`,
  noSuchPlace: "No region has that in its name.",
  pages: (page, pages) => `Page ${number(page)} of ${number(pages)}`,
  previous: "Previous",
  next: "Next",
  openPlace: (name) => `Stations of ${isolate(name)}`,
  station: "Station",
  together: (count) => `${many(count, "station")} shown together`,
  ballotsColumn: "Ballots",
  inResults: (voters) => `${many(voters, "voter")} in the results`,
  map:
    "Map: a point is a region, as large as its roll. Pale: leads. Hatched: stations are missing. The table has the same.",

  time: "Through the night",
  timeShares: "Shares",
  timeVotes: "Votes",
  timeTurnout: "Voters per minute",
  timeTable: "The same as a table",
  minute: "Minute",
  moment: "Moment",
  now: "Now",
  showNow: "Back to now",
  past: (time) => `The page shows ${dayAndTime(time)}.`,
  tooFewMinutes: "The course of the count is drawn from the second minute on.",
  noVotersYet: "Nobody has voted yet.",

  analytics: "Who votes",
  byAge: "Turnout by age",
  byGender: "Turnout by gender",
  group: (id) => groups[id] ?? id,
  voters: "Voters",
  onRoll: "On the roll",
  analyticsNow: "These tables are of now.",

  comparedWith: "Compared with",
  comparedLater: "The comparison comes with the final release: it takes places whose votes are complete.",
  comparedNone: "No place can be compared: no region's earlier votes are known to belong there.",
  comparedShares: "Shares then and now",
  comparedBase: (regions, of) =>
    `Like for like: ${number(regions)} of ${many(of, "region")}, each against its own earlier votes.`,
  comparedTurnout: (before, now) => `Turnout ${share(before)} then, ${share(now)} now.`,
  comparedSource: ({ kind, heldOn, source }) =>
    kind === "imported"
      ? `Held ${day(heldOn)}. Imported results (${isolate(source)}): these votes were not counted here.`
      : `Held ${day(heldOn)}, and counted here (${isolate(source)}).`,
  swingSentence: (from, to, by) => `A swing of ${points(by)} from ${isolate(from)} to ${isolate(to)}.`,
  then: "Then",
  nowShare: "Now",
  changeColumn: "Change",
  changeOf: (value) => `${signed(value)} pt`,
  othersRow: "All others",
  swing: "Swing to",
  byRegion: "see the region",
  notCompared: (why) => notCompared[why] ?? "Not compared",

  accounted: "Every record accounted for",
  notAccounted: "The count does not add up",
  unbalanced: (difference) =>
    difference === 0
      ? "The count does not add up on every partition. Do not rely on these figures until this is explained."
      : `The count does not add up: ${number(Math.abs(difference))} ${
        difference > 0 ? "records were read and have no outcome" : "outcomes more than records were read"
      }. Do not rely on these figures until this is explained.`,
  balanced: "Balanced",
  notBalanced: "NOT BALANCED",
  fates: {
    read: "read",
    counted: "counted",
    duplicate: "repeated",
    rejected: "rejected",
    held: "held for officials",
    statements: "statements",
  },
  outcome: "Outcome",
  records: "Records",
  outcomeOf: ({ fate, reason }) => {
    const name = reason === "" ? fate : `${fate}/${reason}`;
    return outcomes[name] ?? (reason || fate).replaceAll("_", " ");
  },

  officials: "Officials' view",
  resultsView: "Results",
  rate: "Votes per second",
  rateHint: (spanS) => `over the last ${spanS} seconds`,
  waiting: "Waiting to be counted",
  waitingHint: (records) => records === null ? "the log does not answer" : "records on the log",
  notCounted: "Not counted",
  notCountedHint: (duplicate, rejected) => `${number(duplicate)} repeated, ${number(rejected)} rejected`,
  heldLabel: "Held",
  heldHint: "wait for a decision",
  doubleVotes: (count) =>
    `Second votes of voters that were refused: ${number(count)}. Officials should look at them.`,
  gaps: (count) => `Gaps in the log's offsets to be explained before certification: ${number(count)}.`,
  partitions: "Partitions of the log",
  partition: "Partition",
  balance: "Balance",
  lag: "Waiting",
  unknown: "?",
  gateways: "Gateways",
  gateway: "Gateway",
  openKeys: "Open sender keys",
  stated: "Stated",
  read: "Read",
  missing: "Missing",
  rejections: "Newest records that were not counted",
  noRejections: "None.",
  noGateways: "No gateway has sent anything yet.",
  when: "When",
  why: "Why",
  logPlace: "Place on the log",

  alerts: "Alerts",
  noAlerts: "Nothing is wrong that the rules know of.",
  alertsSignIn: "Alerts are for officials. Choose your key file to sign in: it stays in this browser.",
  alertsKeyFile: "Key file",
  alertsAs: (account) => `Signed in as ${isolate(account)}.`,
  alertsSignOut: "Sign out",
  alertsNoKey: "This file is no key file, or this browser cannot sign with it.",
  alertsNotSecure: "Browsers sign only on pages that come over HTTPS or from this machine.",
  alertsAway: "The server does not answer.",
  alertsNotYours: "You have no role in this election.",
  alertsNoOffice: "This server does not answer officials.",
  gatewaysNow: "Gateways, as they said last",
  gatewaySeen: "Last asked",
  gatewaySpool: "In its spool",
  gatewayClock: "Clock",
  clockAhead: (ms) =>
    Math.abs(ms) < 1_000 ? "right" : `${decimal(Math.abs(ms) / 1_000)} s ${ms > 0 ? "ahead" : "behind"}`,
  never: "not yet",
  heldNow: (count) => `Waiting for a decision: ${number(count)}`,
  unreleased: "Counted and not shown yet",
  nothingUnreleased: "Everything that was counted is in the results.",
  released: "In the results",
  waitingVoters: "Not shown yet",
  alertsResolved: (count) => `Resolved in the last 7 days: ${number(count)}`,
  alertSeverity: "Severity",
  severities: { info: "Note", warning: "Warning", critical: "Critical" },
  alertSummary: "What is wrong",
  alertSince: "Since",
  alertUntil: "Until",
  alertSeen: "Seen by",
  alertReason: "What is done about it",
  alertAcknowledge: "Acknowledge",

  data: "The same figures as data:",
  feed: "changes (Atom)",
  api: "description of the API",
  embed: "Embed",
  wall: "Wall",
  moreAt: (name) => `All results of ${isolate(name)}`,
};
