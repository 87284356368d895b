/**
 * Reads a process's settings from its environment, once, and names wrong ones.
 *
 * @module
 */
import { z } from "zod";

/** A wrong setting. The message names it and says what it should be. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/**
 * Reads settings. A setting `NAME` may also be given as `NAME_FILE`, the path of a file that holds its value, as
 * secrets usually are.
 *
 * @throws {ConfigError} naming every wrong setting.
 */
export function readConfig<Shape extends z.ZodRawShape>(
  shape: Shape,
  environment: Readonly<Record<string, string>> = environmentOf(shape),
): z.infer<z.ZodObject<Shape>> {
  const values: Record<string, string> = {};
  for (const name of Object.keys(shape)) {
    const file = `${name}_FILE` in shape ? undefined : environment[`${name}_FILE`];
    // An empty setting counts as not set: compose files pass unset variables that way.
    const value = file ? readSecret(name, file) : environment[name];
    if (value) values[name] = value;
  }
  const result = z.object(shape).safeParse(values);
  if (result.success) return result.data as z.infer<z.ZodObject<Shape>>;
  const faults = result.error.issues.map(({ path, message }) => {
    const name = String(path[0]);
    return `${name}${name in values ? "" : " (not set)"}: ${message}`;
  });
  throw new ConfigError(`Cannot start: ${faults.join("; ")}`);
}

/** The settings in the environment. Reads no other variable: the process has no permission for more (deno.json). */
function environmentOf(shape: z.ZodRawShape): Record<string, string> {
  const names = Object.keys(shape).flatMap((name) => [name, `${name}_FILE`]);
  return Object.fromEntries(
    names.map((name) => [name, Deno.env.get(name)]).filter(([, value]) => value !== undefined),
  );
}

function readSecret(name: string, file: string): string {
  try {
    return Deno.readTextFileSync(file).trim();
  } catch (error) {
    throw new ConfigError(
      `Cannot start: ${name}_FILE names ${file}, which cannot be read (${(error as Error).message})`,
    );
  }
}

/** A whole number from a setting's text, within bounds. */
export function integer(min: number, max: number) {
  return z.coerce.number({ error: `must be a whole number from ${min} to ${max}` }).int(
    `must be a whole number from ${min} to ${max}`,
  ).min(min, `must be ${min} or more`).max(max, `must be ${max} or less`);
}
