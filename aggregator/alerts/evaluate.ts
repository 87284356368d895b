/**
 * Which alerts to raise and which to resolve: a pure function of the facts, the rules, what is remembered and the time.
 *
 * @module
 */
import { findAll, type Finding } from "./conditions.ts";
import type { Facts } from "./facts.ts";
import { type RuleName, type Rules, SEVERITIES, type Severity } from "./rules.ts";
import { addEvents, type AlertState, isAfterBreak, keyOf, minuteOf } from "./state.ts";
import { advanceStations } from "./station_rates.ts";

/** Maximum active alerts of an election. */
export const MAX_ACTIVE_ALERTS = 2_000;
/** Maximum alerts that one evaluation raises or resolves: each is an event on the audit trail. The others follow with the next one. */
export const MAX_CHANGES_AT_ONCE = 50;

/** An alert that is not resolved, as far as it matters here. */
export type ActiveAlert = Readonly<{ rule: string; subject: string; summary: string; severity: Severity }>;

/** An alert to raise. */
export type RaisedAlert = Finding & Readonly<{ severity: Severity }>;

/** What to do, and the state to keep once it is done. */
export type Evaluation = Readonly<{
  state: AlertState;
  raised: readonly RaisedAlert[];
  /** Alerts whose numbers have changed. */
  changed: readonly RaisedAlert[];
  resolved: readonly ActiveAlert[];
}>;

/** See the module. `active` are the alerts that are not resolved. */
export function evaluate(
  facts: Facts,
  rules: Rules,
  { state: previous, active }: Readonly<{ state: AlertState; active: readonly ActiveAlert[] }>,
  nowMs: number,
): Evaluation {
  const state = advance(facts, rules, previous, nowMs);
  const findings = new Map(
    findAll({ facts, rules, state, nowMs }).map((found) => [keyOf(found.rule, found.subject), found]),
  );
  const known = new Map(active.map((alert) => [keyOf(alert.rule, alert.subject), alert]));
  const look = { findings, known, rules, state, previous, nowMs };
  const due = dueToRaise(look);
  const over = dueToResolve(look);
  const resolved = over.slice(0, MAX_CHANGES_AT_ONCE);
  const room = Math.min(MAX_CHANGES_AT_ONCE - resolved.length, MAX_ACTIVE_ALERTS - active.length);
  const raised = due.slice(0, Math.max(0, room));
  for (const { rule, subject } of raised) delete state.pending[keyOf(rule, subject)];
  for (const { rule, subject } of resolved) delete state.clearing[keyOf(rule, subject)];
  const changed = [...findings].flatMap(([key, found]) => {
    const before = known.get(key);
    const after = { ...found, severity: rules[found.rule].severity };
    const isNews = before !== undefined && found.verdict === "holds" &&
      (before.summary !== after.summary || before.severity !== after.severity);
    return isNews ? [after] : [];
  });
  return { state, raised, changed, resolved };
}

/** One evaluation: what was found, which alerts are active, and the state before and after. */
type Look = Readonly<{
  findings: ReadonlyMap<string, Finding>;
  known: ReadonlyMap<string, ActiveAlert>;
  rules: Rules;
  state: AlertState;
  previous: AlertState;
  nowMs: number;
}>;

/** Alerts whose condition has held for long enough, the worst first. Notes in the state since when the others hold. */
function dueToRaise({ findings, known, rules, state, previous, nowMs }: Look): RaisedAlert[] {
  const due: RaisedAlert[] = [];
  for (const [key, found] of findings) {
    if (known.has(key)) continue;
    const since = earlier(previous.pending[key], nowMs);
    if (found.verdict === "unclear") {
      if (since !== undefined) state.pending[key] = since;
      continue;
    }
    const { forSeconds, severity } = rules[found.rule];
    state.pending[key] = since ?? nowMs;
    if (nowMs - (since ?? nowMs) >= forSeconds * 1_000) due.push({ ...found, severity });
  }
  return due.toSorted((a, b) => SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity));
}

/** Alerts whose condition has been gone for long enough. Notes in the state since when it is gone of the others. */
function dueToResolve({ findings, known, rules, state, previous, nowMs }: Look): ActiveAlert[] {
  const due: ActiveAlert[] = [];
  for (const [key, alert] of known) {
    const since = earlier(previous.clearing[key], nowMs);
    // Of an unclear one the time that it has been gone starts anew, too.
    if (findings.has(key)) continue;
    // A rule that was switched off, or that another version had, holds nothing open.
    const rule = rules[alert.rule as RuleName];
    const clearMs = rule?.enabled === true ? rule.clearSeconds * 1_000 : 0;
    state.clearing[key] = since ?? nowMs;
    if (nowMs - (since ?? nowMs) >= clearMs) due.push(alert);
  }
  return due;
}

/** A time that was noted; `undefined` when it lies in the future, because the clock was set back. */
function earlier(noted: number | undefined, nowMs: number): number | undefined {
  return noted !== undefined && noted <= nowMs ? noted : undefined;
}

/** Takes the facts in. */
function advance(facts: Facts, rules: Rules, previous: AlertState, nowMs: number): AlertState {
  const minute = minuteOf(nowMs);
  const events: AlertState["events"] = {};
  const windows = {
    second_votes: rules.second_votes.windowMinutes,
    bad_proofs: rules.bad_proofs.windowMinutes,
    bad_signatures: rules.bad_signatures.windowMinutes,
    clock_ahead: rules.clock_ahead.windowMinutes,
  };
  const add = (rule: keyof typeof windows, subject: string, records: number) => {
    const key = keyOf(rule, subject);
    const kept = addEvents(events[key] ?? previous.events[key] ?? [], minute, records, windows[rule]);
    if (kept.length > 0) events[key] = kept;
    else delete events[key];
  };
  for (const key of Object.keys(previous.events)) {
    const [rule, subject] = key.split(" ") as [keyof typeof windows, string];
    if (Object.hasOwn(windows, rule)) add(rule, subject, 0);
  }
  const stations = new Set(facts.stations.map(({ station }) => station));
  const gateways = new Set(facts.gateways.map(({ gateway }) => gateway));
  const ifKnown = (id: string | null, ids: ReadonlySet<string>) => id !== null && ids.has(id) ? id : "";
  for (const { reason, gateway, station, records } of facts.rejected) {
    if (reason === "double_vote") add("second_votes", ifKnown(station, stations), records);
    if (reason === "bad_proof") add("bad_proofs", ifKnown(gateway, gateways), records);
  }
  // A rebuild counts anew from nothing: what it counts was counted before.
  add("bad_signatures", "", Math.max(0, facts.badSignatures - previous.badSignatures));
  for (const { gateway, recordsAhead } of facts.gateways) {
    add("clock_ahead", gateway, Math.max(0, recordsAhead - (previous.recordsAhead[gateway] ?? 0)));
  }
  return {
    ...previous,
    ...advanceStations(facts, rules, previous, nowMs),
    atMs: nowMs,
    watchedSinceMs: isAfterBreak(previous, nowMs) ? nowMs : Math.min(previous.watchedSinceMs, nowMs),
    events,
    spools: advanceSpools(facts, rules, previous, minute),
    badSignatures: facts.badSignatures,
    recordsAhead: Object.fromEntries(facts.gateways.map((each) => [each.gateway, each.recordsAhead])),
    pending: {},
    clearing: {},
  };
}

/** The lowest number of records in each spool, by minute. */
function advanceSpools(facts: Facts, rules: Rules, previous: AlertState, minute: number) {
  const { windowMinutes } = rules.spool_grows;
  return Object.fromEntries(facts.gateways.flatMap(({ gateway, spoolRecords }) => {
    if (spoolRecords === null) return [];
    const kept = addEvents(previous.spools[gateway] ?? [], minute, 0, windowMinutes);
    const last = kept.at(-1);
    const [rest, lowest] = last?.[0] === minute
      ? [kept.slice(0, -1), Math.min(last[1], spoolRecords)]
      : [kept, spoolRecords];
    return [[gateway, [...rest, [minute, lowest] as [number, number]]]];
  }));
}
