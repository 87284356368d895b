/**
 * `deno task pack`: writes the packages for makers of devices, for npm and for Python.
 *
 * @module
 */
import { command, EXIT, program, runProgram } from "../../cli/command.ts";
import { packDevice, packPython } from "./pack.ts";

async function pack({ out, python = false }: { out: string; python?: boolean }): Promise<void> {
  if (python) {
    await Deno.mkdir(out, { recursive: true });
    return console.log(`${out}/${await packPython(out)}`);
  }

  const { file, bytes } = await packDevice();
  await Deno.mkdir(out, { recursive: true });
  await Deno.writeFile(`${out}/${file}`, bytes);
  console.log(`${out}/${file}: ${bytes.length.toLocaleString("en")} bytes`);
}

if (import.meta.main) {
  const commands = [
    command(
      "pack",
      "Writes the npm package for makers of devices: one file of JavaScript, its types, the licences.",
    )
      .option("--out <directory>", "where to", "data/packages")
      .option("--python", "write the wheel for Python instead")
      .action(pack),
  ];
  const code = await runProgram(program("device", "The client for makers of devices.", commands));
  Deno.exit(code === EXIT.ok ? 0 : code);
}
