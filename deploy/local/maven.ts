/**
 * Brings the jars that a pom.xml names, with what they need, from Maven Central.
 *
 * @module
 */
import { Failure } from "../../cli/command.ts";
import { run } from "./run.ts";

/** How long Maven may take, in milliseconds: the first time it downloads. */
const MAVEN_MS = 900_000;

/**
 * Copies the runtime jars of a pom into a directory, unless they are there: the directory keeps a copy of the pom
 * that filled it, and is filled again when the pom has changed.
 *
 * @param pom A pom.xml of this repository.
 * @param directory Absolute; made when missing.
 * @throws {Failure} when Maven is missing or fails.
 */
export async function copyJars(pom: URL, directory: string): Promise<void> {
  const wanted = await Deno.readTextFile(pom);
  const mark = `${directory}/pom.xml`;
  if (await Deno.readTextFile(mark).catch(() => undefined) === wanted) return;
  // Filled beside, then moved: a directory that is there is whole, however this process ended.
  const filling = `${directory}.${crypto.randomUUID()}`;
  await Deno.mkdir(filling, { recursive: true });
  try {
    await Deno.writeTextFile(`${filling}/pom.xml`, wanted);
    await run("mvn", [
      "--batch-mode",
      "--quiet",
      "-f",
      `${filling}/pom.xml`,
      "dependency:copy-dependencies",
      "-DincludeScope=runtime",
      `-DoutputDirectory=${filling}`,
    ], { limitMs: MAVEN_MS, missing: "install Maven and a JDK 17 (Debian: maven, openjdk-17-jdk-headless)" });
    await replace(filling, directory);
  } catch (error) {
    await Deno.remove(filling, { recursive: true });
    throw error instanceof Failure
      ? new Failure(`Cannot fetch the jars of ${pom.pathname}: ${error.message}`)
      : error;
  }
}

/** Puts a directory in another's place; one that another process put there in the meantime is as good. */
async function replace(filled: string, directory: string): Promise<void> {
  await Deno.remove(directory, { recursive: true }).catch(ignoreMissing);
  await Deno.rename(filled, directory);
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
