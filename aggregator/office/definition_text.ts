/**
 * Reads the text of an election's definition, JSON or YAML, and says where in it each fault is.
 *
 * @module
 */
import { LineCounter, parseDocument } from "yaml";
import { findUnclosed } from "../../cli/unclosed_json.ts";
import { definitionSchema, type ElectionDefinition } from "../../shared/election.ts";
import { readHours } from "./definition_hours.ts";

/** Faults that are given at the most. */
const MAX_FAULTS = 10;
/** Aliases of a YAML text: a few lines of them could write out to more than memory has. */
const MAX_ALIASES = 1_000;

/** What is wrong at a field. `field` is its path, `contests.0.name`; empty for the text as a whole. */
export type DefinitionFault = Readonly<
  { line: number | undefined; column: number | undefined; field: string; message: string }
>;

/** A path as zod has it. */
export type FieldPath = readonly PropertyKey[];

/** A definition, and what finds a field's place in its text. */
export type DefinitionText = Readonly<{
  definition: ElectionDefinition;
  faultAt(path: FieldPath, message: string): DefinitionFault;
}>;

/** A fault in one line: `line 12, column 5: contests.0.name: …`. */
export function faultLine({ line, column, field, message }: DefinitionFault): string {
  const place = line === undefined ? "" : `line ${line}${column === undefined ? "" : `, column ${column}`}: `;
  return `${place}${field === "" ? "" : `${field}: `}${message}`;
}

/** Reads the text. A text that begins with `{` is JSON, any other YAML. */
export function parseDefinitionText(
  text: string,
): DefinitionText | Readonly<{ unreadable: DefinitionFault }> | Readonly<{ faults: DefinitionFault[] }> {
  const read = /^\s*\{/.test(text) ? readJsonText(text) : readYamlText(text);
  if ("unreadable" in read) return read;
  const locate = locator(text);
  const faultAt = (path: FieldPath, message: string) => ({
    ...locate(path),
    field: path.map(String).join("."),
    message,
  });
  const hours = readHours(read.value);
  if ("faults" in hours) return { faults: hours.faults.map(({ path, message }) => faultAt(path, message)) };
  const { value, timeZone } = hours;
  const result = definitionSchema.safeParse(
    timeZone === undefined ? value : { ...value as object, timeZone },
  );
  if (result.success) return { definition: result.data, faultAt };
  return {
    faults: result.error.issues.slice(0, MAX_FAULTS).map(({ path, message }) => faultAt(path, message)),
  };
}

type Read = Readonly<{ value: unknown }> | Readonly<{ unreadable: DefinitionFault }>;

function unreadable(message: string, line?: number, column?: number): Read {
  return { unreadable: { line, column, field: "", message } };
}

/** A message names the line on which begins what is not closed: JSON.parse says where it gave up. */
function readJsonText(text: string): Read {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    const unclosed = findUnclosed(text);
    return unclosed === undefined
      ? unreadable((error as Error).message)
      : unreadable(unclosed.what, unclosed.line);
  }
}

function readYamlText(text: string): Read {
  const document = parseDocument(text);
  const [fault] = document.errors;
  if (fault !== undefined) {
    const [at] = fault.linePos ?? [];
    return unreadable(fault.message.split("\n")[0]!.replace(/ at line .*$/, ""), at?.line, at?.col);
  }
  try {
    return { value: document.toJS({ maxAliasCount: MAX_ALIASES }) };
  } catch (error) {
    return unreadable((error as Error).message);
  }
}

/** Finds fields in a text. It is read again for that, as YAML, of which JSON is a part, when there is a fault only. */
function locator(text: string): (path: FieldPath) => Pick<DefinitionFault, "line" | "column"> {
  let parsed: { document: ReturnType<typeof parseDocument>; lines: LineCounter } | undefined;
  return (path) => {
    if (parsed === undefined) {
      const lines = new LineCounter();
      parsed = { document: parseDocument(text, { lineCounter: lines, uniqueKeys: false }), lines };
    }
    const { document, lines } = parsed;
    // What is missing has no place: then that of what should have it.
    for (let depth = path.length; depth >= 0; depth--) {
      const node = document.getIn(path.slice(0, depth), true) as
        | { range?: [number, ...number[]] }
        | undefined;
      if (node?.range === undefined) continue;
      const { line, col } = lines.linePos(node.range[0]);
      return { line, column: col };
    }
    return { line: undefined, column: undefined };
  };
}
