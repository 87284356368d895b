/**
 * `deno task standins`: images for docker-compose.yml where no hub is reached (docs/stack.md).
 *
 * @module
 */
import { resolve } from "node:path";
import { Option } from "commander";
import { command, EXIT, program, runProgram } from "../../cli/command.ts";
import { findCompose } from "./engine.ts";
import { BASE, buildImages, type Profile, PROFILES } from "./images.ts";

async function build(
  { libraries, mirror, profiles }: { libraries: string; mirror: string; profiles?: Profile[] },
): Promise<void> {
  await buildImages({ libraries: resolve(libraries), mirror, profiles, log: console.log });
}

async function compose(): Promise<void> {
  const { words, version } = await findCompose(BASE);
  console.error(version);
  console.log(words.join(" "));
}

if (import.meta.main) {
  const commands = [
    command("build", "Builds them, and the apps' image, with the engine that DOCKER_HOST names.")
      .option("--libraries <directory>", "where jars are kept", "data/libraries")
      .option("--mirror <url>", "of Debian", "http://deb.debian.org/debian")
      .addOption(
        new Option("--profiles <names...>", "build the images of these profiles, too")
          .choices(Object.keys(PROFILES)),
      )
      .action(build),
    command(
      "compose",
      "Writes how Compose is run here; fetches Debian's when there is none that is new enough.",
    )
      .action(compose),
  ];
  const code = await runProgram(program("standins", "Images that stand in for those of vendors.", commands));
  Deno.exit(code === EXIT.ok ? 0 : code);
}
