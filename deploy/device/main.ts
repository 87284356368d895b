/**
 * `deno task pack`: writes the npm package for makers of devices.
 *
 * @module
 */
import { command, EXIT, program, runProgram } from "../../cli/command.ts";
import { packDevice } from "./pack.ts";

async function pack({ out }: { out: string }): Promise<void> {
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
      .action(pack),
  ];
  const code = await runProgram(program("device", "The client for makers of devices.", commands));
  Deno.exit(code === EXIT.ok ? 0 : code);
}
