/**
 * `deno task test`: all tests that need no server. Most test files take longer to start, each in a worker with libraries of its
 * own, than to run. So those that start no process share a few workers, which import them; the others have one each. A file's
 * database is its own in a shared worker as well.
 *
 * With files or folders named, only those run, as `deno test` runs them. Options go to `deno test` (`--filter`, `--fail-fast`).
 *
 * @module
 */
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";

/**
 * Workers that files share, of each of the two kinds: several a processor, so that the last to end does not keep the others
 * waiting.
 */
const SHARED_WORKERS = 5;
/** Tests of real servers and of Docker: tasks of their own. */
const OTHER_TASKS = /^tests\/(?:stack|compose)\//;
/** What a file says that starts processes or threads, or opens a database on a directory. */
const STARTS_SOMETHING = /openPglite|Deno\.Command|runCommand|startGateway|node:worker_threads/;
/**
 * What a file says whose tests must leave no timer and no file open. That holds for all tests of a worker from then on, and
 * sees timers of the tests before, so files that say it share no worker with those that do not.
 */
const CHECKS_LEAKS = /Deno\.test\.sanitizer\(/;

/** Which files have a worker each, and which share one. */
export type Plan = Readonly<{ alone: readonly string[]; shared: readonly (readonly string[])[] }>;

/**
 * Spreads test files over workers.
 *
 * @param files Paths and what stands in them.
 * @param workers How many share the files that check for leaks, and how many those that do not.
 */
export function planTests(files: ReadonlyMap<string, string>, workers: number = SHARED_WORKERS): Plan {
  const alone: string[] = [];
  const checked: string[] = [];
  const unchecked: string[] = [];
  for (const [path, text] of files) {
    if (OTHER_TASKS.test(path)) continue;
    if (STARTS_SOMETHING.test(text)) alone.push(path);
    else (CHECKS_LEAKS.test(text) ? checked : unchecked).push(path);
  }
  return { alone, shared: [...spread(unchecked, workers), ...spread(checked, workers)] };
}

/** Deals files out to workers. A worker without a file is left out. */
function spread(paths: readonly string[], workers: number): string[][] {
  const shared = Array.from({ length: workers }, (): string[] => []);
  paths.forEach((path, i) => shared[i % workers]!.push(path));
  return shared.filter((each) => each.length > 0);
}

/** The test files of a checkout, in alphabetical order, as `deno test` finds them. */
export async function testFiles(root: string): Promise<Map<string, string>> {
  const paths: string[] = [];
  const look = async (folder: string) => {
    for await (const { name, isDirectory, isFile } of Deno.readDir(`${root}/${folder}`)) {
      if (isDirectory && !name.startsWith(".") && name !== "node_modules" && `${folder}${name}` !== "data") {
        await look(`${folder}${name}/`);
      }
      if (isFile && name.endsWith("_test.ts")) paths.push(`${folder}${name}`);
    }
  };
  await look("");
  const texts = await Promise.all(paths.sort().map((path) => Deno.readTextFile(`${root}/${path}`)));
  return new Map(paths.map((path, i) => [path, texts[i]!]));
}

async function run(args: readonly string[]): Promise<number> {
  const root = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
  const deno = async (paths: readonly string[]) => {
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: [
        "test",
        "-A",
        "--no-check",
        "--parallel",
        "--quiet",
        "--config",
        `${root}/deno.json`,
        ...paths,
        ...args,
      ],
      cwd: root,
    }).spawn().status;
    return code;
  };
  if (args.some((arg) => !arg.startsWith("-") && existsSync(`${root}/${arg}`))) return await deno([]);
  const { alone, shared } = planTests(await testFiles(root));
  const directory = await Deno.makeTempDir({ prefix: "pollwire-tests-" });
  try {
    const workers = shared.map(async (paths, i) => {
      const worker = `${directory}/shared_${i + 1}_test.ts`;
      const imports = paths.map((path) =>
        `import ${JSON.stringify(pathToFileURL(`${root}/${path}`).href)};\n`
      );
      await Deno.writeTextFile(worker, imports.join(""));
      return worker;
    });
    return await deno([...await Promise.all(workers), ...alone]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await run(Deno.args));
