import assert from "assert";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { placed, testManifest, testRecord, testSealer } from "../tests/fixture.ts";
import { MAX_CHUNK_RECORDS, unpackChunk } from "./chunk.ts";
import type { SpoolState } from "./spool.ts";
import { MAX_WAITING_RECORDS, NotSpooled, SpoolClient, type SpoolEvents } from "./spool_client.ts";
import type { SpoolReply, SpoolRequest } from "./spool_host.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const sealer = testSealer(testManifest());
const EMPTY: SpoolState = { chunks: 0, records: 0, bytes: 0, damagedRecords: 0 };

function makeRecords(count: number): PlacedRecord[] {
  return Array.from({ length: count }, () => placed(sealer, testRecord(crypto.randomUUID())));
}

/** The same record, many times: enough where only the number matters. */
function many(count: number): PlacedRecord[] {
  return new Array(count).fill(makeRecords(1)[0]);
}

type Append = Extract<SpoolRequest, { kind: "append" }>;

/** A client, and what it sends to the spool's thread. */
function connect(events: SpoolEvents = {}) {
  const sent: SpoolRequest[] = [];
  const transferred: ArrayBuffer[][] = [];
  const client = new SpoolClient((request, transfer) => {
    sent.push(request);
    transferred.push(transfer);
  }, events);
  return {
    client,
    sent,
    transferred,
    append: (at: number) => sent[at] as Append,
    /** Answers the append that was sent last. */
    answer(more: Partial<Extract<SpoolReply, { kind: "appended" }>> = {}) {
      client.handle({ kind: "appended", id: (sent.at(-1) as Append).id, state: EMPTY, ...more });
    },
  };
}

/** How each promise ended, or `waits`. */
async function fates(promises: readonly Promise<void>[]): Promise<string[]> {
  const found = promises.map(() => "waits");
  promises.forEach((promise, i) =>
    promise.then(() => found[i] = "durable", (error) => {
      assert.ok(error instanceof NotSpooled);
      found[i] = `${error.cause}: ${error.message}`;
    })
  );
  await new Promise((resolve) => setTimeout(resolve, 0));
  return found;
}

function unpacked({ chunks }: Append): PlacedRecord[] {
  return chunks.flatMap(unpackChunk);
}

Deno.test("SpoolClient.append() resolves once its records are durable, and not before", async () => {
  const { client, append, answer, transferred } = connect();
  const records = makeRecords(3);
  const appended = client.append("a", 3, records);
  assert.deepEqual(await fates([appended]), ["waits"]);
  const { election, partitions } = append(0).chunks[0];
  assert.deepEqual([election, partitions], ["a", 3]);
  assert.deepEqual(unpacked(append(0)), records);
  assert.deepEqual(transferred[0], append(0).chunks.map(({ bytes }) => bytes.buffer));
  answer();
  assert.deepEqual(await fates([appended]), ["durable"]);
});

Deno.test("SpoolClient sends what comes during a commit in one message, in order", async () => {
  const { client, sent, append, answer } = connect();
  const first = client.append("a", 3, makeRecords(1));
  await fates([first]);
  const records = Array.from({ length: 50 }, () => makeRecords(1));
  const rest = records.map((list) => client.append("a", 3, list));
  assert.deepEqual(new Set(await fates(rest)), new Set(["waits"]));
  assert.equal(sent.length, 1);
  answer();
  await fates([first]);
  assert.equal(sent.length, 2);
  assert.equal(append(1).chunks.length, 1, "one chunk, one row");
  assert.deepEqual(unpacked(append(1)), records.flat());
  assert.deepEqual(new Set(await fates(rest)), new Set(["waits"]));
  answer();
  assert.deepEqual(new Set(await fates(rest)), new Set(["durable"]));
  assert.equal(sent.length, 2);
});

Deno.test("SpoolClient sends what comes in one turn in one message", async () => {
  const { client, sent, append, answer } = connect();
  const appended = [1, 2, 3].map((count) => client.append("a", 3, makeRecords(count)));
  await fates(appended);
  assert.equal(sent.length, 1);
  assert.equal(unpacked(append(0)).length, 6);
  answer();
  assert.deepEqual(await fates(appended), ["durable", "durable", "durable"]);
});

Deno.test("SpoolClient packs each election's records by themselves, in chunks of a bounded size", async () => {
  const { client, append, answer } = connect();
  const appended = [
    client.append("a", 3, many(MAX_CHUNK_RECORDS - 1)),
    client.append("b", 5, makeRecords(2)),
    client.append("a", 3, many(3)),
  ];
  await fates(appended);
  assert.deepEqual(
    append(0).chunks.map(({ election, partitions, records }) => [election, partitions, records]),
    [["a", 3, MAX_CHUNK_RECORDS], ["a", 3, 2], ["b", 5, 2]],
  );
  answer();
  assert.deepEqual(await fates(appended), ["durable", "durable", "durable"]);
});

Deno.test("SpoolClient bounds a commit, unless one request brings more", async () => {
  const { client, sent, append, answer } = connect();
  const appended = [many(4_999), many(2), many(1), many(6_000)].map((list) => client.append("a", 3, list));
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
  const first = client.append("a", 3, many(1));
  await fates([first]);
  const full = client.append("a", 3, many(MAX_WAITING_RECORDS));
  const refused = client.append("a", 3, many(1));
  assert.deepEqual(await fates([full, refused]), ["waits", "busy: 50000 votes wait for the disk"]);
  answer();
  const later = client.append("a", 3, many(MAX_WAITING_RECORDS));
  answer();
  assert.deepEqual(await fates([first, full, later]), ["durable", "durable", "waits"]);
  answer();
  assert.deepEqual(await fates([later]), ["durable"]);
});

for (
  const [failed, reason] of [["full", "spool-full"], ["disk", "spool-failed"]] as const
) {
  Deno.test(`SpoolClient tells a failed commit (${failed}) to those concerned and to no others`, async () => {
    const { client, append, answer } = connect();
    const before = client.append("a", 3, makeRecords(1));
    await fates([before]);
    answer();
    const concerned = [client.append("a", 3, makeRecords(1)), client.append("b", 3, makeRecords(1))];
    await fates(concerned);
    const after = client.append("a", 3, makeRecords(1));
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
  const appended = client.append("a", 3, makeRecords(1));
  await fates([appended]);
  answer({ id: append(0).id + 1 });
  assert.deepEqual(await fates([appended]), ["waits"]);
  answer();
  answer();
  assert.deepEqual(await fates([appended]), ["durable"]);
});

Deno.test("SpoolClient.fail() tells everyone who waits, and everyone who comes", async () => {
  const { client, sent } = connect();
  const underWay = client.append("a", 3, makeRecords(1));
  await fates([underWay]);
  const waiting = client.append("a", 3, makeRecords(1));
  client.fail("the thread is gone");
  const later = client.append("a", 3, makeRecords(1));
  assert.deepEqual(
    await fates([underWay, waiting, later]),
    Array(3).fill("spool-failed: the thread is gone"),
  );
  assert.equal(sent.length, 1);
});

Deno.test("SpoolClient.drain() resolves with what is left, and whoever still waits is told", async () => {
  const { client, sent } = connect();
  const underWay = client.append("a", 3, makeRecords(1));
  await fates([underWay]);
  const waiting = client.append("a", 3, makeRecords(1));
  const drained = client.drain(1_234);
  assert.deepEqual(sent.at(-1), { kind: "drain", forMs: 1_234 });
  const left: SpoolState = { chunks: 1, records: 5, bytes: 9, damagedRecords: 0 };
  client.handle({ kind: "drained", state: left });
  assert.deepEqual(await drained, left);
  assert.deepEqual(await fates([underWay, waiting]), Array(2).fill("spool-failed: the spool is closed"));
});

Deno.test("SpoolClient knows the spool's state from whatever its thread says", async () => {
  const told: unknown[] = [];
  const { client } = connect({
    onForwarded: (records) => told.push(records),
    onFault: (election, why) => told.push([election, why]),
  });
  assert.deepEqual(client.state, EMPTY);
  let records = 0;
  const state = () => ({ ...EMPTY, records: ++records });
  client.handle({ kind: "opened", state: state() });
  await client.opened;
  assert.equal(client.state.records, 1);
  client.handle({ kind: "forwarded", records: 7, state: state() });
  assert.equal(client.state.records, 2);
  client.handle({ kind: "fault", election: "a", why: "away", state: state() });
  assert.equal(client.state.records, 3);
  client.handle({ kind: "appended", id: 99, state: state() });
  assert.equal(client.state.records, 4);
  assert.deepEqual(told, [7, ["a", "away"]]);
});
