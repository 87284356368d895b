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

Deno.test("parseDefinitionText() names where a text cannot be read, and does not write out a bomb of aliases", () => {
  assert.deepEqual(faultsOf('{\n"name": "Cut'), ["line 2: a quote opens here and is not closed"]);
  assert.match(faultsOf("name: a\nname: b\n").join(), /^line 2, column 1: Map keys must be unique/);
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"];
  for (const [name, of] of ["ba", "cb", "dc", "ed", "fe", "gf"]) {
    bomb.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${of}`).join(", ")}]`);
  }
  assert.match(faultsOf(bomb.join("\n")).join(), /alias/i);
});
