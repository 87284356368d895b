/** Fields of an action's form, from the JSON schema that the API gives for its parameters. */

/**
 * The fields of a schema, nested ones too. `kind`: choice, time, lines, rows, number, flag, text, or json where none of them fits.
 * Of alternatives, the fields of all are there, and only those that all of them take are required.
 */
export function fieldsOf(schema, path = [], isRequired = true) {
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives?.every((each) => each.type === "object")) {
    const all = alternatives.flatMap((each) => fieldsOf(each, path, isRequired));
    const names = [...new Set(all.map(({ name }) => name))];
    return names.map((name) => {
      const same = all.filter((field) => field.name === name);
      return {
        ...same[0],
        required: same.length === alternatives.length && same.every(({ required }) => required),
      };
    });
  }
  return Object.entries(schema.properties ?? {}).flatMap(([key, each]) => {
    const required = isRequired && (schema.required ?? []).includes(key);
    const at = [...path, key];
    if (each.type === "object" && each.properties !== undefined) return fieldsOf(each, at, required);
    const kind = key === "timeZone" ? { kind: "zone" } : kindOf(each);
    return [{ path: at, name: at.join("."), required, ...kind }];
  });
}

function kindOf({ type, enum: options, const: only, pattern, items, maxLength, minimum, maximum }) {
  if (options !== undefined || only !== undefined) return { kind: "choice", options: options ?? [only] };
  if (type === "array" && items?.type === "string") return { kind: "lines" };
  const columns = type === "array" && items?.type === "object" ? columnsOf(items) : undefined;
  if (columns !== undefined) return { kind: "rows", columns };
  if (type === "integer" || type === "number") return { kind: "number", minimum, maximum };
  if (type === "boolean") return { kind: "flag" };
  if (type !== "string") return { kind: "json" };
  return pattern?.startsWith("^\\d{4}-") ? { kind: "time" } : { kind: "text", maxLength };
}

/** The columns of rows of plain values; `undefined` where a value is not plain. */
function columnsOf({ properties = {} }) {
  const columns = Object.entries(properties).map(([key, each]) => ({ key, ...kindOf(each) }));
  return columns.every(({ kind }) => kind === "text" || kind === "number") ? columns : undefined;
}

/**
 * What a filled form asks for. Fields that were left empty are left out. Where the action takes a time zone, times are sent as they were
 * written, with that of the browser: the server refuses those that a change to or from summer time skips or doubles.
 *
 * @param valueOf The text of a field, by name.
 */
export function parametersOf(fields, valueOf) {
  const parameters = {};
  const hasZone = fields.some(({ kind }) => kind === "zone");
  for (const { path, name, kind, columns } of fields) {
    const read = kind === "time" && hasZone ? "text" : kind;
    const value = readField(read, String(valueOf(name) ?? "").trim(), columns);
    if (value === undefined) continue;
    const inner = path.slice(0, -1).reduce((object, key) => object[key] ??= {}, parameters);
    inner[path.at(-1)] = value;
  }
  return parameters;
}

function readField(kind, text, columns) {
  if (kind === "zone") return Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (kind === "flag") return text === "on" ? true : undefined;
  if (text === "") return undefined;
  switch (kind) {
    case "lines":
      return text.split(/[\s,;]+/).filter((line) => line !== "");
    case "rows":
      return text.split("\n").filter((line) => line.trim() !== "").map((line) => rowOf(line, columns));
    case "number":
      return Number(text);
    case "json":
      return JSON.parse(text);
    case "time":
      // A field of a day and a time is in the time zone of the browser.
      return new Date(text).toISOString();
    default:
      return text;
  }
}

/** A line of values, in the order of the columns. What is left out, or too much, is for the server to refuse. */
function rowOf(line, columns) {
  const values = line.trim().split(/[\s,;]+/);
  const named = values.map((value, at) => [
    columns[at]?.key ?? `column ${at + 1}`,
    columns[at]?.kind === "number" ? Number(value) : value,
  ]);
  return Object.fromEntries(named);
}

/** Every value of parameters with the path to it, for people to read. */
export function flatten(parameters, path = []) {
  if (Array.isArray(parameters) || typeof parameters !== "object" || parameters === null) {
    return [[path.join("."), parameters]];
  }
  return Object.entries(parameters).flatMap(([key, value]) => flatten(value, [...path, key]));
}
