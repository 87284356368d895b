/** Fields of an action's form, from the JSON schema that the API gives for its parameters. */

/**
 * The fields of a schema, nested ones too. `kind`: choice, time, lines, number, flag, text, or json where none of them fits.
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
    return [{ path: at, name: at.join("."), required, ...kindOf(each) }];
  });
}

function kindOf({ type, enum: options, const: only, pattern, items, maxLength, minimum, maximum }) {
  if (options !== undefined || only !== undefined) return { kind: "choice", options: options ?? [only] };
  if (type === "array" && items?.type === "string") return { kind: "lines" };
  if (type === "integer" || type === "number") return { kind: "number", minimum, maximum };
  if (type === "boolean") return { kind: "flag" };
  if (type !== "string") return { kind: "json" };
  return pattern?.startsWith("^\\d{4}-") ? { kind: "time" } : { kind: "text", maxLength };
}

/** What a filled form asks for. Fields that were left empty are left out. @param valueOf The text of a field, by name. */
export function parametersOf(fields, valueOf) {
  const parameters = {};
  for (const { path, name, kind } of fields) {
    const value = readField(kind, String(valueOf(name) ?? "").trim());
    if (value === undefined) continue;
    const inner = path.slice(0, -1).reduce((object, key) => object[key] ??= {}, parameters);
    inner[path.at(-1)] = value;
  }
  return parameters;
}

function readField(kind, text) {
  if (kind === "flag") return text === "on" ? true : undefined;
  if (text === "") return undefined;
  switch (kind) {
    case "lines":
      return text.split(/[\s,;]+/).filter((line) => line !== "");
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

/** Every value of parameters with the path to it, for people to read. */
export function flatten(parameters, path = []) {
  if (Array.isArray(parameters) || typeof parameters !== "object" || parameters === null) {
    return [[path.join("."), parameters]];
  }
  return Object.entries(parameters).flatMap(([key, value]) => flatten(value, [...path, key]));
}
