import assert from "assert";
import { parse } from "yaml";
import { composeVersion, isNewEnough } from "./engine.ts";
import { APP, KAFKA, PROFILES, readTags } from "./images.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("composeVersion() reads what Docker's and Debian's Compose say", () => {
  assert.deepEqual(composeVersion("Docker Compose version v2.40.3"), [2, 40, 3]);
  assert.deepEqual(composeVersion("Docker Compose version 2.26.1-4"), [2, 26, 1]);
  assert.equal(composeVersion("docker: 'compose' is not a docker command."), undefined);
});

Deno.test("isNewEnough() wants Compose 2.24 or later", () => {
  assert.ok(isNewEnough([2, 24, 0]));
  assert.ok(isNewEnough([3, 0, 0]));
  assert.ok(!isNewEnough([2, 23, 9]));
  assert.ok(!isNewEnough([1, 29, 2]));
  assert.ok(!isNewEnough(undefined));
});

Deno.test("readTags() finds the tag of each image that is stood in for", () => {
  for (const [name, tag] of Object.entries(readTags())) {
    assert.match(tag, /^[a-z/-]+:[a-z]*-?v?\d+\.\d+/, name);
    assert.ok(Deno.statSync(new URL(`${name}/Dockerfile`, import.meta.url)).isFile);
  }
});

Deno.test("compose.yml of the stand-ins leaves out what has none, and nothing waits for it", () => {
  const read = (path: string) =>
    parse(Deno.readTextFileSync(new URL(path, import.meta.url)), { merge: true }).services;
  const [base, over] = [read("../../docker-compose.yml"), read("compose.yml")];
  const has = new Set([
    ...Object.values(readTags()),
    APP,
    KAFKA,
    ...Object.values(PROFILES),
  ]);
  for (const [name, { image, logging, depends_on: waits = {} }] of Object.entries<any>(base)) {
    if (!has.has(image)) {
      assert.deepEqual(over[name]?.profiles, ["vendors"], name);
      continue;
    }
    if (over[name]?.profiles !== undefined) continue;
    if (logging !== undefined) assert.equal(over[name].logging.driver, "json-file", name);
    for (const other of Object.keys(waits)) {
      if (over[other]?.profiles === undefined) continue;
      assert.equal(over[name]?.depends_on?.[other]?.required, false, `${name} waits for ${other}`);
    }
  }
});
