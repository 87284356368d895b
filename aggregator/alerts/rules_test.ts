import assert from "assert";
import { defaultRules, parseRules, readRules, RULE_NAMES, RulesFault } from "./rules.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("defaultRules() has every rule, as rules.yml documents it", async () => {
  assert.deepEqual(Object.keys(defaultRules()), RULE_NAMES);
  const text = await Deno.readTextFile(new URL("rules.yml", import.meta.url));
  for (const name of RULE_NAMES) {
    assert.match(text, new RegExp(`\\n  # [^\\n]+\\n  ${name}:\\n`), `${name} has a comment`);
  }
});

Deno.test("docs/alerts.md documents every rule and every threshold with its default", async () => {
  const text = await Deno.readTextFile(new URL("../../docs/alerts.md", import.meta.url));
  const common = ["enabled", "severity", "forSeconds", "clearSeconds"];
  for (const [name, rule] of Object.entries(defaultRules())) {
    const line = text.split("\n").find((line) => line.startsWith(`| \`${name}\` |`));
    assert.ok(line, `${name} is in the table`);
    assert.ok(line.includes(rule.severity), `${name}: ${rule.severity}`);
    for (const [field, value] of Object.entries(rule)) {
      if (!common.includes(field)) {
        assert.ok(line.includes(`\`${field}\` ${value}`), `${name}.${field} is ${value}`);
      }
    }
  }
});

Deno.test("parseRules() takes what an office gives, in YAML or JSON, and the defaults for the rest", () => {
  const yaml = parseRules("rules:\n  count_lags:\n    entries: 900\n    severity: critical\n", "mine.yml");
  const json = parseRules(`{"rules": {"count_lags": {"entries": 900, "severity": "critical"}}}`, "mine.json");
  assert.deepEqual(yaml, json);
  const { count_lags: before, ...others } = defaultRules();
  const { count_lags: after, ...same } = yaml;
  assert.deepEqual(after, { ...before, entries: 900, severity: "critical" });
  assert.deepEqual(same, others);
  assert.deepEqual(parseRules("rules: {}", "mine.yml"), defaultRules());
});

for (
  const [text, message] of [
    [
      "rules:\n  station_silent:\n    chance: often\n",
      "line 3: rules.station_silent.chance must be a number, like 0.00000001",
    ],
    ["rules:\n  second_votes:\n    records: 0\n", "line 3: rules.second_votes.records must be 1 or more"],
    [
      "rules:\n  second_votes:\n    records: 1.5\n",
      "line 3: rules.second_votes.records must be a whole number from 1 to 1000000000",
    ],
    [
      "rules:\n  bad_proofs:\n\n    severity: bad\n",
      "line 4: rules.bad_proofs.severity must be info, warning, critical",
    ],
    [
      "rules:\n  missing_numbers:\n    forSeconds: 1\n    minutes: 3\n",
      "line 4: rules.missing_numbers has no field minutes: a rule of this name takes enabled, severity, forSeconds, clearSeconds, numbers",
    ],
    [
      "rules:\n  station_silence: {}\n",
      "line 2: rules has no rule station_silence: the rules are station_silent, station_surge,",
    ],
    [
      "rules:\n  count_lags:\n    entries: 100\n    clearEntries: 200\n",
      "line 4: rules.count_lags.clearEntries must not be larger than entries, or the alert is raised and over at once",
    ],
    ["rules:\n  bad_proofs: [\n", "line 3: "],
    ["rules:\n  bad_proofs: {}\n  bad_proofs: {}\n", "line 3: Map keys must be unique"],
    ["rules: 3\n", "line 1: rules must be rules by name"],
    ["", "line 1: the file must be an object with the field rules"],
    ["rules:\n  bad_proofs: 1\n", "line 2: rules.bad_proofs "],
  ] as const
) {
  Deno.test(`parseRules() says what is wrong with ${JSON.stringify(text)}, and in which line`, () => {
    assert.throws(() => parseRules(text, "mine.yml"), (error) => {
      assert.ok(error instanceof RulesFault);
      assert.match(error.message, /^Cannot use the alert rules mine\.yml:\n/);
      assert.ok(error.message.includes(`\n  ${message}`), error.message);
      return true;
    });
  });
}

Deno.test("readRules() names a file that cannot be read, or is too large", async () => {
  assert.throws(
    () => readRules("/no/such.yml"),
    /^RulesFault: Cannot read the alert rules \/no\/such\.yml: /,
  );
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "#".repeat(65_537));
    assert.throws(() => readRules(path), /must have 65536 bytes or fewer/);
    await Deno.writeTextFile(path, "rules: {second_votes: {records: 3}}");
    assert.equal(readRules(path).second_votes.records, 3);
  } finally {
    await Deno.remove(path);
  }
});
