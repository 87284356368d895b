/**
 * Valid signed requests, changed at random: none is taken but those that still carry, byte for byte, all that was
 * signed.
 *
 * The rule: a request is equivalent to the one it was made from, and is then taken, when method, target, body and
 * the values of the profile's five headers are the same, each header once, and there is no Content-Encoding. What may differ
 * is what HTTP itself does not tell apart or nobody signed: the case of headers' names, spaces around values, the order of
 * headers, and headers beside the profile.
 */
import assert from "assert";
import fc from "fast-check";
import { utf8 } from "../shared/bytes.ts";
import { runs } from "./runs.ts";
import { batchRequest, type TestGateway, testGateway, testVote, voteRequest } from "./gateway_fixture.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** How many mutants are sent. Mutants that are not HTTP at all are replaced: bad_day_test.ts sends such ones. */
const MUTANTS = runs(100_000, 10_000);
/** Valid requests that mutants are made from, half of them batches. */
const ORIGINALS = 32;
/** Maximum changes that one mutant has. */
const MAX_CHANGES = 3;

const PROFILE = ["content-type", "content-digest", "idempotency-key", "signature-input", "signature"];

/** A request in parts that can be changed. Names, values and target are one character a byte. */
type Message = { method: string; target: string; headers: [name: string, value: string][]; body: Uint8Array };

async function messageOf(request: Request): Promise<Message> {
  const headers = [...request.headers].filter(([name]) => PROFILE.includes(name));
  headers.push(["user-agent", "a device"]);
  return { method: "POST", target: new URL(request.url).pathname, headers, body: await request.bytes() };
}

/** What was signed, as HTTP delivers it; `undefined` when HTTP itself does not. */
type Delivered = Readonly<{ request: Request; signed: string }>;

function deliver({ method, target, headers: fields, body }: Message): Delivered | undefined {
  try {
    const headers = new Headers(fields);
    const request = new Request(`http://gateway.test${target}`, {
      method,
      headers,
      body: body as Uint8Array<ArrayBuffer>,
    });
    const values = PROFILE.map((name) => request.headers.get(name));
    const coding = request.headers.get("content-encoding");
    return { request, signed: JSON.stringify([request.method, target, values, coding, body.toHex()]) };
  } catch {
    return undefined;
  }
}

/** Where and how to change: numbers are taken modulo what there is. */
type Change = Readonly<{ how: number; where: number; at: number; to: number }>;

/** Changes a run of characters; `other` is the same part of another valid request. */
type Edit = (text: string, at: number, to: number, other: string) => string;

const splice = (text: string, at: number, remove: number, insert: string) =>
  text.slice(0, at) + insert + text.slice(at + remove);
const swapCase = (text: string) => text === text.toLowerCase() ? text.toUpperCase() : text.toLowerCase();

const EDITS: Readonly<Record<string, Edit>> = {
  flipBit: (text, at, to) =>
    splice(text, at, 1, String.fromCharCode((text.charCodeAt(at) || 0) ^ (1 << (to % 8)))),
  insert: (text, at, to) => splice(text, at, 0, String.fromCharCode(to % 256)),
  remove: (text, at, to) => splice(text, at, 1 + to % 3, ""),
  swap: (text, at) => splice(text, at, 2, text.slice(at, at + 2).split("").reverse().join("")),
  repeat: (text, at, to) => splice(text, at, 0, text.slice(at, at + 1 + to % 20)),
  truncate: (text, at) => text.slice(0, at),
  changeCase: (text, at, to) => splice(text, at, 1 + to % 40, swapCase(text.slice(at, at + 1 + to % 40))),
  space: (text, at, to) => splice(text, [0, text.length, at][to % 3], 0, [" ", "\t", "  "][at % 3]),
  base64: (text, _at, to) =>
    [
      text.replaceAll("+", "-").replaceAll("/", "_"),
      text.replace("=", ""),
      text.replace("=:", "==:"),
      // Another spelling of the same bytes: the last character has two bits to spare.
      text.replace(/(.)=:/, (_, last) => `${String.fromCharCode(last.charCodeAt(0) + 1)}=:`),
      text.replace("=:", "=\n:"),
    ][to % 5],
  percent: (text, at) => splice(text, at, 1, `%${(text.charCodeAt(at) || 0).toString(16).padStart(2, "0")}`),
  parameters: (text, at, to) => {
    const parts = text.split(";");
    const [one, two] = [at % parts.length, to % parts.length];
    [parts[one], parts[two]] = [parts[two], parts[one]];
    return parts.join(";");
  },
  number: (text, at, to) =>
    text.replace(/\d+/, (digits) => String(Number(digits) + (at % 2 ? 1 : -1) * (1 + to % 3))),
  fromOther: (_text, _at, _to, other) => other,
  tailOfOther: (text, at, _to, other) => text.slice(0, at) + other.slice(at),
  appendOther: (text, _at, _to, other) => `${text}, ${other}`,
  empty: () => "",
};
const EDIT_NAMES = Object.keys(EDITS);

/** Changes of the list of headers as a whole. */
const REARRANGEMENTS: ((headers: Message["headers"], at: number, to: number) => void)[] = [
  (headers, at, to) => headers.splice(to % headers.length, 0, ...headers.splice(at % headers.length, 1)),
  (headers, at, to) => headers.splice(to % headers.length, 0, headers[at % headers.length]),
  (headers, at) => headers.splice(at % headers.length, 1),
  (headers, at, to) => {
    const [one, two] = [headers[at % headers.length], headers[to % headers.length]];
    [one[1], two[1]] = [two[1], one[1]];
  },
  (headers, at) => headers.push(["content-encoding", ["gzip", "identity"][at % 2]]),
];

const latin1 = new TextDecoder("latin1");

/** One change, of a copy. */
function mutate(message: Message, { how, where, at, to }: Change, other: Message): Message {
  const headers = message.headers.map(([name, value]): [string, string] => [name, value]);
  const changed = { ...message, headers };
  const index = how % (EDIT_NAMES.length + REARRANGEMENTS.length);
  if (index >= EDIT_NAMES.length) {
    if (headers.length > 0) REARRANGEMENTS[index - EDIT_NAMES.length](headers, at, to);
    return changed;
  }
  const edit = (text: string, others: string) =>
    EDITS[EDIT_NAMES[index]](text, at % (text.length + 1), to, others);
  const part = where % (2 * headers.length + 4);
  if (part < 2 * headers.length) {
    const field = headers[part >> 1];
    const otherField = other.headers[(part >> 1) % other.headers.length];
    field[part & 1] = edit(field[part & 1], otherField[part & 1]);
  } else if (part === 2 * headers.length) changed.method = edit(message.method, "GET");
  else if (part === 2 * headers.length + 1) changed.target = edit(message.target, other.target);
  else {
    // Bytes, one a character: TextDecoder's latin1 is windows-1252, which maps some of them elsewhere.
    const text = Array.from(message.body, (byte) => String.fromCharCode(byte)).join("");
    changed.body = Uint8Array.from(
      edit(text, latin1.decode(other.body)),
      (character) => character.charCodeAt(0),
    );
  }
  return changed;
}

async function originals(): Promise<Message[]> {
  const requests = Array.from({ length: ORIGINALS }, (_, i) => {
    const vote = testVote();
    return i % 2 === 0 ? voteRequest(vote) : batchRequest([vote, testVote()]);
  });
  return await Promise.all(requests.map(messageOf));
}

/** Whether a gateway takes a request, or anything of it. */
async function isTaken({ app }: TestGateway, request: Request, target: string): Promise<boolean> {
  const response = await app.fetch(request, { address: "127.0.0.1", target });
  assert.notEqual(response.status, 500);
  const body = await response.text();
  return response.status === 202 || (response.status === 207 && body.includes(`"status":202`));
}

Deno.test(`a gateway takes none of ${MUTANTS} mutants of signed requests but those that carry what was signed`, async () => {
  const gateway = testGateway();
  const messages = await originals();
  const signed = new Set(messages.map((message) => deliver(message)!.signed));
  const counts = { taken: 0, refused: 0 };
  const changeOf = fc.record({ how: fc.nat(), where: fc.nat(), at: fc.nat(), to: fc.nat() });
  const number = fc.nat(ORIGINALS - 1);
  await fc.assert(
    fc.asyncProperty(
      number,
      number,
      fc.array(changeOf, { minLength: 1, maxLength: MAX_CHANGES }),
      async (of, other, changes) => {
        const mutant = changes.reduce(
          (message, change) => mutate(message, change, messages[other]),
          messages[of],
        );
        const delivered = deliver(mutant);
        fc.pre(delivered !== undefined);
        const equivalent = signed.has(delivered!.signed);
        counts[equivalent ? "taken" : "refused"]++;
        assert.equal(await isTaken(gateway, delivered!.request, mutant.target), equivalent);
      },
    ),
    { numRuns: MUTANTS },
  );
  assert.ok(counts.taken > MUTANTS / 100, "some are equivalent: the rule says something");
  assert.ok(counts.refused > MUTANTS / 2, "most are not");
  const votes = messages.reduce((sum, { target }) => sum + (target.endsWith("batch") ? 2 : 1), 0);
  assert.ok(gateway.spool.records <= votes, "no vote but the original ones");
  assert.deepEqual(gateway.errors, []);
});

Deno.test("the rule of equivalence tells the originals apart, and knows what it calls the same", async () => {
  const [message] = await originals();
  const gateway = testGateway();
  const same: Message = {
    ...message,
    headers: message.headers.toReversed().map(([name, value]) => [name.toUpperCase(), ` ${value}\t`]),
  };
  const { request, signed } = deliver(same)!;
  assert.equal(signed, deliver(message)!.signed);
  assert.ok(await isTaken(gateway, request, same.target));
  const other = { ...message, body: utf8("{}") };
  assert.notEqual(deliver(other)!.signed, signed);
});
