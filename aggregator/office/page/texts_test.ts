import assert from "assert";
import { AUDIT_EVENTS } from "../../audit/events.ts";
import { OFFICE_ROLES } from "../access/roles.ts";
import { IMPORT_STATUSES } from "../accreditation/roll_imports.ts";
import { ACTIONS, PHASES } from "../lifecycle/transition.ts";
import { FINDING_KINDS } from "../roll_file.ts";
import { PARTS } from "./parts.js";
import { LANGUAGES, useLanguage } from "./texts.js";
import * as module from "./texts.js";

Deno.test.sanitizer({ ops: true, resources: true });

/** Every text by its path, with the number of arguments of those that take some. */
function shapeOf(value: any, path = ""): string[] {
  if (typeof value === "function") return [`${path}(${value.length})`];
  if (typeof value === "object") {
    return Object.entries(value).flatMap(([key, each]) => shapeOf(each, `${path}.${key}`));
  }
  assert.notEqual(value, "", path);
  return [path];
}

Deno.test("every language of the office page has every text", () => {
  for (const texts of Object.values(LANGUAGES)) {
    assert.deepEqual(shapeOf(texts).sort(), shapeOf(LANGUAGES.en).sort(), texts.code);
  }
});

Deno.test("the office page has a text for every state, role, status and finding, and none for what there is not", () => {
  const { phases, phaseMeans, actions, actionMeans, events, roleNames, importStatus, findingKinds, parts } =
    LANGUAGES.en;
  const named: [object, readonly string[]][] = [
    [phases, PHASES],
    [phaseMeans, PHASES],
    [roleNames, Object.keys(OFFICE_ROLES)],
    [importStatus, IMPORT_STATUSES],
    [findingKinds, FINDING_KINDS],
    [parts, Object.keys(PARTS)],
    [actions, Object.keys(ACTIONS)],
    [actionMeans, Object.keys(ACTIONS)],
  ];
  for (const [texts, names] of named) assert.deepEqual(Object.keys(texts).sort(), names.toSorted());
  // An event without a text is shown by its name in the API.
  const known: [object, object][] = [[events, AUDIT_EVENTS]];
  for (const [texts, names] of known) {
    for (const name of Object.keys(texts)) assert.ok(name in names, `nothing is called ${name}`);
  }
});

Deno.test("the office page speaks the language that is wanted, else the reader's, else English", () => {
  assert.equal(useLanguage("de"), "de");
  assert.equal(module.texts.code, "de");
  assert.equal(useLanguage(undefined, ["fr-FR", "de-AT"]), "de");
  assert.equal(useLanguage("constructor", ["fr"]), "en");
});
