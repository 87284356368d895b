/**
 * Reads the text of a vote. A text as the device library writes it is read in one pass, which takes a quarter of the time of
 * JSON and schema; any other takes the general way. Both accept the same votes: vote_text_test.ts holds them together.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { ID } from "./election.ts";
import { readJson } from "./json.ts";
import { VOTING_MODES } from "./mode.ts";
import { RecentMap } from "./recent.ts";
import { MAX_SELECTIONS, type Selection, type Vote, VOTE_ID, voteSchema } from "./vote.ts";

/** Lists of selections that are kept; elections with few contests have few different ones. */
const MAX_KEPT = 4_000;
/** Maximum characters of a list that is kept: long ones hardly ever come twice. */
const MAX_KEPT_CHARS = 1_000;

/** A form as a part of another one: without its `^` and `$`. */
const partOf = ({ source }: RegExp) => source.slice(1, -1);
const SELECTION = `\\{"contest":"${partOf(ID)}","candidate":"${partOf(ID)}"\\}`;
const SELECTIONS = new RegExp(`^(?:${SELECTION}(?:,${SELECTION})*)?$`);
/** The vote id is of one length, so it is read from the bytes: a part of the text would keep all of it in memory. */
const VOTE_ID_AT = `{"voteId":"`.length;
const VOTE_ID_CHARS = 36;
/** Captures: voter id, station, mode, selections, castAt, and its day. */
const PLAIN = new RegExp(
  `^\\{"voteId":"${partOf(VOTE_ID)}",` +
    // Every visible character but those that JSON escapes.
    `"voterId":"([!#-\\[\\]-~]{1,64})","station":"(${partOf(ID)})","mode":"(${VOTING_MODES.join("|")})",` +
    `"selections":\\[([^\\]]*)\\],` +
    `"castAt":"(\\d{4}-(?:0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])T(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d\\.\\d{3}Z)"\\}$`,
);
/** Every month has as many days. */
const DAYS_OF_EVERY_MONTH = 28;

const kept = new RecentMap<readonly Selection[]>(MAX_KEPT);

/** Reads a vote from UTF-8; `undefined` when it is none. Its selections are frozen if they are shared by equal ballots. */
export function readVote(bytes: Uint8Array): Vote | undefined {
  return readPlain(bytes) ?? readAny(bytes);
}

/** The general way: JSON that no two readers understand differently, and the schema. */
export function readAny(bytes: Uint8Array): Vote | undefined {
  let vote: Vote | undefined;
  const read = readJson(bytes, (value) => (vote = voteSchema.safeParse(value).data) !== undefined);
  return "reason" in read ? undefined : vote;
}

/** Reads a text that is, byte for byte, what `JSON.stringify` writes of a vote; `undefined` for any other. */
export function readPlain(bytes: Uint8Array): Vote | undefined {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  // A byte that is not ASCII becomes a character that does not match.
  const found = PLAIN.exec(source.toString("latin1"));
  if (found === null) return undefined;
  const [, voterId, station, mode, list, castAt, day] = found as unknown as string[];
  if (Number(day) > DAYS_OF_EVERY_MONTH && new Date(castAt!).getUTCDate() !== Number(day)) return undefined;
  const selections = kept.get(list!) ?? readSelections(list!);
  if (selections === undefined) return undefined;
  return {
    voteId: source.toString("latin1", VOTE_ID_AT, VOTE_ID_AT + VOTE_ID_CHARS),
    voterId: voterId!,
    station: station!,
    mode: mode as Vote["mode"],
    selections: selections as Selection[],
    castAt: castAt!,
  };
}

function readSelections(list: string): readonly Selection[] | undefined {
  if (!SELECTIONS.test(list)) return undefined;
  const text = `[${list}]`;
  const selections: Selection[] = JSON.parse(text);
  if (selections.length > MAX_SELECTIONS) return undefined;
  if (list.length > MAX_KEPT_CHARS) return selections;
  for (const selection of selections) Object.freeze(selection);
  Object.freeze(selections);
  // As a key of its own: `list` is a part of the vote's text, and would keep it in memory.
  return kept.set(JSON.stringify(selections).slice(1, -1), selections);
}
