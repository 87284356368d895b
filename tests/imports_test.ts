import assert from "assert";

Deno.test.sanitizer({ ops: true, resources: true });

const ROOT = new URL("..", import.meta.url);

/** Who imports whom: each folder of the project, and the folders it may import from besides itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  shared: [],
  cli: [],
  device: ["shared"],
  web: ["shared"],
  gateway: ["shared", "cli", "web"],
  aggregator: ["shared", "cli", "web"],
  simulator: ["shared", "device", "cli"],
  deploy: ["shared", "cli"],
  bench: ["shared", "cli", "web", "device", "gateway", "aggregator", "simulator", "deploy", "tests"],
  tests: ["shared", "cli", "web", "device", "gateway", "aggregator", "simulator", "bench", "deploy"],
};

/**
 * The rooms of aggregator/, in layers from the top. A room imports only from the layers below it. Above them all stands the
 * composition: the files in aggregator/ itself, and the folders of {@link COMPOSITION}.
 */
const ROOMS: readonly (readonly string[])[] = [
  ["public", "office"],
  ["results", "alerts"],
  ["counting"],
  ["registry"],
  ["audit"],
  ["database", "kafka_topics.ts"],
  ["view_topics.ts"],
];

/** Folders of aggregator/ that put rooms together: which parts run in a process, and its commands. */
const COMPOSITION = ["commands", "roles"];

/** All the libraries that shared/ may use; its adapters may use the one they adapt. */
const LIBRARIES_OF_SHARED = ["zod", "libsodium-wrappers-sumo"];

/** Files that stand for a server or an embedded one, behind a port. */
const ADAPTERS = [
  "shared/log/sqlite.ts",
  "shared/log/sqlite_changes.ts",
  "shared/log/kafka.ts",
  "aggregator/kafka_topics.ts",
  "aggregator/results/kafka_views.ts",
  "aggregator/database/pglite.ts",
  "aggregator/database/postgres.ts",
  "aggregator/results/index/elasticsearch.ts",
];

/** The parts of an adapter that is more than one file: its own affair, and that of those who may name it. */
const PARTS = /^shared\/log\/kafka_\w+\.ts$/;

/** Whether two files are of one adapter: what stands on Kafka in the aggregator uses the parts in shared/. */
function isSameAdapter(from: string, to: string): boolean {
  const isKafka = (file: string) => /\/kafka(_\w+)?\.ts$/.test(file);
  return isAdapter(from) && (from.split("/")[0] === to.split("/")[0] || isKafka(from) && isKafka(to));
}

/** Where the choice of an adapter is made. */
const CHOOSERS =
  /(^|\/)main\.ts$|^aggregator\/commands\/|^gateway\/spool_worker\.ts$|^simulator\/demo\/|^bench\/|^tests\/|_test\.ts$/;

const IS_TEST = /^tests\/|_test\.ts$/;

function isAdapter(file: string): boolean {
  return ADAPTERS.includes(file) || PARTS.test(file);
}

/** The command that votes a test deck does it with the client that makers of devices import. */
function isDeckVoted(from: string, target: string): boolean {
  return from === "aggregator/commands/rehearsal_vote.ts" && target === "device";
}

/** What is wrong with one import, or `undefined`. `to` is a file of the project, `npm:…`, `node:…` or another address. */
function importFault(from: string, to: string): string | undefined {
  const folder = from.split("/")[0];
  if (to.startsWith("node:")) return undefined;
  if (to.startsWith("npm:")) {
    const library = to.slice("npm:".length).replace(/^\//, "").match(/^(@[^/]+\/)?[^@/]+/)![0];
    const free = folder !== "shared" || IS_TEST.test(from) || isAdapter(from);
    if (free || LIBRARIES_OF_SHARED.includes(library)) return undefined;
    return `${from} imports ${library}: shared/ uses only ${LIBRARIES_OF_SHARED.join(", ")} and the runtime`;
  }
  // The version stands there, and nowhere else.
  if (to === "deno.json" && folder !== "shared") return undefined;
  const target = to.split("/")[0];
  if (!(target in MAY_IMPORT)) return `${from} imports ${to}, which is neither the project's nor a library`;
  const allowed = MAY_IMPORT[folder];
  if (allowed === undefined) {
    return `${from} stands in ${folder}/, of which tests/imports_test.ts knows nothing`;
  }
  const tests = IS_TEST.test(from) && target === "tests";
  if (target !== folder && !allowed.includes(target) && !tests && !isDeckVoted(from, target)) {
    return `${from} imports ${to}: ${folder}/ may import from ${[folder, ...allowed].join(", ")} only`;
  }
  if (isAdapter(to) && !CHOOSERS.test(from) && !isSameAdapter(from, to)) {
    return `${from} imports the adapter ${to}: only main.ts, the aggregator's commands, the demo, bench/ and tests name adapters`;
  }
  return roomFault(from, to);
}

/** What is wrong with an import between two rooms of aggregator/, or `undefined`. */
function roomFault(from: string, to: string): string | undefined {
  if (!from.startsWith("aggregator/") || !to.startsWith("aggregator/") || IS_TEST.test(from)) {
    return undefined;
  }
  const [room, other] = [roomOf(from), roomOf(to)];
  if (room === other) return undefined;
  const [layer, otherLayer] = [layerOf(room), layerOf(other)];
  if (layer === undefined || otherLayer === undefined) {
    const unknown = layer === undefined ? room : other;
    return `aggregator/${unknown}/ is a room of which tests/imports_test.ts knows nothing: give it a layer in ROOMS`;
  }
  if (otherLayer > layer) return undefined;
  const below = ROOMS.slice(layer + 1).flat();
  return `${from} imports ${to}: ${room} may import from ${[room, ...below].join(", ")} only`;
}

/** A file's room: its folder in aggregator/, or its name where that is in {@link ROOMS}; "" for the composition. */
function roomOf(file: string): string {
  const [, name, rest] = file.split("/");
  const isComposition = rest === undefined ? layerOf(name) === undefined : COMPOSITION.includes(name);
  return isComposition ? "" : name;
}

/** How far from the top a room is; -1 for the composition, `undefined` for a room that nobody knows. */
function layerOf(room: string): number | undefined {
  if (room === "") return -1;
  const layer = ROOMS.findIndex((rooms) => rooms.includes(room));
  return layer < 0 ? undefined : layer;
}

/** Circles of imports: each a list of files, of which each imports the next, and the last the first. */
function cycles(found: readonly (readonly [from: string, to: string])[]): string[][] {
  const importedBy = new Map<string, Set<string>>();
  for (const [from, to] of found) importedBy.set(from, (importedBy.get(from) ?? new Set()).add(to));
  const circles: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string) => {
    const at = path.indexOf(file);
    if (at >= 0) circles.push(path.slice(at));
    if (at >= 0 || done.has(file)) return;
    path.push(file);
    for (const next of importedBy.get(file) ?? []) visit(next);
    path.pop();
    done.add(file);
  };
  for (const file of importedBy.keys()) visit(file);
  return circles;
}

/** Whether a file holds nothing but re-exports. */
function isBarrel(source: string): boolean {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const rest = code
    .replace(
      /\b(import|export)\s+(type\s+)?(\*(\s+as\s+\w+)?|\{[^}]*\}|\w+)\s+from\s+["'][^"']+["']\s*;?/g,
      "",
    )
    .replace(/\bexport\s+(type\s+)?\{[^}]*\}\s*;?/g, "");
  return rest.trim() === "" && /\bexport\b/.test(code);
}

/** Whether a file imports what only running it can tell. */
function hasComputedImport(source: string): boolean {
  return /(?<![.\w])import\(\s*(?!["'])/.test(source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, ""));
}

/** The project's TypeScript files, as paths from its root. */
async function sourceFiles(folder = ""): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
    const skipped = name.startsWith(".") || ["node_modules", "vendor", "data"].includes(name);
    if (isDirectory && !skipped) files.push(...await sourceFiles(`${folder}${name}/`));
    else if (name.endsWith(".ts") && !skipped) files.push(folder + name);
  }
  return files.toSorted();
}

type Graph = {
  modules: {
    specifier: string;
    error?: string;
    dependencies?: { specifier: string; code?: { specifier?: string }; type?: { specifier?: string } }[];
  }[];
};

/** Every import there is, static or dynamic, of values or of types, as Deno itself parses and resolves them. */
async function imports(files: readonly string[]): Promise<[from: string, to: string][]> {
  const all = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(
      all,
      files.map((file) => `import ${JSON.stringify(new URL(file, ROOT))};`).join("\n"),
    );
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-lock", "--config", new URL("deno.json", ROOT).pathname, all],
      cwd: ROOT,
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const { modules }: Graph = JSON.parse(new TextDecoder().decode(stdout));
    const name = (address: string) =>
      address.startsWith(ROOT.href) ? address.slice(ROOT.href.length) : address;
    const known = new Map(modules.map((module) => [name(module.specifier), module]));
    return files.flatMap((file) => {
      const module = known.get(file);
      assert.ok(module && module.error === undefined, `${file} cannot be read: ${module?.error}`);
      return (module.dependencies ?? []).map(({ specifier, code, type }): [string, string] => [
        file,
        name(code?.specifier ?? type?.specifier ?? specifier),
      ]);
    });
  } finally {
    await Deno.remove(all);
  }
}

Deno.test("every import keeps to who imports whom, and only a main.ts, commands, the demo, bench/ and tests name adapters", async () => {
  const found = await imports(await sourceFiles());
  assert.ok(
    found.some(([from, to]) => from === "shared/judge.ts" && to === "shared/bytes.ts"),
    "imports are found",
  );
  const faults = found.map(([from, to]) => importFault(from, to)).filter((fault) => fault !== undefined);
  assert.equal([...new Set(faults)].join("\n"), "");
});

Deno.test("no files import each other in a circle, types included", async () => {
  const found = await imports(await sourceFiles());
  assert.deepEqual(cycles(found).map((circle) => circle.join(" -> ")), []);
});

Deno.test("the aggregator's manifests are parsed by their loader alone", async () => {
  const found: string[] = [];
  for (const file of await sourceFiles()) {
    if (!file.startsWith("aggregator/") || IS_TEST.test(file)) continue;
    const source = await Deno.readTextFile(new URL(file, ROOT));
    if (/manifestSchema\.parse\(JSON/.test(source)) found.push(file);
  }
  assert.deepEqual(found, ["aggregator/registry/manifests.ts"]);
});

Deno.test("no file is a barrel, and none but tests compute what they import", async () => {
  const faults: string[] = [];
  for (const file of await sourceFiles()) {
    const source = await Deno.readTextFile(new URL(file, ROOT));
    if (isBarrel(source)) faults.push(`${file} holds nothing but re-exports: import from where the thing is`);
    if (!IS_TEST.test(file) && hasComputedImport(source)) faults.push(`${file} computes what it imports`);
  }
  assert.equal(faults.join("\n"), "");
});

for (
  const [from, to] of [
    ["shared/judge.ts", "shared/bytes.ts"],
    ["shared/log/sqlite.ts", "node:sqlite"],
    ["shared/vote.ts", "npm:zod@4.6.7"],
    ["shared/vote.ts", "npm:zod@4.6.7/mini"],
    ["shared/bytes.ts", "npm:/libsodium-wrappers-sumo@0.8.4"],
    ["shared/log/kafka.ts", "npm:kafkajs@2.2.4"],
    ["shared/log/kafka_reader.ts", "npm:/kafkajs@2.2.4/src/cluster/index.js"],
    ["shared/log/kafka.ts", "shared/log/kafka_client.ts"],
    ["aggregator/commands/topics.ts", "aggregator/kafka_topics.ts"],
    ["aggregator/kafka_topics.ts", "shared/log/kafka_client.ts"],
    ["aggregator/results/kafka_views.ts", "aggregator/kafka_topics.ts"],
    ["shared/vote_test.ts", "npm:fast-check@4.10.2"],
    ["shared/vote_test.ts", "tests/fixture.ts"],
    ["shared/log/sqlite_test.ts", "shared/log/sqlite.ts"],
    ["gateway/app.ts", "shared/vote.ts"],
    ["gateway/app.ts", "npm:hono@4.13.19"],
    ["gateway/main.ts", "shared/log/sqlite.ts"],
    ["gateway/main.ts", "cli/progress.ts"],
    ["cli/command.ts", "deno.json"],
    ["gateway/spool_worker.ts", "shared/log/kafka.ts"],
    ["aggregator/commands/open.ts", "aggregator/database/postgres.ts"],
    ["aggregator/counting/count_test.ts", "aggregator/database/pglite.ts"],
    ["aggregator/main.ts", "aggregator/commands/recount.ts"],
    ["aggregator/commands/recount.ts", "aggregator/counting/recount.ts"],
    ["aggregator/roles/serve.ts", "aggregator/public/app.ts"],
    ["aggregator/roles/count.ts", "aggregator/election_runner.ts"],
    ["aggregator/election_runner.ts", "aggregator/results/publish.ts"],
    ["aggregator/public/app.ts", "aggregator/results/results.ts"],
    ["aggregator/office/provision.ts", "aggregator/registry/elections.ts"],
    ["aggregator/results/results.ts", "aggregator/counting/tables.ts"],
    ["aggregator/counting/count.ts", "aggregator/registry/elections.ts"],
    ["aggregator/registry/elections.ts", "aggregator/audit/events.ts"],
    ["aggregator/audit/events.ts", "aggregator/database/database.ts"],
    ["aggregator/counting/rebuild_test.ts", "aggregator/results/withdraw.ts"],
    ["simulator/demo/command.ts", "shared/log/sqlite.ts"],
    ["bench/count.ts", "aggregator/database/pglite.ts"],
    ["tests/path_of_a_vote_test.ts", "gateway/app.ts"],
  ]
) {
  Deno.test(`importFault() lets ${from} import ${to}`, () => assert.equal(importFault(from, to), undefined));
}

for (
  const [from, to, fault] of [
    [
      "shared/judge.ts",
      "gateway/app.ts",
      /shared\/judge\.ts imports gateway\/app\.ts: shared\/ may import from shared only/,
    ],
    ["shared/judge.ts", "cli/progress.ts", /shared\/ may import from shared only/],
    ["shared/judge.ts", "tests/fixture.ts", /shared\/ may import from shared only/],
    ["shared/judge.ts", "npm:hono@4.13.19", /shared\/judge\.ts imports hono/],
    ["shared/judge.ts", "npm:@hono/zod-openapi@1.6.3", /imports @hono\/zod-openapi/],
    ["shared/judge.ts", "https://deno.land/x/a.ts", /neither the project's nor a library/],
    ["shared/judge.ts", "shared/log/sqlite.ts", /imports the adapter shared\/log\/sqlite\.ts/],
    ["shared/judge.ts", "deno.json", /neither the project's nor a library/],
    ["shared/vote_test.ts", "gateway/app.ts", /may import from shared only/],
    [
      "gateway/app.ts",
      "aggregator/counting/count.ts",
      /gateway\/ may import from gateway, shared, cli, web only/,
    ],
    ["gateway/main.ts", "simulator/voting/cast.ts", /gateway\/ may import from/],
    ["gateway/forward.ts", "shared/log/kafka.ts", /imports the adapter/],
    ["aggregator/results/publish.ts", "shared/log/kafka_producer.ts", /imports the adapter/],
    ["shared/log/address.ts", "npm:kafkajs@2.2.4", /imports kafkajs/],
    ["aggregator/counting/count.ts", "aggregator/database/postgres.ts", /imports the adapter/],
    ["aggregator/results/publish.ts", "aggregator/results/index/elasticsearch.ts", /imports the adapter/],
    ["aggregator/domain.ts", "aggregator/database/pglite.ts", /imports the adapter/],
    ["aggregator/roles/count.ts", "shared/log/kafka.ts", /imports the adapter/],
    ["aggregator/database/postgres.ts", "shared/log/kafka_client.ts", /imports the adapter/],
    ["aggregator/results/topics.ts", "aggregator/results/kafka_views.ts", /imports the adapter/],
    ["simulator/voting/cast.ts", "gateway/app.ts", /simulator\/ may import from/],
    ["simulator/demonstrate.ts", "shared/log/sqlite.ts", /imports the adapter/],
    ["cli/progress.ts", "shared/bytes.ts", /cli\/ may import from cli only/],
    [
      "aggregator/results/results.ts",
      "aggregator/public/schemas.ts",
      /results may import from results, counting,/,
    ],
    [
      "aggregator/counting/tables.ts",
      "aggregator/results/results.ts",
      /counting may import from counting, registry,/,
    ],
    [
      "aggregator/registry/elections.ts",
      "aggregator/counting/count.ts",
      /registry may import from registry, audit,/,
    ],
    [
      "aggregator/audit/events.ts",
      "aggregator/registry/elections.ts",
      /audit may import from audit, database,/,
    ],
    [
      "aggregator/database/database.ts",
      "aggregator/audit/events.ts",
      /database may import from database, view_topics\.ts only/,
    ],
    ["aggregator/public/app.ts", "aggregator/office/provision.ts", /public may import from public, results,/],
    ["aggregator/office/provision.ts", "aggregator/public/app.ts", /office may import from office, results,/],
    ["aggregator/counting/count.ts", "aggregator/election_runner.ts", /counting may import from/],
    ["aggregator/public/app.ts", "aggregator/config.ts", /public may import from/],
    ["aggregator/public/app.ts", "aggregator/roles/serve.ts", /public may import from/],
    ["aggregator/registry/elections.ts", "aggregator/commands/open.ts", /registry may import from/],
    [
      "aggregator/kafka_topics.ts",
      "aggregator/results/views.ts",
      /kafka_topics\.ts may import from kafka_topics\.ts, view_topics\.ts only/,
    ],
    ["aggregator/attic/a.ts", "aggregator/results/views.ts", /aggregator\/attic\/ is a room of which/],
    ["aggregator/results/views.ts", "aggregator/attic/a.ts", /aggregator\/attic\/ is a room of which/],
    ["elsewhere/a.ts", "shared/bytes.ts", /of which tests\/imports_test\.ts knows nothing/],
  ] as const
) {
  Deno.test(`importFault() does not let ${from} import ${to}`, () => {
    assert.match(importFault(from, to) ?? "", fault);
  });
}

Deno.test("cycles() finds a circle of any length once, and none where files only meet again", () => {
  assert.deepEqual(cycles([["a", "b"], ["a", "c"], ["b", "d"], ["c", "d"]]), []);
  assert.deepEqual(cycles([["a", "b"], ["b", "a"]]), [["a", "b"]]);
  assert.deepEqual(cycles([["a", "b"], ["b", "c"], ["c", "d"], ["d", "b"]]), [["b", "c", "d"]]);
});

for (
  const [source, barrel] of [
    [`export * from "./a.ts";`, true],
    [`/** All of it. */\nexport { a, type B } from "./a.ts";\nexport type { C } from './c.ts'`, true],
    [`import { a } from "./a.ts";\nexport { a };`, true],
    [`// one\nexport * as all from "./a.ts";\n`, true],
    [`export { a } from "./a.ts";\nexport const b = 1;`, false],
    [`import { a } from "./a.ts";\na();`, false],
    [`/** Nothing yet. */\n`, false],
  ] as const
) {
  Deno.test(`isBarrel() is ${barrel} of ${JSON.stringify(source)}`, () =>
    assert.equal(isBarrel(source), barrel));
}

for (
  const [source, computed] of [
    [`await import(name)`, true],
    ["await import(`./${name}.ts`)", true],
    [`await import("./a.ts")`, false],
    [`// import(name)\ntype A = import("./a.ts").A;`, false],
    [`import { a } from "./a.ts"; this.import(a); reimport(a);`, false],
  ] as const
) {
  Deno.test(`hasComputedImport() is ${computed} of ${JSON.stringify(source)}`, () => {
    assert.equal(hasComputedImport(source), computed);
  });
}
