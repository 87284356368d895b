/**
 * Renders the overlays of `deploy/kubernetes/`, on a copy that has a file for every secret.
 * `deno run -A tests/kubernetes/render.ts DIRECTORY` writes them there, for a validator of schemas.
 *
 * @module
 */
import { parse } from "yaml";

const SOURCE = new URL("../../deploy/kubernetes/", import.meta.url).pathname;

/** Every kustomization that is applied to a cluster. */
export const OVERLAYS = ["small", "small/provision", "national", "national/provision"] as const;
export type Overlay = typeof OVERLAYS[number];

/** Commands that render a directory: kubectl has kustomize in it. */
const RENDERERS = [["kustomize", "build"], ["kubectl", "kustomize"]] as const;

/** The command that this machine has; `undefined` when it has none. */
export async function renderer(): Promise<readonly [string, string] | undefined> {
  for (const [program, verb] of RENDERERS) {
    try {
      if ((await new Deno.Command(program, { args: [verb, "--help"] }).output()).success) {
        return [program, verb];
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** @throws {Error} with what the renderer said. */
export async function render([program, verb]: readonly [string, string]): Promise<Record<Overlay, string>> {
  const directory = await Deno.makeTempDir({ prefix: "pollwire-kubernetes-" });
  try {
    await copy(SOURCE, directory);
    await writeSecrets(`${directory}/overlays/small`);
    const rendered: Partial<Record<Overlay, string>> = {};
    for (const overlay of OVERLAYS) {
      const { success, stdout, stderr } = await new Deno.Command(program, {
        args: [verb, `${directory}/overlays/${overlay}`],
      }).output();
      const decoder = new TextDecoder();
      if (!success) throw new Error(`${program} ${verb} overlays/${overlay}: ${decoder.decode(stderr)}`);
      rendered[overlay] = decoder.decode(stdout);
    }
    return rendered as Record<Overlay, string>;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copy(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

/** Files that an overlay makes secrets of. Their contents do not matter. */
async function writeSecrets(overlay: string): Promise<void> {
  const { secretGenerator = [] } = parse(await Deno.readTextFile(`${overlay}/kustomization.yaml`));
  for (const { files = [] } of secretGenerator as { files?: string[] }[]) {
    for (const file of files) {
      await Deno.writeTextFile(`${overlay}/${file.slice(file.indexOf("=") + 1)}`, "made up");
    }
  }
}

if (import.meta.main) {
  const [directory] = Deno.args;
  const program = await renderer();
  if (directory === undefined || program === undefined) {
    console.error("Cannot render: name a directory, and have kustomize or kubectl on the path");
    Deno.exit(2);
  }
  for (const [overlay, text] of Object.entries(await render(program))) {
    await Deno.writeTextFile(`${directory}/${overlay.replace("/", "-")}.yaml`, text);
  }
}
