/**
 * Makes the npm package `pollwire-device`: the client for makers of devices as one file of JavaScript with its libraries in it, its
 * types, and the licences.
 *
 * @module
 */
import { Failure } from "../../cli/command.ts";
import { run } from "../local/run.ts";
import { tarball, type TarFile } from "./tar.ts";

const ROOT = new URL("../../", import.meta.url);
const utf8 = (text: string) => new TextEncoder().encode(text);

/** The package's name on npm. */
export const PACKAGE_NAME = "pollwire-device";

/** A package: how the file is called, and its bytes. */
export type Package = Readonly<{ file: string; bytes: Uint8Array<ArrayBuffer> }>;

/** Makes the package. @throws {Failure} with what the bundler said. */
export async function packDevice(): Promise<Package> {
  const { version, license } = JSON.parse(await read("deno.json"));
  const files: Record<string, string> = {
    "package.json": JSON.stringify(manifest(version, license), null, 2) + "\n",
    "index.js": await bundle(),
    "index.d.ts": await read("device/package.d.ts"),
    "README.md": await read("deploy/device/README.md"),
    "LICENSE": await read("LICENSE"),
    "LICENSES-OF-LIBRARIES": await read("deploy/device/LICENSES-OF-LIBRARIES"),
  };
  const packed: TarFile[] = Object.entries(files).map(([name, text]) => {
    return { name: `package/${name}`, contents: utf8(text) };
  });
  return { file: `${PACKAGE_NAME}-${version}.tgz`, bytes: tarball(packed) };
}

/** How long Python may take to make the wheel, in milliseconds. */
const PYTHON_MS = 60_000;

/** Writes the wheel for Python, `pollwire_device-<version>-py3-none-any.whl`, into a directory, and returns its name. */
export async function packPython(out: string): Promise<string> {
  const backend = new URL("python/wheel_backend.py", import.meta.url).pathname;
  const limit = { limitMs: PYTHON_MS, missing: "install Python 3.11 or later" };
  return (await run("python3", [backend, out], limit)).trim();
}

/** No dependencies: what is installed is what was tested. */
function manifest(version: string, license: string): Record<string, unknown> {
  return {
    name: PACKAGE_NAME,
    version,
    description:
      "Client for makers of voting devices: signs votes, sends them to Pollwire's gateways, keeps each until it is counted",
    license,
    type: "module",
    exports: { ".": { types: "./index.d.ts", default: "./index.js" } },
    types: "./index.d.ts",
    engines: { node: ">=20" },
  };
}

async function bundle(): Promise<string> {
  const directory = await Deno.makeTempDir({ prefix: "pollwire-pack-" });
  try {
    const output = `${directory}/index.js`;
    const config = new URL("deno.json", ROOT).pathname;
    const options = ["--quiet", "--config", config, "--platform", "browser", "--output", output];
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["bundle", ...options, new URL("device/index.ts", ROOT).pathname],
    }).output();
    if (!success) throw new Failure(`Cannot bundle device/index.ts: ${new TextDecoder().decode(stderr)}`);
    return await Deno.readTextFile(output);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, ROOT));
}
