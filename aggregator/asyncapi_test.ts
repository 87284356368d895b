import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "assert";
import { MemoryViews } from "../tests/memory_views.ts";
import { testDefinition } from "../tests/fixture.ts";
import {
  countVoters,
  withElection,
  writeReconciliation,
  writeRejection,
  writeRelease,
} from "../tests/seeded_database.ts";
import { CHANGE_TOPICS } from "../shared/changes.ts";
import { topicFiles } from "./asyncapi.ts";
import { oneForAll } from "./database/database.ts";
import { TOPICS, TOPICS_VERSION } from "./results/topic_schemas.ts";
import { ViewWriter } from "./results/topics.ts";
import type { View } from "./results/views.ts";
import { RECOUNT_TOPICS, VIEW_TOPICS } from "./view_topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const FOLDER = new URL("../docs/topics/", import.meta.url);

Deno.test("docs/topics/ is what its source gives, and describes every topic that is written", async () => {
  const files = topicFiles();
  for (const [name, text] of files) {
    assert.equal(await Deno.readTextFile(new URL(name, FOLDER)), text, `${name}: run \`deno task asyncapi\``);
  }
  const schemas = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).filter((name) =>
    name.endsWith(".json")
  );
  assert.deepEqual(schemas.sort(), [...files.keys()].sort(), "no file of a topic that is gone");
  const readme = await Deno.readTextFile(new URL("README.md", FOLDER));
  for (const topic of [...Object.values(VIEW_TOPICS), ...CHANGE_TOPICS, ...RECOUNT_TOPICS]) {
    assert.ok(TOPICS.some((each) => each.topic === topic), `${topic} is not described`);
    assert.ok(readme.includes(`\`${topic}\``), `README.md does not name ${topic}`);
  }
});

Deno.test("every reference of the AsyncAPI document leads somewhere, and all is of one version", () => {
  const files = topicFiles();
  const document = JSON.parse(files.get("asyncapi.json")!);
  assert.deepEqual([document.asyncapi, document.info.version], ["3.0.0", TOPICS_VERSION]);
  const refs: string[] = [];
  JSON.stringify(document, (key, value) => {
    if (key === "$ref") refs.push(value);
    return value;
  });
  assert.ok(refs.length >= 4 * TOPICS.length);
  for (const ref of refs) {
    if (ref.startsWith("./")) {
      assert.ok(files.has(ref.slice(2)), ref);
      assert.ok(JSON.parse(files.get(ref.slice(2))!).$id.includes(`:${TOPICS_VERSION}:`));
      continue;
    }
    const found = ref.slice(2).split("/").reduce((value, key) => value?.[key], document);
    assert.ok(found !== undefined, ref);
  }
});

async function follow(command: string, args: string[], input: string): Promise<string> {
  const child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("what is written fits the schemas, and both examples read it: two candidates of one name stay two", async () => {
  const definition = testDefinition({ releaseThreshold: 1 });
  for (const candidate of definition.contests[0]!.candidates) candidate.name = "Ann Archer";
  await withElection(async (db) => {
    const views = new MemoryViews();
    const writer = new ViewWriter(views, oneForAll(db));
    const step = async () => {
      while (await writer.step());
    };
    await writeRelease(db, {
      station: "n-1",
      voters: 9,
      votes: { "mayor/ann": [5, 5], "mayor/bob": [3, 3] },
    });
    await countVoters(db.query, 9, { station: "n-1", minute: "2026-11-03T12:00:00.000Z", region: "north" });
    await writeReconciliation(db.query, 0, 12, 12, {});
    await writeRejection(db.query, 0, 7, "unknown_voter");
    await writeRejection(db.query, 0, 8, "double_vote", { fate: "duplicate", gateway: null, station: null });
    await step();
    await writeRelease(db, {
      station: "n-1",
      voters: 14,
      votes: { "mayor/ann": [8, 3], "mayor/bob": [5, 2] },
    });
    await step();

    const ajv = new Ajv2020({ formats: { "date-time": true }, allErrors: true });
    const files = topicFiles();
    const seen = new Set<string>();
    for (const { view, row } of views.written) {
      if (row.value === null) continue;
      const description = TOPICS.find(({ topic }) => topic === VIEW_TOPICS[view as View])!;
      assert.deepEqual(description.row.parse(row.value), row.value);
      const check = ajv.getSchema(`urn:pollwire:topics:${TOPICS_VERSION}:${description.name}`) ??
        ajv.compile(JSON.parse(files.get(`${description.name}.schema.json`)!));
      assert.ok(check({ ...row.value, added: "later" }), JSON.stringify(check.errors));
      const [first] = Object.keys(row.value);
      assert.ok(
        !check({ ...row.value, [first!]: undefined }) && !check({}),
        "a field that is missing is found",
      );
      assert.equal(row.key, description.key.split("/").map((field) => row.value![field]).join("/"));
      seen.add(view);
    }
    assert.deepEqual([...seen].sort(), ["rejections", "tallies", "turnout"]);

    const lines = views.written.filter(({ view }) => view === "tallies").map(({ row }) =>
      `${row.key}\t${JSON.stringify(row.value)}\n`
    );
    const wanted = "test-2026/mayor/ann 8\ntest-2026/mayor/bob 5\n";
    const gone =
      'old/mayor/x\t{"election":"old","contest":"mayor","candidate":"x","votes":1,"revision":1}\nold/mayor/x\tnull\n';
    const path = (name: string) => new URL(name, FOLDER).pathname;
    assert.equal(await follow(Deno.execPath(), ["run", path("follow.ts")], gone + lines.join("")), wanted);
    assert.equal(await follow("python3", [path("follow.py")], gone + lines.join("")), wanted);
  }, definition);
});
