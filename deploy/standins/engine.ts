/**
 * The Docker engine and Compose that stand-ins are built and run with.
 *
 * @module
 */
import { Failure } from "../../cli/command.ts";
import { run } from "../local/run.ts";

/** What is made once for this user and kept outside the repository. */
export const CACHE = `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/pollwire`;
/** The least Compose: it has `!reset` and `!override`. */
const LEAST_COMPOSE = [2, 24] as const;
/** How long the engine may take to answer, in milliseconds. */
const ASK_MS = 60_000;
/** How long the fetching of Compose may take, in milliseconds. */
const FETCH_MS = 180_000;
const MISSING = "install Docker (Debian: docker.io iptables)";

/** Asks the engine that DOCKER_HOST names, and returns what it wrote. */
export async function docker(args: readonly string[], limitMs = ASK_MS): Promise<string> {
  return await run("docker", args, { limitMs, missing: MISSING, environment: { DOCKER_BUILDKIT: "0" } });
}

/** Reads `Docker Compose version v2.40.3` or `2.26.1-4`. */
export function composeVersion(text: string): readonly number[] | undefined {
  const found = /\bv?(\d+)\.(\d+)\.(\d+)/.exec(text);
  return found === null ? undefined : found.slice(1).map(Number);
}

/** Whether Compose reads our files. */
export function isNewEnough(version: readonly number[] | undefined): boolean {
  if (version === undefined) return false;
  const [major = 0, minor = 0] = version;
  return major > LEAST_COMPOSE[0] || major === LEAST_COMPOSE[0] && minor >= LEAST_COMPOSE[1];
}

/**
 * The words that Compose is run with: that of this machine, else Debian's, which is fetched once with a container of
 * the stand-ins' base image.
 */
export async function findCompose(base: string): Promise<{ words: readonly string[]; version: string }> {
  const kept = `${CACHE}/docker-compose`;
  for (const words of [["docker", "compose"], ["docker-compose"], [kept]]) {
    const version = await versionOf(words);
    if (version !== undefined) return { words, version };
  }
  await Deno.mkdir(CACHE, { recursive: true });
  const fetching = `
    set -e
    apt-get update -qq && cd /tmp && apt-get download -qq docker-compose
    dpkg-deb --fsys-tarfile docker-compose_*.deb | tar -xO ./usr/libexec/docker/cli-plugins/docker-compose >/out/docker-compose`;
  const out = await Deno.makeTempDir({ dir: CACHE });
  try {
    const mount = `${out}:/out`;
    await docker(["run", "--rm", "--network=host", "--volume", mount, base, "sh", "-c", fetching], FETCH_MS);
    await Deno.chmod(`${out}/docker-compose`, 0o755);
    await Deno.rename(`${out}/docker-compose`, kept);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
  const version = await versionOf([kept]);
  if (version === undefined) {
    throw new Failure(`Cannot run Compose: ${kept} is older than ${LEAST_COMPOSE.join(".")}`);
  }
  return { words: [kept], version };
}

async function versionOf([program = "", ...words]: readonly string[]): Promise<string | undefined> {
  try {
    const said = await run(program, [...words, "version"], { limitMs: ASK_MS, missing: MISSING });
    return isNewEnough(composeVersion(said)) ? said.trim() : undefined;
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}
