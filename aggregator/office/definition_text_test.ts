import assert from "assert";
import { stringify } from "yaml";
import { testDefinition } from "../../tests/fixture.ts";
import { faultLine, parseDefinitionText } from "./definition_text.ts";

function faultsOf(text: string): string[] {
  const read = parseDefinitionText(text);
  if ("unreadable" in read) return [faultLine(read.unreadable)];
  return "faults" in read ? read.faults.map(faultLine) : [];
}

Deno.test("parseDefinitionText() reads JSON and YAML to the same", () => {
  const definition = testDefinition();
  for (
    const text of [JSON.stringify(definition), JSON.stringify(definition, null, "\t"), stringify(definition)]
  ) {
    const read = parseDefinitionText(text);
    assert.ok("definition" in read, faultsOf(text).join());
    assert.deepEqual(read.definition, definition);
  }
});

Deno.test("parseDefinitionText() gives line, column and field of each fault, in JSON and YAML", () => {
  const wrong = { ...testDefinition(), name: "" };
  const json = JSON.stringify(wrong, null, 2);
  assert.match(faultsOf(json).join(), /^line 3, column 11: name: /);
  const yaml = stringify(wrong).replace("votesAllowed: 1", "votesAllowed: many");
  const line = yaml.split("\n").findIndex((each) => each.includes("many")) + 1;
  assert.match(faultsOf(yaml)[0]!, /^line 2, column 7: name: /);
  assert.match(faultsOf(yaml)[1]!, new RegExp(`^line ${line}, column 19: contests.0.votesAllowed: `));
  const tabs = JSON.stringify(wrong, null, "\t");
  assert.match(faultsOf(tabs).join(), /^line 3, column 10: name: /);
});

Deno.test("parseDefinitionText() reads hours beside a time zone, and names the line of one that the clocks skip", () => {
  const local = {
    ...testDefinition(),
    opensAt: "2026-03-08T02:00",
    closesAt: "2026-03-08T20:00",
    timeZone: "America/New_York",
  };
  const text = stringify({ ...local, acceptsUntil: "2026-03-08T21:00" });
  const line = text.split("\n").findIndex((each) => each.startsWith("opensAt")) + 1;
  assert.match(
    faultsOf(text).join(),
    new RegExp(`^line ${line}, column 10: opensAt: does not exist in America/New_York`),
  );
  const read = parseDefinitionText(text.replace("08T02:00", "08T03:00"));
  assert.ok("definition" in read);
  const { opensAt, acceptsUntil } = read.definition;
  assert.deepEqual([opensAt, acceptsUntil], ["2026-03-08T07:00:00.000Z", "2026-03-09T01:00:00.000Z"]);
});

Deno.test("parseDefinitionText() names where a text cannot be read, and does not write out a bomb of aliases", () => {
  assert.deepEqual(faultsOf('{\n"name": "Cut'), ["line 2: a quote opens here and is not closed"]);
  assert.match(faultsOf("name: a\nname: b\n").join(), /^line 2, column 1: Map keys must be unique/);
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"];
  for (const [name, of] of ["ba", "cb", "dc", "ed", "fe", "gf"]) {
    bomb.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${of}`).join(", ")}]`);
  }
  assert.match(faultsOf(bomb.join("\n")).join(), /alias/i);
});
