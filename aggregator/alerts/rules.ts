/**
 * The rules of the alerts: one file, YAML or JSON, with thresholds. rules.yml beside this has every rule with its defaults and what
 * it means.
 *
 * @module
 */
import { LineCounter, parseDocument } from "yaml";
import { z } from "zod";

/** Largest file of rules, in bytes. */
const MAX_RULES_BYTES = 65_536;
/** Faults that one message lists. */
const MAX_LISTED_FAULTS = 10;

/** How bad an alert is: the label `severity`. */
export const SEVERITIES = ["info", "warning", "critical"] as const;
export type Severity = typeof SEVERITIES[number];

const whole = (min: number, max: number) =>
  z.int(`must be a whole number from ${min} to ${max}`)
    .min(min, `must be ${min} or more`).max(max, `must be ${max} or less`);
const seconds = whole(0, 86_400);
const minutes = whole(1, 1_440);
const votes = whole(1, 1_000_000_000);
const chance = z.number("must be a number, like 0.00000001")
  .min(1e-30, "must be 1e-30 or more").max(0.01, "must be 0.01 or less");
const times = z.number("must be a number").min(1, "must be 1 or more").max(1_000, "must be 1000 or less");

const common = {
  enabled: z.boolean("must be true or false"),
  severity: z.enum(SEVERITIES, `must be ${SEVERITIES.join(", ")}`),
  forSeconds: seconds,
  clearSeconds: seconds,
};

/** Each rule's own thresholds. rules.yml says what each means. */
const SHAPES = {
  station_silent: { chance, minVotes: votes, minMinutes: minutes, halfLifeMinutes: minutes },
  station_surge: { chance, minVotes: votes, windowMinutes: minutes, times, clearTimes: times },
  more_votes_than_roll: { voters: votes },
  second_votes: { records: votes, windowMinutes: minutes },
  bad_proofs: { records: votes, windowMinutes: minutes },
  bad_signatures: { records: votes, windowMinutes: minutes },
  gateway_unseen: { seconds: whole(15, 86_400) },
  spool_grows: { records: votes, windowMinutes: minutes, clearRecords: votes },
  clock_ahead: { seconds: whole(1, 3_600), clearAheadSeconds: whole(0, 3_600), windowMinutes: minutes },
  missing_numbers: { numbers: votes },
  statement_exceeded: { numbers: votes },
  device_count_differs: { votes },
  count_lags: { entries: votes, clearEntries: votes },
  reconciliation_broken: {},
  check_failed: {},
} as const;

/** The rules that there are. */
export type RuleName = keyof typeof SHAPES;
export const RULE_NAMES = Object.keys(SHAPES) as RuleName[];

/** Thresholds above which an alert is raised, each with the one below which it is over. */
const BANDS = [
  ["station_surge", "times", "clearTimes"],
  ["spool_grows", "records", "clearRecords"],
  ["clock_ahead", "seconds", "clearAheadSeconds"],
  ["count_lags", "entries", "clearEntries"],
] as const;

type Fields<Name extends RuleName> = typeof common & typeof SHAPES[Name];
type Rule<Name extends RuleName> = {
  [Field in keyof Fields<Name>]: Fields<Name>[Field] extends z.ZodType ? z.infer<Fields<Name>[Field]> : never;
};
/** All rules, complete. */
export type Rules = Readonly<{ [Name in RuleName]: Readonly<Rule<Name>> }>;

/** A file of rules cannot be used; the message says where and what would be right. */
export class RulesFault extends Error {
  override name = "RulesFault";
}

function ruleSchema(shape: z.ZodRawShape) {
  return z.strictObject(
    { ...common, ...shape },
    { error: (issue) => issue.code === "unrecognized_keys" ? unknownField(issue, shape) : undefined },
  );
}

function unknownField({ keys }: { keys?: unknown }, shape: object): string {
  const known = Object.keys({ ...common, ...shape }).join(", ");
  return `has no field ${(keys as string[]).join(", ")}: a rule of this name takes ${known}`;
}

const wholeSchema = z.strictObject({
  rules: z.strictObject(
    Object.fromEntries(RULE_NAMES.map((name) => [name, ruleSchema(SHAPES[name])])),
    {
      error: (issue) =>
        issue.code === "unrecognized_keys"
          ? `has no rule ${issue.keys.join(", ")}: the rules are ${RULE_NAMES.join(", ")}`
          : issue.code === "invalid_type"
          ? "must be rules by name"
          : undefined,
    },
  ),
}, {
  error: (issue) => issue.code === "invalid_type" ? "must be an object with the field rules" : undefined,
});

/** The rules that apply where an office has no file of its own. */
export function defaultRules(): Rules {
  const url = new URL("./rules.yml", import.meta.url);
  return readText(Deno.readTextFileSync(url), "rules.yml", undefined);
}

/** Reads an office's file. @throws {RulesFault} */
export function readRules(path: string): Rules {
  let text: string;
  try {
    const { size } = Deno.statSync(path);
    if (size > MAX_RULES_BYTES) {
      throw new RulesFault(
        `Cannot use the alert rules ${path}: the file must have ${MAX_RULES_BYTES} bytes or fewer`,
      );
    }
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof RulesFault) throw error;
    throw new RulesFault(`Cannot read the alert rules ${path}: ${(error as Error).message}`);
  }
  return parseRules(text, path);
}

/**
 * Reads the text of a file: YAML, of which JSON is a part. What it leaves out is as in the defaults.
 *
 * @param name How messages call the file.
 * @throws {RulesFault} with line and field of each fault.
 */
export function parseRules(text: string, name: string): Rules {
  return readText(text, name, defaultRules());
}

function readText(text: string, name: string, defaults: Rules | undefined): Rules {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, merge: false });
  const fault = (faults: readonly string[]) => {
    const more = faults.length > MAX_LISTED_FAULTS ? `\n  and ${faults.length - MAX_LISTED_FAULTS} more` : "";
    const listed = faults.slice(0, MAX_LISTED_FAULTS).map((each) => `\n  ${each}`).join("");
    return new RulesFault(`Cannot use the alert rules ${name}:${listed}${more}`);
  };
  if (document.errors.length > 0) {
    throw fault(
      document.errors.map(({ pos: [at], message }) =>
        `line ${lines.linePos(at).line}: ${message.split("\n")[0]!.replace(/ at line .*$/, "")}`
      ),
    );
  }
  // A small document must not become a large one.
  const given: unknown = document.toJS({ maxAliasCount: 0 });
  const read = wholeSchema.safeParse(withDefaults(given, defaults));
  const lineOf = (path: readonly PropertyKey[]): number => {
    for (let length = path.length; length >= 0; length--) {
      const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
      const at = (node as { range?: readonly number[] } | null | undefined)?.range?.[0];
      if (at !== undefined) return lines.linePos(at).line;
    }
    return 1;
  };
  const at = (line: number, path: readonly PropertyKey[], message: string) =>
    `line ${line}: ${path.length === 0 ? "the file" : path.join(".")} ${message}`;
  if (!read.success) {
    throw fault(read.error.issues.map((issue) => {
      const [unknown] = issue.code === "unrecognized_keys" ? issue.keys : [];
      const line = lineOf(unknown === undefined ? issue.path : [...issue.path, unknown]);
      return at(line, issue.path, issue.message);
    }));
  }
  const rules = read.data.rules as unknown as Rules;
  const crossed = BANDS.filter(([rule, raise, clear]) => {
    const found = rules[rule] as unknown as Record<string, number>;
    return found[clear]! > found[raise]!;
  });
  if (crossed.length > 0) {
    throw fault(
      crossed.map(([rule, raise, clear]) =>
        at(
          lineOf(["rules", rule, clear]),
          ["rules", rule, clear],
          `must not be larger than ${raise}, or the alert is raised and over at once`,
        )
      ),
    );
  }
  return rules;
}

/** What was given over the defaults. What is no object stays, for the schema to refuse. */
function withDefaults(given: unknown, defaults: Rules | undefined): unknown {
  if (defaults === undefined || !isObject(given) || !isObject(given.rules)) return given;
  const own = given.rules;
  const rules: Record<string, unknown> = { ...own };
  for (const name of RULE_NAMES) {
    const rule = own[name];
    if (rule === undefined) rules[name] = defaults[name];
    else if (isObject(rule)) rules[name] = { ...defaults[name], ...rule };
  }
  return { ...given, rules };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
