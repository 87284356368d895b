/**
 * Finds what is not closed in a text that should be JSON (RFC 8259): a string, an object, an array, or a field
 * without its value. `JSON.parse` names the place where it gave up, which is often far below the mistake.
 *
 * @module
 */

/** What is not closed. `line` is the one on which it begins, counted from 1. */
export type Unclosed = Readonly<{ line: number; what: string }>;

/** An open object or array. `field` is the key that waits for its value, and the line of that key. */
type Open = { closer: "}" | "]"; line: number; field?: Readonly<{ key: string; line: number }> };

const TOKEN = /"(?:[^"\\\n]|\\[^\n])*("?)|[{}[\],:]|\n|[^\s{}[\],:"]+/g;

/** The first string that does not end on its line, else the innermost object, array or field that is not closed. */
export function findUnclosed(text: string): Unclosed | undefined {
  const open: Open[] = [];
  let line = 1;
  let key: Open["field"];
  for (const { 0: token, 1: endQuote, index } of text.matchAll(TOKEN)) {
    const inner: Open | undefined = open.at(-1);
    if (token === "\n") {
      line++;
    } else if (token === ":") {
      if (inner !== undefined) inner.field = key;
    } else if (token === "{" || token === "[") {
      open.push({ closer: token === "{" ? "}" : "]", line });
    } else if (token === "}" || token === "]") {
      if (inner === undefined) return undefined;
      if (inner.closer !== token) {
        return { line: inner.line, what: `${notClosed(inner)} before the ${token} of line ${line}` };
      }
      open.pop();
      const outer = open.at(-1);
      if (outer !== undefined) outer.field = undefined;
    } else if (token.startsWith('"')) {
      if (endQuote === "") return { line, what: "a quote opens here and is not closed" };
      key = { key: token, line };
      if (inner !== undefined) inner.field = undefined;
    } else if (inner !== undefined && index + token.length < text.length) {
      inner.field = undefined;
    }
  }
  const inner = open.at(-1);
  if (inner === undefined) return undefined;
  const { field } = inner;
  return field !== undefined
    ? { line: field.line, what: `the field ${field.key} begins here, and the file ends in it` }
    : {
      line: inner.line,
      what: `${notClosed(inner)}: the file was cut off, or a ${inner.closer} is missing`,
    };
}

function notClosed({ closer }: Open): string {
  return `${closer === "}" ? "an object" : "an array"} begins here and is not closed`;
}
