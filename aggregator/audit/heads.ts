/**
 * Heads of the audit's chains, signed: a short text that names a chain's newest event by its hash. With one that was kept, anybody can show later
 * that nothing before it was changed.
 *
 * @module
 */
import { fromHex, toBase64 } from "../../shared/bytes.ts";
import type { Query } from "../database/database.ts";
import { NO_HASH } from "./events.ts";
import { type NoteKey, type NoteVerifier, openNote, signNote } from "./note.ts";

/** A chain's head. `number` is that of its newest event, and how many there are; `hash` is that event's, in hex. */
export type Head = Readonly<{ election: string | null; number: number; hash: string; at: string }>;

const ORIGIN = "pollwire audit";

/** Writes the text that is signed: the chain, the number of events, the newest event's hash, the time. */
export function formatHead({ election, number, hash, at }: Head): string {
  const chain = election === null ? "office" : `election/${election}`;
  return `${ORIGIN} ${chain}\n${number}\n${toBase64(fromHex(hash))}\n${at}\n`;
}

/** Reads such a text; `undefined` when it is none. */
export function parseHead(text: string): Head | undefined {
  const match =
    /^pollwire audit (office|election\/([a-z0-9-]{1,64}))\n(0|[1-9]\d{0,14})\n([A-Za-z0-9+/]{43}=)\n(\d{4}-\d{2}-\d{2}T[\d:.]+Z)\n$/
      .exec(text);
  if (match === null) return undefined;
  return {
    election: match[2] ?? null,
    number: Number(match[3]),
    hash: Uint8Array.fromBase64(match[4]!).toHex(),
    at: match[5]!,
  };
}

/** What a file of heads holds. */
export type HeadsRead = Readonly<{ heads: Head[] }> | Readonly<{ fault: string }>;

/** Reads signed heads, one behind the other, and checks each signature. */
export function readHeads(file: string, verifier: NoteVerifier): HeadsRead {
  const notes = file.split(/^(?=pollwire audit )/m).filter((note) => note.trim() !== "");
  if (notes.length === 0) return { fault: "it holds no signed head, which begins with `pollwire audit`" };
  const heads: Head[] = [];
  for (const [at, note] of notes.entries()) {
    const text = openNote(note.trimEnd() + "\n", verifier);
    if (text === undefined) {
      return { fault: `head ${at + 1} in it has no signature of ${verifier.name} that fits its text` };
    }
    const head = parseHead(text);
    if (head === undefined) {
      return { fault: `note ${at + 1} in it is signed, and is not a head of an audit chain` };
    }
    heads.push(head);
  }
  return { heads };
}

/** The newest event of a chain as an unsigned head. */
export async function readHead(query: Query, election: string | null, now: Date): Promise<Head> {
  const [row] = await query<{ number: number; hash: string }>(
    `SELECT chain_number::float8 AS number, encode(hash, 'hex') AS hash FROM audit.events
     WHERE chain_number IS NOT NULL AND coalesce(election, '') = coalesce($1, '')
     ORDER BY chain_number DESC LIMIT 1`,
    [election],
  );
  return { election, number: row?.number ?? 0, hash: row?.hash ?? NO_HASH, at: now.toISOString() };
}

/** Signs a chain's head and keeps it. Returns the note. */
export async function signHead(
  query: Query,
  election: string | null,
  key: NoteKey,
  now: Date,
): Promise<string> {
  const head = await readHead(query, election, now);
  const note = signNote(formatHead(head), key);
  await query(
    `INSERT INTO audit.heads (election, chain_number, signed_at, note) VALUES ($1, $2, $3::timestamptz, $4)
     ON CONFLICT DO NOTHING`,
    [election ?? "", head.number, head.at, note],
  );
  return note;
}

/** The newest signed head of a chain that is kept; `undefined` when none was signed yet. */
export async function newestHead(
  query: Query,
  election: string | null,
): Promise<Readonly<{ number: number; signedAt: Date; note: string }> | undefined> {
  const [row] = await query<{ number: number; signedAt: Date; note: string }>(
    `SELECT chain_number::float8 AS number, signed_at AS "signedAt", note FROM audit.heads WHERE election = $1
     ORDER BY chain_number DESC, signed_at DESC LIMIT 1`,
    [election ?? ""],
  );
  return row;
}
