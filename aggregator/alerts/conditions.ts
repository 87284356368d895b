/**
 * The conditions of the alerts, one function a rule: what holds now, by the facts and by what is remembered.
 *
 * @module
 */
import type { Facts, GatewayFacts, StationFacts } from "./facts.ts";
import type { RuleName, Rules } from "./rules.ts";
import { type AlertState, keyOf, minuteOf, sumEvents } from "./state.ts";
import { isWithinHours, judgePause, judgeRush } from "./station_rates.ts";

/**
 * What a rule finds about one subject. `holds` raises an alert; `unclear` raises none and ends none: a value between the two
 * thresholds of a rule, or one that is not known now. Of what is not found, the alert is over.
 */
export type Finding = Readonly<{
  rule: RuleName;
  /** A station, a gateway, a partition or a check; empty for the whole election. */
  subject: string;
  verdict: "holds" | "unclear";
  /** One line for officials: what is wrong, with its numbers. */
  summary: string;
}>;

type Found = Omit<Finding, "rule">;
/** What a condition is evaluated on. `state` includes the facts already. */
export type Seen = Readonly<{ facts: Facts; rules: Rules; state: AlertState; nowMs: number }>;

const RULES: { readonly [Name in RuleName]: (seen: Seen) => Found[] } = {
  station_silent: stationSilent,
  station_surge: stationSurge,
  more_votes_than_roll: moreVotesThanRoll,
  second_votes: (seen) =>
    tooMany(
      seen,
      "second_votes",
      (records, subject) => `${count(records, "second vote")} of voters ${place("at station", subject)}`,
    ),
  bad_proofs: (seen) =>
    tooMany(
      seen,
      "bad_proofs",
      (records, subject) =>
        `${count(records, "record")} ${
          place("from gateway", subject)
        } that no device signed: they are rejected`,
    ),
  bad_signatures: (seen) =>
    tooMany(
      seen,
      "bad_signatures",
      (records) => `${count(records, "record")} with a wrong signature on the log: they are rejected`,
    ),
  gateway_unseen: gatewayUnseen,
  spool_grows: spoolGrows,
  clock_ahead: clockAhead,
  missing_numbers: ({ facts, rules }) =>
    eachGateway(
      facts,
      ({ missingNumbers }) => missingNumbers >= rules.missing_numbers.numbers,
      (of) => `${count(of.missingNumbers, "record")} that gateway ${of.gateway} states were not read`,
    ),
  statement_exceeded: ({ facts, rules }) =>
    eachGateway(
      facts,
      ({ aboveStated }) => aboveStated >= rules.statement_exceeded.numbers,
      (of) => `${count(of.aboveStated, "record")} of gateway ${of.gateway} more than it states were read`,
    ),
  device_count_differs: ({ facts, rules }) =>
    facts.deviceCounts.filter(({ stated, counted }) =>
      Math.abs(stated - counted) >= rules.device_count_differs.votes
    ).map(({ station, devices, stated, counted }) =>
      holds(
        station,
        `${count(devices, "device")} of station ${station} ${devices === 1 ? "states" : "state"} ${
          count(stated, "vote")
        }, and ${counted} ${counted === 1 ? "was" : "were"} counted`,
      )
    ),
  count_lags: countLags,
  reconciliation_broken: ({ facts: { unbalanced } }) =>
    unbalanced.map(({ partition, difference }) =>
      holds(String(partition), `Partition ${partition}: records read and outcomes differ by ${difference}`)
    ),
  check_failed: ({ facts: { checks } }) =>
    checks.filter(({ hasPassed }) => !hasPassed).map(({ check, subject, detail }) =>
      holds(subject === undefined ? check : `${check}/${subject}`, `Check ${check} failed: ${detail}`)
    ),
};

/** Everything that the rules find now. */
export function findAll(seen: Seen): Finding[] {
  return (Object.keys(RULES) as RuleName[]).filter((rule) => seen.rules[rule].enabled)
    .flatMap((rule) => RULES[rule](seen).map((found) => ({ rule, ...found })));
}

function holds(subject: string, summary: string): Found {
  return { subject, verdict: "holds", summary };
}

function unclear(subject: string): Found {
  return { subject, verdict: "unclear", summary: "" };
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function place(what: string, subject: string): string {
  return subject === "" ? "of the election" : `${what} ${subject}`;
}

function rounded(number: number): string {
  return number < 10 ? number.toFixed(1) : String(Math.round(number));
}

function stationSilent(seen: Seen): Found[] {
  const { facts, rules, state, nowMs } = seen;
  if (!isWithinHours(facts, nowMs)) return [];
  const isAlone = facts.stations.length === 1;
  const isHidden = hiddenGateways(seen);
  return facts.stations.flatMap(({ station, gateway, isPaused }) => {
    if (isPaused) return [];
    // Votes that wait elsewhere say nothing about the station.
    if (isHidden === "all" || isHidden.has(gateway)) return [unclear(station)];
    const own = state.stations[station]!;
    const hasVotedSince = own.lastMinute > minuteOf(state.watchedSinceMs);
    if (!hasVotedSince && nowMs - state.watchedSinceMs < rules.station_silent.minMinutes * 60_000) {
      return [unclear(station)];
    }
    const pause = judgePause(own, rules.station_silent, isAlone, nowMs);
    if (!pause.isSilence) return [];
    return [
      holds(
        station,
        `No vote from station ${station} for ${pause.minutes} min; ${rounded(pause.expected)} were expected`,
      ),
    ];
  });
}

/** Gateways whose stations cannot be seen: they are away, or hold votes back; all while counting is behind. */
function hiddenGateways({ facts, rules, nowMs }: Seen): ReadonlySet<string> | "all" {
  const { lag, gateways, opensAtMs } = facts;
  if (lag === null || lag >= rules.count_lags.entries) return "all";
  const { gateway_unseen: { seconds }, spool_grows: { records } } = rules;
  return new Set(
    gateways.filter(({ seenAtMs, spoolRecords }) =>
      nowMs - (seenAtMs ?? opensAtMs) > seconds * 1_000 || (spoolRecords ?? 0) >= records
    ).map(({ gateway }) => gateway),
  );
}

function stationSurge({ facts, rules, state, nowMs }: Seen): Found[] {
  if (!isWithinHours(facts, nowMs)) return [];
  const allOnRoll = facts.stations.reduce((sum, { roll }) => sum + (roll ?? 0), 0);
  const isAlone = facts.stations.length === 1;
  const shareOf = ({ roll }: StationFacts) => roll === null || allOnRoll === 0 ? null : roll / allOnRoll;
  return facts.stations.flatMap((each) => {
    const { station } = each;
    const rush = judgeRush(
      state.stations[station]!,
      state.total,
      shareOf(each),
      rules.station_surge,
      isAlone,
    );
    if (!rush.isSurge) return rush.isOver ? [] : [unclear(station)];
    const { windowMinutes } = rules.station_surge;
    return [
      holds(
        station,
        `${rush.votes} votes from station ${station} in ${windowMinutes} min; ${
          rounded(rush.expected)
        } were expected`,
      ),
    ];
  });
}

function moreVotesThanRoll({ facts, rules }: Seen): Found[] {
  return facts.stations.flatMap(({ station, voters, roll }) => {
    if (roll === null) return [unclear(station)];
    if (voters - roll < rules.more_votes_than_roll.voters) return [];
    return [
      holds(station, `Station ${station} has ${voters} voters, and ${roll} may vote there by the roll`),
    ];
  });
}

/** Rules that count records of a kind in a window. */
function tooMany(
  { rules, state }: Seen,
  rule: "second_votes" | "bad_proofs" | "bad_signatures",
  summary: (records: number, subject: string) => string,
): Found[] {
  const { records, windowMinutes } = rules[rule];
  const prefix = keyOf(rule, "");
  return Object.entries(state.events).flatMap(([key, events]) => {
    const sum = sumEvents(events);
    if (!key.startsWith(prefix) || sum < records) return [];
    const subject = key.slice(prefix.length);
    return [holds(subject, `In ${windowMinutes} min: ${summary(sum, subject)}`)];
  });
}

function eachGateway(
  { gateways }: Facts,
  isBad: (gateway: GatewayFacts) => boolean,
  summary: (gateway: GatewayFacts) => string,
): Found[] {
  return gateways.filter(isBad).map((each) => holds(each.gateway, summary(each)));
}

function gatewayUnseen({ facts, rules, state, nowMs }: Seen): Found[] {
  const { opensAtMs, acceptsUntilMs } = facts;
  if (nowMs < opensAtMs || nowMs > acceptsUntilMs) return [];
  // While no aggregator ran, no gateway could be seen.
  const sinceMs = Math.max(opensAtMs, state.watchedSinceMs);
  const limitMs = rules.gateway_unseen.seconds * 1_000;
  return facts.gateways.flatMap(({ gateway, seenAtMs }) => {
    if (nowMs - Math.max(seenAtMs ?? opensAtMs, opensAtMs) <= limitMs) return [];
    if (nowMs - Math.max(seenAtMs ?? sinceMs, sinceMs) <= limitMs) return [unclear(gateway)];
    const since = seenAtMs === null ? "since the polls opened" : `since ${new Date(seenAtMs).toISOString()}`;
    return [holds(gateway, `Gateway ${gateway} has not asked the aggregator ${since}`)];
  });
}

function spoolGrows({ facts, rules: { spool_grows: rule }, state }: Seen): Found[] {
  return facts.gateways.flatMap(({ gateway, spoolRecords }) => {
    if (spoolRecords === null || spoolRecords < rule.clearRecords) return [];
    const samples = state.spools[gateway] ?? [];
    const [first] = samples;
    const last = samples.at(-1);
    const isWhole = first !== undefined && last![0] - first[0] >= rule.windowMinutes - 1;
    const hasGrown = isWhole && samples.every(([, records]) => records >= rule.records) &&
      spoolRecords >= first[1];
    if (!hasGrown) return [unclear(gateway)];
    return [
      holds(
        gateway,
        `${spoolRecords} records wait in the spool of gateway ${gateway}, and it does not drain`,
      ),
    ];
  });
}

function clockAhead({ facts, rules: { clock_ahead: rule }, state }: Seen): Found[] {
  return facts.gateways.flatMap(({ gateway, clockAheadMs }) => {
    const ahead = (clockAheadMs ?? 0) / 1_000;
    const records = sumEvents(state.events[keyOf("clock_ahead", gateway)]);
    const bySync = ahead >= rule.seconds && `its clock is ${Math.round(ahead)} s ahead`;
    const byRecords = records > 0 &&
      `${count(records, "record")} in ${rule.windowMinutes} min, accepted over 300 s after the log took them`;
    const said = [bySync, byRecords].filter((each) => each !== false).join("; ");
    if (said !== "") return [holds(gateway, `Gateway ${gateway}: ${said}`)];
    return ahead >= rule.clearAheadSeconds && rule.clearAheadSeconds > 0 ? [unclear(gateway)] : [];
  });
}

function countLags({ facts: { lag }, rules: { count_lags: rule } }: Seen): Found[] {
  if (lag === null) return [unclear("")];
  if (lag >= rule.entries) return [holds("", `${lag} entries of the log wait to be counted`)];
  return lag >= rule.clearEntries ? [unclear("")] : [];
}
