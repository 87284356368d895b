import assert from "assert";
import { REJECTION_REASONS } from "../shared/outcome.ts";
import { PROBLEMS } from "../shared/problem.ts";
import { BAD_KINDS, describeKind } from "../simulator/bad/kinds.ts";
import { SETTINGS as GATEWAY_SETTINGS } from "../gateway/config.ts";
import { SETTINGS as AGGREGATOR_SETTINGS } from "../aggregator/config.ts";

const read = (path: string) => Deno.readTextFile(new URL(`../${path}`, import.meta.url));

Deno.test("docs/wire-format.md lists every problem and every reason, as the code has them", async () => {
  const text = await read("docs/wire-format.md");
  const rows = text.split("\n").filter((line) => /^\| `/.test(line));
  const expected = [
    ...Object.entries(REJECTION_REASONS).map(([reason, meaning]) => `| \`${reason}\` | ${meaning} |`),
    ...Object.entries(PROBLEMS).map(([reason, [status, title]]) =>
      `| \`${reason}\` | ${status} | ${title} |`
    ),
  ];
  assert.deepEqual(rows, expected);
});

Deno.test("docs/operations.md lists every setting", async () => {
  const text = await read("docs/operations.md");
  const missing = [...Object.keys(GATEWAY_SETTINGS), ...Object.keys(AGGREGATOR_SETTINGS)]
    .filter((name) => !text.includes(`| \`${name}\` |`));
  assert.deepEqual(missing, []);
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
  const documents = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];
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
