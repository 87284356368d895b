import assert from "assert";
import { MAX_RECEIPTS } from "../shared/answers.ts";
import { MAX_INSTANT_MS } from "../shared/election.ts";
import { MANIFEST_OVERLAP_MS } from "../shared/judge.ts";
import { FATES, HELD_REASONS, REJECTION_REASONS } from "../shared/outcome.ts";
import { MAX_PROOF_KEY_CHARS } from "../shared/proof.ts";
import { MAX_ENTRY_RECORDS, MAX_SEQUENCE, RECORD_OVERHEAD_BYTES } from "../shared/record.ts";
import { SYNC_LIMITS } from "../shared/sync.ts";
import { VOTING_MODES } from "../shared/mode.ts";
import { MAX_CLOCK_SKEW_MS, MAX_SELECTIONS } from "../shared/vote.ts";
import { PROBLEMS } from "../shared/problem.ts";
import { BAD_KINDS, describeKind } from "../simulator/bad/kinds.ts";
import { SETTINGS as GATEWAY_SETTINGS } from "../gateway/config.ts";
import { SETTINGS as AGGREGATOR_SETTINGS } from "../aggregator/config.ts";
import { PROCESS_ROLES } from "../aggregator/roles/roles.ts";

const read = (path: string) => Deno.readTextFile(new URL(`../${path}`, import.meta.url));

/** The rows of the first table below a heading, without its head. */
function rowsBelow(text: string, heading: string): string[] {
  const at = text.indexOf(`\n${heading}\n`);
  assert.ok(at >= 0, `there is no heading ${heading}`);
  const lines = text.slice(at).split("\n");
  const first = lines.findIndex((line) => line.startsWith("| --- |")) + 1;
  return lines.slice(first, lines.findIndex((line, i) => i >= first && !line.startsWith("| ")));
}

Deno.test("docs/wire-format.md lists every problem, fate and reason, as the code has them", async () => {
  const text = await read("docs/wire-format.md");
  const meanings = (reasons: Record<string, string>) =>
    Object.entries(reasons).map(([reason, meaning]) => `| \`${reason}\` | ${meaning} |`);
  assert.deepEqual(rowsBelow(text, "### Why a record is rejected"), meanings(REJECTION_REASONS));
  assert.deepEqual(rowsBelow(text, "### Why a record is held"), meanings(HELD_REASONS));
  assert.deepEqual(
    rowsBelow(text, "## Problems"),
    Object.entries(PROBLEMS).map(([reason, [status, title]]) => `| \`${reason}\` | ${status} | ${title} |`),
  );
  assert.deepEqual(
    rowsBelow(text, "## Outcomes").map((row) => row.split(" | ")[0]),
    FATES.map((fate) => `| ${fate}`),
  );
});

Deno.test("docs/wire-format.md says the sizes and limits that the code has", async () => {
  const text = (await read("docs/wire-format.md")).replaceAll(/\s+/g, " ");
  const sayings = [
    `1 to ${MAX_ENTRY_RECORDS} **records**`,
    `${RECORD_OVERHEAD_BYTES} + \`voteBytes\` bytes`,
    `at most ${MAX_INSTANT_MS.toLocaleString("en")} (the end of 9999)`,
    `n, at most ${MAX_PROOF_KEY_CHARS} |`,
    `less than ${MANIFEST_OVERLAP_MS.toLocaleString("en")} ms before or after`,
    `append time by more than ${MAX_CLOCK_SKEW_MS.toLocaleString("en")} ms`,
    `No number is above 2^${Math.log2(MAX_SEQUENCE)}`,
    `at most ${MAX_RECEIPTS.toLocaleString("en")}. None are allowed`,
    `Up to ${MAX_SELECTIONS.toLocaleString("en")} selections`,
    `in hex, at most ${SYNC_LIMITS.senderKeys}; the aggregator`,
    `at most ${SYNC_LIMITS.statements} statements`,
    `at most ${SYNC_LIMITS.listedKeys.toLocaleString("en")}; left out before`,
  ];
  assert.deepEqual(sayings.filter((saying) => !text.includes(saying)), []);
});

Deno.test("docs/operations.md lists every setting", async () => {
  const text = await read("docs/operations.md");
  const missing = [...Object.keys(GATEWAY_SETTINGS), ...Object.keys(AGGREGATOR_SETTINGS)]
    .filter((name) => !text.includes(`| \`${name}\` |`));
  assert.deepEqual(missing, []);
});

Deno.test("docs/operations.md names every role of a process, in its setting and in its table", async () => {
  const text = await read("docs/operations.md");
  const setting = text.split("\n").find((line) => line.startsWith("| `AGGREGATOR_ROLES` |"))!;
  const roles = Object.keys(PROCESS_ROLES);
  assert.deepEqual(roles.filter((role) => !setting.includes(`\`${role}\``)), []);
  const rows = rowsBelow(text, "## Roles of processes").map((row) => row.split(" | ")[0]);
  assert.deepEqual(rows, roles.map((role) => `| \`${role}\``));
});

Deno.test("documents and the recount on Spark name every voting mode", async () => {
  const inWords = VOTING_MODES.map((mode) => `\`${mode}\``);
  const lists = {
    "docs/glossary.md": inWords.join(", "),
    "docs/wire-format.md": `${inWords.slice(0, -1).join(", ")} or ${inWords.at(-1)}`,
    "docs/simulator.md": `modes: { ${VOTING_MODES.join(", ")} }`,
    "deploy/spark/pollwire/wire.py": `MODES = (${VOTING_MODES.map((mode) => `"${mode}"`).join(", ")})`,
  };
  for (const [path, list] of Object.entries(lists)) {
    assert.ok((await read(path)).includes(list), `${path} must have ${list}`);
  }
});

Deno.test("docs/simulator.md lists every kind of bad vote, and what must become of it", async () => {
  const text = await read("docs/simulator.md");
  const rows = text.slice(text.indexOf("| kind |")).split("\n").filter((line) => /^\| `/.test(line));
  const expected = BAD_KINDS.map((kind) => {
    const { what, fate } = describeKind(kind);
    const became = "refusedAs" in fate
      ? `refused: \`${fate.refusedAs}\``
      : "unanswered" in fate
      ? `\`${fate.unanswered}\`, and its receipt stays \`pending\``
      : fate.outcomes.map((outcome) => `\`${outcome}\``).join(" or ");
    return `| \`${kind}\` | ${what} | ${became} |`;
  });
  assert.deepEqual(rows, expected);
});

Deno.test("every link in the documents leads to a file", async () => {
  const documents = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"];
  for await (const { name } of Deno.readDir(new URL("../docs", import.meta.url))) {
    if (name.endsWith(".md")) documents.push(`docs/${name}`);
  }
  for (const document of documents) {
    const here = new URL(`../${document}`, import.meta.url);
    for (const [, target] of (await read(document)).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
      await assert.doesNotReject(
        Deno.stat(new URL(target, here)),
        `${document} links to ${target}, which is not there`,
      );
    }
  }
});
