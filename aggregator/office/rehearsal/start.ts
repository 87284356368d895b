/**
 * Starts a rehearsal: another election, made of what the registry has of the one that is rehearsed, with keys, log and roll of its
 * own. Nothing of the real election is written.
 *
 * @module
 */
import { utf8 } from "../../../shared/bytes.ts";
import type { ElectionDefinition, Manifest } from "../../../shared/election.ts";
import { sha256 } from "../../../shared/keys.ts";
import { isRehearsal, MAX_REHEARSALS, rehearsalId } from "../../../shared/rehearsal.ts";
import { appendAudit } from "../../audit/events.ts";
import type { Query } from "../../database/database.ts";
import { readTimeZone } from "../../registry/definition.ts";
import { createElection } from "../../registry/elections.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { importRoll, type Voter } from "../../registry/roll.ts";
import { readDeviceStations, storedDefinition } from "../../registry/stored_definition.ts";
import { conflict, type Refusal } from "../access/accounts.ts";
import { readState } from "../lifecycle/state.ts";
import type { OfficeSources } from "../sources.ts";
import { type Deck, formatDeck, parseDeck, votersOfLine } from "./deck.ts";
import { makeDeck } from "./make_deck.ts";
import { readRehearsal, type Rehearsal } from "./store.ts";

/** Bounds of how long a rehearsal is open, in minutes. */
export const REHEARSAL_MINUTES = { min: 5, max: 10_080, default: 480 } as const;
/** How long votes of a rehearsal are taken after it closed, in milliseconds: its devices wait for their answers before that. */
export const REHEARSAL_WINDOW_MS = 5_000;
/** Longest name of an election, in characters. */
const MAX_NAME_CHARS = 200;

/** What a rehearsal is started with. */
export type RehearsalStart = Readonly<{
  /** The deck's text. */
  deck: string;
  minutes: number;
  /** Where gateways find the aggregator, for a gateway's file that is not there yet. */
  aggregators: readonly string[];
}>;

/** What was started, and the files that were written. */
export type Started = Readonly<{ rehearsal: Rehearsal; files: readonly string[]; closesAt: string }>;

/** Makes the deck of an election, as text. */
export async function deckOf(query: Query, election: string): Promise<string> {
  const manifest = (await newestManifest(query, election))!;
  return formatDeck(makeDeck(manifest, await readDeviceStations(query, election)));
}

/** Starts a rehearsal. */
export async function startRehearsal(
  sources: OfficeSources,
  election: string,
  { deck: text, minutes, aggregators }: RehearsalStart,
  account: string,
  now: Date,
): Promise<Started | Refusal> {
  const { db, keyring } = sources;
  if (isRehearsal(election)) return conflict(`${election} is a rehearsal itself`);
  const { phase, manifest: real } = await readState(db.query, election, now);
  if (phase !== "draft" && phase !== "scheduled") {
    return conflict(
      `the election is ${phase}: it is rehearsed before voting, while it is draft or scheduled`,
    );
  }
  const deck = parseDeck(text);
  if (deck.election !== election) return conflict(`the deck is of ${deck.election}, and not of ${election}`);
  const begun = await begin(db.query, election, text, account, now);
  if ("refused" in begun) return begun;
  const { rehearsal } = begun;
  const master = keyring.create(rehearsal);
  const definition: ElectionDefinition = {
    ...await storedDefinition(db.query, real),
    election: rehearsal,
    name: `REHEARSAL: ${real.name}`.slice(0, MAX_NAME_CHARS),
    opensAt: now.toISOString(),
    closesAt: new Date(now.getTime() + minutes * 60_000).toISOString(),
    acceptsUntil: new Date(now.getTime() + minutes * 60_000 + REHEARSAL_WINDOW_MS).toISOString(),
    devices: (await readDeviceStations(db.query, election)).map(({ device, station }) => ({
      id: device,
      station,
    })),
    retentionDays: 0,
    timeZone: await readTimeZone(db.query, election),
  };
  const manifest = await createElection(db, definition, master, now, { rehearsalOf: real });
  await importRoll(db, rehearsal, master, testVoters(deck, manifest), () => now.getTime());
  const files = await sources.onElection?.(manifest, master, aggregators) ?? [];
  await db.transaction((query) =>
    appendAudit(query, now, "rehearsal_started", rehearsal, {
      of: election,
      manifestVersion: real.version,
      deckSha256: begun.deckSha256,
      ballots: deck.ballots.length,
    })
  );
  return { rehearsal: begun, files, closesAt: manifest.closesAt };
}

/** Takes the next number. One rehearsal of an election runs at a time. */
async function begin(
  query: Query,
  election: string,
  deck: string,
  account: string,
  now: Date,
): Promise<Rehearsal | Refusal> {
  const [last] = await query<{ number: number; live: string | null }>(
    `SELECT coalesce(max(number), 0) AS number, max(rehearsal) FILTER (WHERE reset_at IS NULL) AS live
     FROM office.rehearsals WHERE election = $1`,
    [election],
  );
  const number = last!.number + 1;
  if (last!.live !== null) {
    return conflict(`${last!.live} has not been reset yet: one rehearsal runs at a time`);
  }
  if (number > MAX_REHEARSALS) {
    return conflict(`it has been rehearsed ${MAX_REHEARSALS} times, which is the limit`);
  }
  const rehearsal = rehearsalId(election, number);
  if (rehearsal === undefined) {
    return conflict(
      `${election}-rehearsal-${number} would be too long for an election's id, which has 64 characters`,
    );
  }
  const made = await query(
    `INSERT INTO office.rehearsals (election, number, rehearsal, deck, deck_sha256, started_by, started_at)
     VALUES ($1, $2, $3, $4, decode($5, 'hex'), $6, $7::timestamptz) ON CONFLICT DO NOTHING RETURNING 1`,
    [election, number, rehearsal, deck, sha256(utf8(deck)).toHex(), account, now.toISOString()],
  );
  if (made.length === 0) return conflict("another rehearsal has just been started: one runs at a time");
  return (await readRehearsal(query, election, number))!;
}

/** Voters who are nobody, at the stations of their ballots. */
function* testVoters({ ballots }: Deck, { stations }: Manifest): Generator<Voter> {
  const regions = new Map(stations.map(({ id, region }) => [id, region]));
  for (const [i, line] of ballots.entries()) {
    const region = regions.get(line.station);
    // A station that is not there: the comparison says that its votes are missing.
    if (line.again !== undefined || region === undefined) continue;
    for (const voter_id of votersOfLine(line, i + 1)) {
      yield { voter_id, region, station: line.station, birth_date: "", gender: "unknown" };
    }
  }
}
