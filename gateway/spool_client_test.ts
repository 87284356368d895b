import assert from "assert";
import { testSender } from "../tests/spool_fixture.ts";
import { FINGERPRINT_BYTES } from "./fingerprint.ts";
import { HeldVotes } from "./held_votes.ts";
import type { ElectionKeys } from "./sender_keys.ts";
import type { SpoolRun, SpoolState } from "./spool.ts";
import {
  MAX_WAITING_RECORDS,
  NotSpooled,
  SpoolClient,
  type SpoolEvents,
  type SpoolRecord,
} from "./spool_client.ts";
import type { SpoolReply, SpoolRequest } from "./spool_host.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const DEVICE = "n-1-a";
const RECORD_BYTES = 5;
const EMPTY: SpoolState = { chunks: 0, records: 0, bytes: 0, damagedRecords: 0 };

let made = 0;

function makeRecords(count: number): SpoolRecord[] {
  return Array.from({ length: count }, () => {
    const plaintext = new Uint8Array(RECORD_BYTES);
    new DataView(plaintext.buffer).setUint32(0, ++made);
    const fingerprint = new Uint8Array(FINGERPRINT_BYTES);
    new DataView(fingerprint.buffer).setUint32(0, made);
    return { partition: made % 3, plaintext, fingerprint };
  });
}

/** The same record, many times: enough where only the number matters. */
function many(count: number): SpoolRecord[] {
  return new Array(count).fill(makeRecords(1)[0]);
}

type Append = Extract<SpoolRequest, { kind: "append" }>;

/** A client, and what it sends to the spool's thread. */
function connect(events: SpoolEvents = {}, votes?: HeldVotes) {
  const sent: SpoolRequest[] = [];
  const transferred: ArrayBuffer[][] = [];
  const client = new SpoolClient(
    (request, transfer) => {
      sent.push(request);
      transferred.push(transfer);
    },
    events,
    votes,
  );
  return {
    client,
    sent,
    transferred,
    append: (at: number) => sent[at] as Append,
    /** Answers the append that was sent last. */
    answer(more: Partial<Extract<SpoolReply, { kind: "appended" }>> = {}) {
      client.handle({ kind: "appended", id: (sent.at(-1) as Append).id, state: EMPTY, tookMs: 2, ...more });
    },
  };
}

/** How each promise ended, or `waits`. */
async function fates(promises: readonly Promise<void>[]): Promise<string[]> {
  const found = promises.map(() => "waits");
  promises.forEach((promise, i) =>
    promise.then(() => found[i] = "durable", (error) => {
      assert.ok(error instanceof NotSpooled);
      found[i] = `${error.reason}: ${error.message}`;
    })
  );
  await new Promise((resolve) => setTimeout(resolve, 0));
  return found;
}

/** The records of a run, as they were handed over. */
function recordsOf({ partitions, plaintexts, fingerprints }: SpoolRun): SpoolRecord[] {
  assert.equal(plaintexts.length, partitions.length * RECORD_BYTES);
  return Array.from(partitions, (partition, i) => ({
    partition,
    plaintext: plaintexts.slice(i * RECORD_BYTES, (i + 1) * RECORD_BYTES),
    fingerprint: fingerprints.slice(i * FINGERPRINT_BYTES, (i + 1) * FINGERPRINT_BYTES),
  }));
}

function unpacked({ runs }: Append): SpoolRecord[] {
  return runs.flatMap(recordsOf);
}

Deno.test("SpoolClient.append() resolves once its records are durable, and not before", async () => {
  const { client, append, answer, transferred } = connect();
  const records = makeRecords(3);
  const appended = client.append("a", DEVICE, records);
  assert.deepEqual(await fates([appended]), ["waits"]);
  const [{ election, parts, partitions, plaintexts, fingerprints }] = append(0).runs;
  assert.deepEqual([election, parts], ["a", [{ id: 0, device: DEVICE, records: 3 }]]);
  assert.deepEqual(unpacked(append(0)), records);
  assert.deepEqual(transferred[0], [partitions.buffer, plaintexts.buffer, fingerprints.buffer]);
  answer();
  assert.deepEqual(await fates([appended]), ["durable"]);
});

Deno.test("SpoolClient sends what comes during a commit in one message, in order", async () => {
  const { client, sent, append, answer } = connect();
  const first = client.append("a", DEVICE, makeRecords(1));
  await fates([first]);
  const records = Array.from({ length: 50 }, () => makeRecords(1));
  const rest = records.map((list) => client.append("a", DEVICE, list));
  assert.deepEqual(new Set(await fates(rest)), new Set(["waits"]));
  assert.equal(sent.length, 1);
  answer();
  await fates([first]);
  assert.equal(sent.length, 2);
  assert.equal(append(1).runs.length, 1, "one run");
  assert.deepEqual(unpacked(append(1)), records.flat());
  assert.deepEqual(new Set(await fates(rest)), new Set(["waits"]));
  answer();
  assert.deepEqual(new Set(await fates(rest)), new Set(["durable"]));
  assert.equal(sent.length, 2);
});

Deno.test("SpoolClient sends what comes in one turn in one message", async () => {
  const { client, sent, append, answer } = connect();
  const appended = [1, 2, 3].map((count) => client.append("a", DEVICE, makeRecords(count)));
  await fates(appended);
  assert.equal(sent.length, 1);
  assert.equal(unpacked(append(0)).length, 6);
  answer();
  assert.deepEqual(await fates(appended), ["durable", "durable", "durable"]);
});

Deno.test("SpoolClient joins each election's records by themselves, and says whose they are", async () => {
  const { client, append, answer } = connect();
  const [first, second, third] = [makeRecords(2), makeRecords(1), makeRecords(3)];
  const appended = [
    client.append("a", "n-1-a", first),
    client.append("b", "n-1-a", second),
    client.append("a", "n-2-a", third),
  ];
  await fates(appended);
  assert.deepEqual(append(0).runs.map(({ election, parts }) => [election, parts]), [
    ["a", [{ id: 0, device: "n-1-a", records: 2 }, { id: 2, device: "n-2-a", records: 3 }]],
    ["b", [{ id: 1, device: "n-1-a", records: 1 }]],
  ]);
  assert.deepEqual(append(0).runs.map(recordsOf), [[...first, ...third], second]);
  answer();
  assert.deepEqual(await fates(appended), ["durable", "durable", "durable"]);
});

Deno.test("SpoolClient refuses only the device that has used up its share", async () => {
  const numbered: number[] = [];
  const { client, answer } = connect({ onNumbered: (records) => numbered.push(records) });
  const appended = [
    client.append("a", "n-1-a", makeRecords(2)),
    client.append("a", "n-2-a", makeRecords(3)),
    client.append("b", "n-1-a", makeRecords(1)),
  ];
  await fates(appended);
  answer({ refused: [1] });
  assert.deepEqual(await fates(appended), [
    "durable",
    "device-share: votes of device n-2-a fill its share of the spool: wait until the log accepts records again",
    "durable",
  ]);
  assert.deepEqual(numbered, [2, 1]);
  assert.deepEqual(["a", "b", "c"].map((election) => client.numberedOf(election)), [2, 1, 0]);
});

Deno.test("SpoolClient bounds a commit, unless one request brings more", async () => {
  const { client, sent, append, answer } = connect();
  const appended = [many(4_999), many(2), many(1), many(6_000)].map((list) =>
    client.append("a", DEVICE, list)
  );
  await fates(appended);
  assert.equal(unpacked(append(0)).length, 5_001);
  answer();
  assert.equal(unpacked(append(1)).length, 6_001);
  assert.deepEqual(await fates(appended), ["durable", "durable", "waits", "waits"]);
  answer();
  assert.deepEqual(await fates(appended), Array(4).fill("durable"));
  assert.equal(sent.length, 2);
});

Deno.test("SpoolClient.append() is busy when too many records wait, and not once they have gone", async () => {
  const { client, answer } = connect();
  const first = client.append("a", DEVICE, many(1));
  await fates([first]);
  const full = client.append("a", DEVICE, many(MAX_WAITING_RECORDS));
  const refused = client.append("a", DEVICE, many(1));
  assert.deepEqual(await fates([full, refused]), ["waits", "busy: 50000 votes wait for the disk"]);
  answer();
  const later = client.append("a", DEVICE, many(MAX_WAITING_RECORDS));
  answer();
  assert.deepEqual(await fates([first, full, later]), ["durable", "durable", "waits"]);
  answer();
  assert.deepEqual(await fates([later]), ["durable"]);
});

for (
  const [failed, reason] of [["full", "spool-full"], ["disk", "spool-failed"]] as const
) {
  Deno.test(`SpoolClient rejects only the requests of a failed commit (${failed})`, async () => {
    const { client, append, answer } = connect();
    const before = client.append("a", DEVICE, makeRecords(1));
    await fates([before]);
    answer();
    const concerned = [
      client.append("a", DEVICE, makeRecords(1)),
      client.append("b", DEVICE, makeRecords(1)),
    ];
    await fates(concerned);
    const after = client.append("a", DEVICE, makeRecords(1));
    answer({ failed, why: "for a reason" });
    assert.deepEqual(
      await fates([before, ...concerned, after]),
      ["durable", `${reason}: for a reason`, `${reason}: for a reason`, "waits"],
    );
    assert.equal(unpacked(append(2)).length, 1);
    answer();
    assert.deepEqual(await fates([after]), ["durable"]);
  });
}

Deno.test("SpoolClient takes no answer for another commit's", async () => {
  const { client, answer, append } = connect();
  const appended = client.append("a", DEVICE, makeRecords(1));
  await fates([appended]);
  answer({ id: append(0).id + 1 });
  assert.deepEqual(await fates([appended]), ["waits"]);
  answer();
  answer();
  assert.deepEqual(await fates([appended]), ["durable"]);
});

Deno.test("SpoolClient.fail() rejects all waiting requests, and all later ones", async () => {
  const { client, sent } = connect();
  const underWay = client.append("a", DEVICE, makeRecords(1));
  await fates([underWay]);
  const waiting = client.append("a", DEVICE, makeRecords(1));
  client.fail("the thread is gone");
  const later = client.append("a", DEVICE, makeRecords(1));
  assert.deepEqual(
    await fates([underWay, waiting, later]),
    Array(3).fill("spool-failed: the thread is gone"),
  );
  assert.equal(sent.length, 1);
});

Deno.test("SpoolClient.drain() resolves with the records that are left, and rejects requests that still wait", async () => {
  const { client, sent } = connect();
  const underWay = client.append("a", DEVICE, makeRecords(1));
  await fates([underWay]);
  const waiting = client.append("a", DEVICE, makeRecords(1));
  const drained = client.drain(1_234);
  assert.deepEqual(sent.at(-1), { kind: "drain", forMs: 1_234 });
  const left: SpoolState = { chunks: 1, records: 5, bytes: 9, damagedRecords: 0 };
  client.handle({ kind: "drained", state: left });
  assert.deepEqual(await drained, left);
  assert.deepEqual(await fates([underWay, waiting]), Array(2).fill("spool-failed: the spool is closed"));
});

Deno.test("SpoolClient passes elections on, and what the aggregator has of their statements", () => {
  const { client, sent } = connect();
  const election = testSender("a");
  client.use(election);
  client.told("a", []);
  client.told("a", ["ab"]);
  assert.deepEqual(sent, [{ kind: "election", election }, {
    kind: "told",
    election: "a",
    senderKeys: ["ab"],
  }]);
});

Deno.test("SpoolClient knows what the spool's thread said last of sender keys", () => {
  let changes = 0;
  const { client } = connect({ onSenderKeys: () => changes++ });
  const keys = (election: string, statementsDue: number): ElectionKeys => ({
    election,
    current: "ab",
    all: ["ab"],
    untold: [],
    statementsDue,
  });
  assert.deepEqual([client.keysOf("a"), client.statementsDue], [undefined, 0]);
  client.handle({ kind: "senderKeys", keys: [keys("a", 2), keys("b", 1)], state: EMPTY });
  assert.deepEqual([client.keysOf("a"), client.statementsDue], [keys("a", 2), 3]);
  client.handle({ kind: "senderKeys", keys: [keys("b", 1)], state: EMPTY });
  assert.deepEqual([client.keysOf("a"), client.statementsDue, changes], [undefined, 1, 2]);
});

Deno.test("SpoolClient knows the spool's state from whatever its thread says", async () => {
  const told: unknown[] = [];
  const { client } = connect({
    onStored: (tookMs) => told.push([tookMs]),
    onForwarded: (election, records, appendMs) => told.push([election, records, appendMs]),
    onFault: (election, why) => told.push([election, why]),
  });
  assert.deepEqual(client.state, EMPTY);
  let records = 0;
  const state = () => ({ ...EMPTY, records: ++records });
  client.handle({ kind: "opened", state: state() });
  await client.opened;
  assert.equal(client.state.records, 1);
  client.handle({ kind: "forwarded", election: "a", records: 7, appendMs: 30, held: 0, state: state() });
  assert.equal(client.state.records, 2);
  client.handle({ kind: "fault", election: "a", why: "away", state: state() });
  assert.equal(client.state.records, 3);
  client.handle({ kind: "appended", id: 99, state: state(), tookMs: 2 });
  assert.equal(client.state.records, 4);
  assert.deepEqual(told, [["a", 7, 30], ["a", "away"]]);
});

Deno.test("SpoolClient reports how long it took to make records durable, and nothing of records that were not", async () => {
  const told: number[] = [];
  const { client, answer } = connect({ onStored: (tookMs) => told.push(tookMs) });
  const first = client.append("a", DEVICE, makeRecords(2));
  await Promise.resolve();
  answer({ tookMs: 7 });
  await first;
  const second = client.append("a", DEVICE, makeRecords(1));
  await Promise.resolve();
  answer({ tookMs: 9, failed: "disk", why: "for a reason" });
  await assert.rejects(second, NotSpooled);
  assert.deepEqual(told, [7]);
});

Deno.test("SpoolClient knows the votes that the spool holds: of its start, durable since, forwarded, set aside", async () => {
  const { client, append, answer } = connect({}, new HeldVotes(2));
  const [old, ...fresh] = makeRecords(5).map((record) => ({ ...record, known: () => isKnown(record) }));
  const isKnown = ({ fingerprint }: SpoolRecord) => client.votes.find("a", fingerprint) !== undefined;
  client.handle({ kind: "held", election: "a", fingerprints: old.fingerprint, state: EMPTY });
  client.handle({ kind: "opened", state: EMPTY });
  const durable = client.append("a", DEVICE, fresh);
  await Promise.resolve();
  assert.equal(append(0).runs.length, 1);
  assert.deepEqual([old.known(), fresh[0].known()], [true, false]);
  answer();
  await durable;
  assert.ok(fresh.every(({ known }) => known()));
  client.handle({ kind: "setAside", election: "a", fingerprints: fresh[3].fingerprint, state: EMPTY });
  assert.equal(fresh[3].known(), false);
  client.handle({ kind: "forwarded", election: "a", records: 1, appendMs: 1, held: 3, state: EMPTY });
  assert.ok(old.known(), "a vote that the log has is remembered for a while");
  client.handle({ kind: "forwarded", election: "a", records: 1, appendMs: 1, held: 2, state: EMPTY });
  assert.deepEqual([old.known(), fresh[0].known()], [false, true]);
});

Deno.test("SpoolClient does not hold votes that did not become durable", async () => {
  const { client, answer } = connect();
  const [refused, failed] = makeRecords(2);
  const first = client.append("a", DEVICE, [refused]);
  await Promise.resolve();
  answer({ refused: [0] });
  await assert.rejects(first, NotSpooled);
  const second = client.append("a", DEVICE, [failed]);
  await Promise.resolve();
  answer({ failed: "disk", why: "for a reason" });
  await assert.rejects(second, NotSpooled);
  assert.equal(client.votes.size, 0);
});
