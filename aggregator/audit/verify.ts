/**
 * Checks the audit trail: finds an event that was changed, removed, moved or cut off, and names it. It needs the events alone, so
 * that anyone who has an export can do the same; with a signed head it also finds a chain that was replaced as a whole.
 *
 * @module
 */
import { lengthPrefixed } from "../../shared/bytes.ts";
import { sha256 } from "../../shared/keys.ts";
import { isoTime, type Query } from "../database/database.ts";
import type { Json } from "./canonical_json.ts";
import { type ChainedEvent, hashOfEvent, NO_HASH } from "./events.ts";
import type { Head } from "./heads.ts";

/** An event with the hash that is stored with it, in hex. */
export type StoredEvent = ChainedEvent & Readonly<{ hash: string }>;

/** A chain: of an election, or of the office (`null`). `start` is the hash before its first event. */
export type Chain = Readonly<{ election: string | null; start: string; events: readonly StoredEvent[] }>;

/** What is wrong with a chain. `number` is that of the event that is named. */
export type ChainFault = Readonly<{
  election: string | null;
  number: number;
  kind: "changed" | "removed" | "moved" | "cut_off" | "head";
  detail: string;
}>;

/** Says which chain an election's events are in. */
export function chainName(election: string | null): string {
  return election === null ? "the office's chain" : `the chain of election ${election}`;
}

/**
 * The first fault of a chain; `undefined` when it is whole.
 *
 * @param heads Signed heads of this chain, if there are any.
 */
export function findFault(chain: Chain, heads: readonly Head[] = []): ChainFault | undefined {
  return findBrokenEvent(chain) ?? findHeadFault(chain, heads);
}

function findBrokenEvent({ election, start, events }: Chain): ChainFault | undefined {
  const fault = (number: number, kind: ChainFault["kind"], detail: string): ChainFault => ({
    election,
    number,
    kind,
    detail,
  });
  let previous = start;
  for (const [at, event] of events.entries()) {
    const number = at + 1;
    if (event.number > number) {
      return fault(
        number,
        "removed",
        `event ${number} is missing: event ${event.number} follows ${number - 1}`,
      );
    }
    if (event.number < number) return fault(event.number, "moved", `event ${event.number} is there twice`);
    const { hash, ...said } = event;
    if (hashOfEvent(said) !== hash) {
      const moved = events.findIndex((_, before) => hashOfEvent({ ...said, number: before + 2 }) === hash) +
        2;
      if (moved > 1) {
        return fault(number, "moved", `event ${number} is not where it was written: it was event ${moved}`);
      }
      return fault(number, "changed", `event ${number} says something else than when it was written`);
    }
    if (event.previous !== previous) {
      return fault(
        number,
        "removed",
        number === 1
          ? "event 1 does not follow what came before the chain"
          : `event ${number - 1} is not the one that event ${number} was written behind`,
      );
    }
    previous = hash;
  }
  return undefined;
}

function findHeadFault({ election, events }: Chain, heads: readonly Head[]): ChainFault | undefined {
  for (
    const head of heads.filter((head) => head.election === election).toSorted((a, b) => a.number - b.number)
  ) {
    const { number, hash } = head;
    if (number > events.length) {
      return {
        election,
        number: events.length + 1,
        kind: "cut_off",
        detail: `events ${
          events.length + 1
        } to ${number} are missing: the head of ${head.at} has ${number} events`,
      };
    }
    if (number > 0 && events[number - 1]!.hash !== hash) {
      return {
        election,
        number,
        kind: "head",
        detail: `event ${number} or one before it is another than when the head of ${head.at} was signed`,
      };
    }
  }
  return undefined;
}

type Row = Omit<StoredEvent, "before" | "after" | "details"> & {
  before: string | null;
  after: string | null;
  details: string;
};

const COLUMNS = `election, chain_number::float8 AS number,
  ${isoTime("at")} AS at, event, actor, address, reason,
  state_before AS before, state_after AS after, details #>> '{}' AS details,
  encode(previous_hash, 'hex') AS previous, encode(hash, 'hex') AS hash`;

/**
 * Reads a chain.
 *
 * @param election Whose; `null` for the office's.
 * @param after Only events behind this number.
 */
export async function readEvents(
  query: Query,
  election: string | null,
  after = 0,
  limit = Number.MAX_SAFE_INTEGER,
): Promise<StoredEvent[]> {
  const rows = await query<Row>(
    `SELECT ${COLUMNS} FROM audit.events
     WHERE chain_number > $2::bigint AND coalesce(election, '') = coalesce($1, '')
     ORDER BY chain_number LIMIT $3::bigint`,
    [election, after, limit],
  );
  return rows.map(parseRow);
}

/** The newest events of a chain, oldest first. */
export async function readNewestEvents(
  query: Query,
  election: string | null,
  limit: number,
): Promise<StoredEvent[]> {
  const rows = await query<Row>(
    `SELECT ${COLUMNS} FROM audit.events
     WHERE chain_number IS NOT NULL AND coalesce(election, '') = coalesce($1, '')
     ORDER BY chain_number DESC LIMIT $2::bigint`,
    [election, limit],
  );
  return rows.map(parseRow).reverse();
}

function parseRow({ before, after, details, ...row }: Row): StoredEvent {
  const json = (text: string | null): Json => text === null ? null : JSON.parse(text);
  return { ...row, before: json(before), after: json(after), details: json(details) };
}

/** Reads a whole chain, and what stands before it. */
export async function readChain(query: Query, election: string | null): Promise<Chain> {
  const start = (await readOldEvents(query)).at(-1)?.hash ?? NO_HASH;
  return { election, start, events: await readEvents(query, election) };
}

/** Whose chains there are: elections, and `null` for the office. */
export async function chainsOf(query: Query): Promise<(string | null)[]> {
  const rows = await query<{ election: string | null }>(
    "SELECT DISTINCT election FROM audit.events WHERE chain_number IS NOT NULL ORDER BY election NULLS FIRST",
  );
  return rows.map(({ election }) => election);
}

/** An event from before there was a chain an election. */
type OldEvent = {
  number: number;
  at: string;
  event: string;
  election: string | null;
  details: string;
  previous: string;
  hash: string;
};

async function readOldEvents(query: Query): Promise<OldEvent[]> {
  return await query(
    `SELECT number::float8 AS number, ${isoTime("at")} AS at, event,
       election, details #>> '{}' AS details, encode(previous_hash, 'hex') AS previous, encode(hash, 'hex') AS hash
     FROM audit.events WHERE chain_number IS NULL ORDER BY number`,
  );
}

/** Checks the events from before there was a chain an election: they are one chain. */
export async function findOldFault(query: Query): Promise<ChainFault | undefined> {
  let previous = NO_HASH;
  let number = 0;
  for (const row of await readOldEvents(query)) {
    number++;
    const said = [row.previous, String(row.number), row.at, row.event, row.election ?? "", row.details];
    const hash = sha256(lengthPrefixed(...said)).toHex();
    if (row.number !== number || row.previous !== previous || row.hash !== hash) {
      const detail = `event ${number} of the trail before the chains was changed, removed or moved`;
      return { election: null, number, kind: "changed", detail };
    }
    previous = row.hash;
  }
  return undefined;
}

/**
 * Checks the whole trail.
 *
 * @param heads Signed heads that were checked: see heads.ts.
 * @returns each chain with its number of events, and the first fault of each that has one.
 */
export async function verifyTrail(
  query: Query,
  heads: readonly Head[],
): Promise<{ chains: { election: string | null; events: number }[]; faults: ChainFault[] }> {
  const old = await findOldFault(query);
  const faults = old === undefined ? [] : [old];
  const chains = [];
  // A head whose chain is gone altogether is a fault, too.
  const elections = new Set([...await chainsOf(query), ...heads.map(({ election }) => election)]);
  for (const election of elections) {
    const chain = await readChain(query, election);
    chains.push({ election, events: chain.events.length });
    const fault = findFault(chain, heads);
    if (fault !== undefined) faults.push(fault);
  }
  return { chains, faults };
}

/** Hashes events again, each with the hash of the one before. Somebody who replaces a chain would do the same; tests use it to check an export. */
export function hashedAgain(events: readonly StoredEvent[]): StoredEvent[] {
  let previous = events[0]?.previous ?? NO_HASH;
  return events.map(({ hash: _, ...said }) => {
    const event = { ...said, previous };
    previous = hashOfEvent(event);
    return { ...event, hash: previous };
  });
}
