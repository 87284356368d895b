/**
 * `deno task test`: all tests that need no server. Most test files take longer to start, each in a worker with libraries of its
 * own, than to run. So those that start nothing themselves share a few workers, which import them; the others have one each.
 *
 * With files or folders named, only those run, as `deno test` runs them. Options go to `deno test` (`--filter`, `--fail-fast`).
 *
 * @module
 */
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** Workers that files share: several a processor, so that the last to end does not keep the others waiting. */
const SHARED_WORKERS = 8;
/** Tests of real servers and of Docker: tasks of their own. */
const OTHER_TASKS = /^tests\/(?:stack|compose)\//;
/** What a file says that starts something: a database, a process, a browser. Two such files in one worker share memory and names. */
const STARTS_SOMETHING =
  /testDatabase|TestDatabase|pglite|withSeeded|Deno\.Command|startGateway|Chromium|node:worker_threads/;

/** Which files have a worker each, and which share one. */
export type Plan = Readonly<{ alone: readonly string[]; shared: readonly (readonly string[])[] }>;

/**
 * Spreads test files over workers.
 *
 * @param files Paths and what stands in them.
 */
export function planTests(files: ReadonlyMap<string, string>, workers: number = SHARED_WORKERS): Plan {
  const alone: string[] = [];
  const shared = Array.from({ length: workers }, (): string[] => []);
  let at = 0;
  for (const [path, text] of files) {
    if (OTHER_TASKS.test(path)) continue;
    if (STARTS_SOMETHING.test(text)) alone.push(path);
    else shared[at++ % workers]!.push(path);
  }
  return { alone, shared: shared.filter((paths) => paths.length > 0) };
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
