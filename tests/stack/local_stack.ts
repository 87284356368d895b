/**
 * What tests of the local stack need from the machine.
 *
 * @module
 */

/** A program's exit code and complete output. */
export type Said = Readonly<{ code: number; out: string; error: string }>;

/** Runs a program to its end, without colours. */
export async function command(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Said> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), error: text(stderr) };
}

/** The programs that the local stack needs and this machine does not have. */
export function missingPrograms(): string[] {
  const directories = (Deno.env.get("PATH") ?? "").split(":");
  const missing = ["mvn", "java", "javac", "openssl", "psql"]
    .filter((name) => !directories.some((directory) => isFile(`${directory}/${name}`)));
  return missing;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
