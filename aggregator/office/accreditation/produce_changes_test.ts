import assert from "assert";
import { openBallotBox } from "../../../tests/ballot_box.ts";
import { withDirectory } from "../../../tests/directory.ts";
import { MASTER, NOON_MS } from "../../../tests/fixture.ts";
import { MemoryLog } from "../../../tests/memory_log.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import {
  CHANGE_SCHEMAS,
  CHANGE_TOPICS,
  type ChangeLog,
  type ChangeMessage,
  type ChangeTopic,
  NewestChanges,
} from "../../../shared/changes.ts";
import { SqliteChanges } from "../../../shared/log/sqlite_changes.ts";
import { importRoll } from "../../registry/roll.ts";
import { Registry } from "prom-client";
import { addChangesLag } from "./changes_metrics.ts";
import { ChangeProducer } from "./produce_changes.ts";

const db = await testDatabase();
const office = openTestOffice(db, () => Promise.resolve(new MemoryLog(3)));
let elections = 0;

/** Topics in memory, which may be away, or take a message and lose the answer. */
class MemoryChanges implements ChangeLog {
  readonly written: { topic: ChangeTopic; message: ChangeMessage }[] = [];
  away = false;
  /** Appends that are written, and then fail. */
  unanswered = 0;

  append(topic: ChangeTopic, messages: readonly ChangeMessage[]): Promise<void> {
    if (this.away) return Promise.reject(new Error("away"));
    this.written.push(...messages.map((message) => ({ topic, message })));
    return this.unanswered-- > 0 ? Promise.reject(new Error("no answer")) : Promise.resolve();
  }

  erase(): Promise<void> {
    return Promise.reject(new Error("nothing is erased here"));
  }

  read(topic: ChangeTopic, from: number, limit: number) {
    const all = this.written.filter((each) => each.topic === topic).map(({ message }) => message);
    const messages = all.slice(from, from + limit);
    return Promise.resolve({ messages, next: from + messages.length });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  of(topic: ChangeTopic, election: string): any[] {
    return this.written.filter((each) => each.topic === topic && each.message.key.startsWith(`${election}/`))
      .map(({ message }) => JSON.parse(message.value));
  }
}

const voter = (voter_id: string, change = {}) => ({
  voter_id,
  region: "north",
  station: "",
  birth_date: "1990-05-17",
  gender: "female" as const,
  profile: { name: "Ann Ash", email: "ann@example.org", street: "1 Elm Street", cell: "+1 555 0100" },
  ...change,
});

/** A test that failed may hold the lease. */
const producers: ChangeProducer[] = [];

async function open() {
  for (const producer of producers.splice(0)) await producer.release();
  const election = `changes-${++elections}`;
  const box = await openBallotBox(db, election, {});
  const ask = await office.enrol(`registrar-${elections}`, ["registrar", election]);
  const post = async (path: string, body: unknown) => {
    const answer = await ask("POST", `/v1/elections/${election}/${path}`, body);
    assert.ok(answer.status < 300, answer.text);
    return answer.body;
  };
  return { election, box, post };
}

function producerOf(changes: ChangeLog): ChangeProducer {
  const producer = new ChangeProducer(db, changes, () => NOON_MS);
  producers.push(producer);
  return producer;
}

Deno.test("changes of voters, candidates and parties come onto their topics, in order, with no word of contact", async () => {
  const { election, post } = await open();
  const changes = new MemoryChanges();
  const producer = producerOf(changes);
  await producer.step();
  assert.deepEqual(changes.of("parties", election).map(({ party, status }) => [party, status]), [
    ["red", "qualified"],
    ["blue", "qualified"],
  ]);
  assert.equal(changes.of("candidates", election).length, 6);
  await post("voters", voter("A-1"));
  await post("voters", voter("A-2", { station: "n-1" }));
  await post("voter-changes", voter("A-1", { station: "n-2" }));
  // Of the profile alone: the topic has nothing of it.
  await post("voter-changes", voter("A-2", { station: "n-1", profile: { name: "Ann Oak" } }));
  await post("voter-strikes", { voter_id: "A-2", reason: "moved" });
  await post("candidates/mayor/ann/state", { state: "withdrawn", reason: "Family reasons" });
  await producer.step();
  assert.deepEqual(
    changes.of("voters", election).map(({ voterId, status, station }) => [voterId, status, station]),
    [
      ["A-1", "accredited", null],
      ["A-2", "accredited", "n-1"],
      ["A-1", "accredited", "n-2"],
      ["A-2", "struck", "n-1"],
    ],
  );
  assert.deepEqual(Object.keys(changes.of("voters", election)[0]).sort(), [
    "at",
    "election",
    "region",
    "revision",
    "station",
    "status",
    "voterId",
  ]);
  assert.deepEqual(changes.of("candidates", election).at(-1), {
    election,
    contest: "mayor",
    candidate: "ann",
    name: "Ann",
    party: "red",
    status: "withdrawn",
    onBallot: true,
    revision: 13,
    at: "2026-11-03T12:00:00.000Z",
  });
  const all = changes.written.map(({ message }) => message.value).join("\n");
  for (const secret of ["Elm", "example.org", "555", "Ash", "1990", "female", "Family"]) {
    assert.ok(!all.includes(secret), `${secret} is on a topic`);
  }
  for (const topic of CHANGE_TOPICS) {
    const revisions = changes.of(topic, election).map(({ revision }) => revision);
    assert.deepEqual(revisions, revisions.toSorted((a, b) => a - b));
    for (const change of changes.of(topic, election)) CHANGE_SCHEMAS[topic].parse(change);
  }
  const before = changes.written.length;
  assert.equal(await producer.step(), 0, "each once");
  assert.equal(changes.written.length, before);
});

Deno.test("a change that is rolled back is on no topic, and one that was refused neither", async () => {
  const { election, box } = await open();
  const changes = new MemoryChanges();
  const producer = producerOf(changes);
  await producer.step();
  await assert.rejects(db.transaction(async (query) => {
    const { insertVoters, rollKeys } = await import("../../registry/roll.ts");
    const { changeHistory } = await import("../../registry/changes.ts");
    await insertVoters(query, election, rollKeys(election, MASTER), [voter("B-1")], 99, new Date(NOON_MS));
    await changeHistory(query, election, "roll", new Date(NOON_MS));
    throw new Error("undone");
  }));
  assert.ok(box);
  assert.equal(await producer.step(), 0);
});

Deno.test("while the topics are away changes wait; what was taken without an answer comes again with its revision", async () => {
  const { election, post } = await open();
  const changes = new MemoryChanges();
  const producer = producerOf(changes);
  await producer.step();
  changes.away = true;
  await post("voters", voter("C-1"));
  await assert.rejects(producer.step(), /away/);
  await post("voters", voter("C-2"));
  changes.away = false;
  changes.unanswered = 1;
  await assert.rejects(producer.step(), /no answer/);
  await post("voter-strikes", { voter_id: "C-1", reason: "moved" });
  await producer.step();
  const seen = changes.of("voters", election).map(({ voterId, status, revision }) =>
    `${voterId} ${status} ${revision}`
  );
  assert.deepEqual(seen, [
    "C-1 accredited 9",
    "C-2 accredited 10",
    "C-1 accredited 9",
    "C-2 accredited 10",
    "C-1 struck 11",
  ]);
  const newest = new NewestChanges(CHANGE_SCHEMAS.voters);
  const own = changes.written.filter(({ topic, message }) =>
    topic === "voters" && message.key.startsWith(`${election}/`)
  ).map(({ message }) => message);
  assert.deepEqual(newest.take(own).map(({ voterId, status }) => `${voterId} ${status}`), [
    "C-1 accredited",
    "C-2 accredited",
    "C-1 struck",
  ]);
  assert.deepEqual(newest.take(own), [], "repeats are dropped");
  assert.deepEqual(newest.values().map(({ voterId, status }) => `${voterId} ${status}`), [
    "C-1 struck",
    "C-2 accredited",
  ]);
});

Deno.test("a whole roll comes onto the topic, page by page, and one process produces at a time", async () => {
  const { election } = await open();
  const changes = new MemoryChanges();
  const voters = Array.from({ length: 5_500 }, (_, i) => voter(`V-${i}`, { profile: undefined }));
  await importRoll(db, election, MASTER, voters, () => NOON_MS);
  const [one, other] = [producerOf(changes), producerOf(changes)];
  await one.step();
  assert.equal(await other.step(), 0);
  assert.equal(new Set(changes.of("voters", election).map(({ voterId }) => voterId)).size, 5_500);
  assert.equal(changes.of("voters", election).length, 5_500);
});

Deno.test("the file beside the embedded logs keeps topics apart, and another process reads on while it grows", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/changes.sqlite`;
    const [writer, reader] = [new SqliteChanges(path), new SqliteChanges(path)];
    try {
      const message = (n: number) => ({ key: `e/${n}`, value: `{"n":${n}}` });
      await writer.append("voters", [message(1), message(2), message(3)]);
      await writer.append("parties", [message(9)]);
      const first = await reader.read("voters", 0, 2);
      assert.deepEqual(first, { messages: [message(1), message(2)], next: 2 });
      await writer.append("voters", [message(4)]);
      assert.deepEqual(await reader.read("voters", first.next, 10), {
        messages: [message(3), message(4)],
        next: 4,
      });
      assert.deepEqual(await reader.read("voters", 4, 10), { messages: [], next: 4 });
      assert.deepEqual((await reader.read("parties", 0, 10)).messages, [message(9)]);
    } finally {
      await Promise.all([writer.close(), reader.close()]);
    }
  });
});

Deno.test("the file forgets an election's voters, and keeps the offsets of all others", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/changes.sqlite`;
    const changes = new SqliteChanges(path);
    try {
      const message = (election: string, voter: string) => ({
        key: `${election}/${voter}`,
        value: `{"v":"${voter}"}`,
      });
      const [gone, other] = [message("e", "Voter-Gone"), message("e-2", "Voter-Kept")];
      await changes.append("voters", [gone, other]);
      await changes.append("parties", [message("e", "red")]);
      await changes.erase("voters", "e");
      assert.deepEqual(await changes.read("voters", 0, 10), { messages: [other], next: 2 });
      await changes.append("voters", [other]);
      assert.deepEqual(await changes.read("voters", 2, 10), { messages: [other], next: 3 });
      assert.equal((await changes.read("parties", 0, 10)).messages.length, 1);
    } finally {
      await changes.close();
    }
    for await (const { name } of Deno.readDir(directory)) {
      const text = new TextDecoder("latin1").decode(await Deno.readFile(`${directory}/${name}`));
      assert.ok(!text.includes("Voter-Gone"), `${name} has it still`);
    }
  });
});

Deno.test("the age of the oldest change that waits is a metric: it rises while topics are away, and is 0 when all are there", async () => {
  const { election, post } = await open();
  const changes = new MemoryChanges();
  const producer = producerOf(changes);
  await producer.step();
  const registry = new Registry();
  let nowMs = office.nowMs;
  addChangesLag(registry, db.query, () => nowMs);
  const lag = async () =>
    new RegExp(`pollwire_changes_lag_seconds{election="${election}"} (\\S+)`).exec(await registry.metrics())
      ?.[1];
  assert.equal(await lag(), "0");
  changes.away = true;
  await post("voters", voter("ann"));
  nowMs += 10_000;
  await post("voters", voter("ben"));
  await assert.rejects(producer.step(), /away/);
  nowMs += 80_000;
  assert.equal(await lag(), "90", "that of the oldest");
  changes.away = false;
  await producer.step();
  assert.equal(await lag(), "0");
  const gone = new Registry();
  addChangesLag(gone, () => Promise.reject(new Error("the database is away")), () => nowMs);
  assert.doesNotMatch(await gone.metrics(), /election=/, "without an answer there is no figure");
});
