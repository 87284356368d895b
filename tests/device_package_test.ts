import assert from "assert";
import { WIRE_FORMAT } from "../device/index.ts";
import { packDevice, packPython } from "../deploy/device/pack.ts";
import { FOUND, IDENTITY, installPackage, withServer } from "./device_package.ts";
import { SAME } from "./device_package_types.ts";
import { withDirectory } from "./directory.ts";

const read = (path: string) => Deno.readTextFile(new URL(`../${path}`, import.meta.url));

/** Reads the program's arguments and says what it found: the same in Node and Deno. */
const START = `
import process from "node:process";
import { readFileSync } from "node:fs";
import { tryOut } from "./try.mjs";
const [origin, identity] = process.argv.slice(2);
console.log(JSON.stringify(await tryOut(origin, JSON.parse(identity), JSON.parse(readFileSync("vectors.json", "utf8")))));
`;

/** Runtimes of makers of devices. CI names a Node of the other version by POLLWIRE_NODE_22. */
const RUNTIMES: Record<string, string[] | undefined> = {
  "the Node of this machine": ["node"],
  "Node 22": Deno.env.has("POLLWIRE_NODE_22") ? [Deno.env.get("POLLWIRE_NODE_22")!] : undefined,
  Deno: [Deno.execPath(), "run", "--quiet", "--no-config", "--no-lock", "--node-modules-dir=manual", "-A"],
};

for (const [runtime, command] of Object.entries(RUNTIMES)) {
  Deno.test({
    name: `the npm package for devices casts votes and agrees with docs/vectors.json in ${runtime}`,
    ignore: command === undefined,
    async fn() {
      const [program, ...options] = command!;
      await withDirectory(async (directory) => {
        await installPackage(directory);
        await Deno.writeTextFile(`${directory}/start.mjs`, START);
        await withServer(async (origin) => {
          const { stdout, stderr } = await new Deno.Command(program!, {
            args: [...options, "start.mjs", origin, JSON.stringify(IDENTITY)],
            cwd: directory,
          }).output();
          assert.equal(new TextDecoder().decode(stderr), "");
          assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), FOUND);
        });
      });
    },
  });
}

Deno.test("both packages for devices name one version, and one wire format: that of the documents and the vectors", async () => {
  const of = async (path: string, pattern: RegExp) => pattern.exec(await read(path))?.[1];
  const python = "deploy/device/python";
  assert.equal(
    await of(`${python}/pollwire_device/messages.py`, /^WIRE_FORMAT = (\d+)$/m),
    String(WIRE_FORMAT),
  );
  assert.equal(await of("device/package.d.ts", /WIRE_FORMAT: (\d+);/), String(WIRE_FORMAT));
  assert.equal(await of("docs/vectors.json", /wire format (\d+)/), String(WIRE_FORMAT));
  assert.equal(
    await of(`${python}/pyproject.toml`, /^version = "(.*)"$/m),
    JSON.parse(await read("deno.json")).version,
  );
});

Deno.test("packPython() makes the same bytes twice", async () => {
  await withDirectory(async (directory) => {
    const wheel = `${directory}/${await packPython(directory)}`;
    const first = await Deno.readFile(wheel);
    await packPython(directory);
    assert.deepEqual(await Deno.readFile(wheel), first);
  });
});

Deno.test("packDevice() makes the same bytes twice, with nothing of Deno or Node and every library's licence in them", async () => {
  const [first, second] = [await packDevice(), await packDevice()];
  assert.deepEqual(first.bytes, second.bytes);
  await withDirectory(async (directory) => {
    await installPackage(directory);
    const home = `${directory}/node_modules/pollwire-device`;
    const files = [...Deno.readDirSync(home)].map(({ name }) => name).toSorted();
    assert.deepEqual(files, [
      "LICENSE",
      "LICENSES-OF-LIBRARIES",
      "README.md",
      "index.d.ts",
      "index.js",
      "package.json",
    ]);
    const code = await Deno.readTextFile(`${home}/index.js`);
    assert.doesNotMatch(code, /\bDeno\./);
    assert.doesNotMatch(code, /^import .* from ["']/m);
    const { version, imports } = JSON.parse(await read("deno.json"));
    const manifest = JSON.parse(await Deno.readTextFile(`${home}/package.json`));
    assert.deepEqual([manifest.version, manifest.type, manifest.dependencies], [
      version,
      "module",
      undefined,
    ]);
    const licences = await Deno.readTextFile(`${home}/LICENSES-OF-LIBRARIES`);
    // All that shared/ may use (tests/imports_test.ts).
    for (const name of ["zod", "libsodium-wrappers-sumo"]) {
      const [, pinned] = /^npm:.+@(.+)$/.exec(imports[name])!;
      assert.ok(licences.includes(`== ${name} ${pinned}`), `the licence of ${name} ${pinned} is missing`);
    }
  });
});

Deno.test("the types of the npm package are those of the client", () => {
  // `deno check` compares them; this keeps the list from being emptied.
  assert.ok(SAME.length >= 18 && SAME.every((same) => same));
});
