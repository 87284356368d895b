/**
 * docker-compose.yml on stand-in images, as a project of a test's own.
 *
 * @module
 */
import { parse } from "yaml";
import { Failure } from "../../cli/command.ts";
import { run } from "../../deploy/local/run.ts";
import { docker } from "../../deploy/standins/engine.ts";
import { freePorts } from "../../simulator/processes/ports.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
/** How long a command of Compose may take, if its caller does not say, in milliseconds. */
const COMMAND_MS = 60_000;
/** How long `down` may take, in milliseconds, and how often it is said. */
const DOWN_MS = 180_000;
const DOWN_ATTEMPTS = 3;
/** How much of a container's log is shown, in lines. */
const SHOWN_LINES = "30";

/** What a run is made of. */
export type ComposeOptions = Readonly<{
  /** The words that Compose is run with. */
  words: readonly string[];
  project: string;
  /** Files laid over docker-compose.yml, from the repository's root. */
  over: readonly string[];
  voters: number;
  votesPerSecond: number;
}>;

/** How a service's container is. */
export type State = Readonly<{ service: string; status: string; health: string; exitCode: number }>;

/** The election that is made up. */
export const ELECTION = "country-1";

/** One project. */
export class ComposeProject {
  readonly #options: ComposeOptions;
  readonly #directory: string;
  readonly #published: readonly string[];

  private constructor(options: ComposeOptions, directory: string, published: readonly string[]) {
    this.#options = options;
    this.#directory = directory;
    this.#published = published;
  }

  /** Publishes ports that are free, so that no program of this machine is in the way. */
  static async open(options: ComposeOptions): Promise<ComposeProject> {
    const directory = await Deno.makeTempDir({ prefix: "pollwire-compose-" });
    const inside: Record<string, number> = {
      "serve-1": 8000,
      "serve-2": 8000,
      "office-1": 8000,
      "gateway-1": 8001,
      "gateway-2": 8001,
      "prometheus": 9090,
      "superset": 8088,
    };
    const ports = freePorts(Object.keys(inside).length);
    const lines = Object.entries(inside).map(([name, port], i) =>
      `  ${name}:\n    ports: !override ["127.0.0.1:${ports[i]}:${port}"]\n`
    );
    // These tests do to the stack what the simulator cannot know.
    const { services } = parse(await Deno.readTextFile(`${ROOT}docker-compose.yml`), { merge: true });
    const command = JSON.stringify([...services.simulator.command, "--outside-faults"]);
    await Deno.writeTextFile(
      `${directory}/test.yml`,
      `services:\n${lines.join("")}  simulator:\n    command: ${command}\n`,
    );
    const { voters, votesPerSecond } = options;
    await Deno.writeTextFile(
      `${directory}/env`,
      `ELECTION=${ELECTION}\nVOTERS=${voters}\nVOTES_PER_SECOND=${votesPerSecond}\n`,
    );
    return new ComposeProject(
      options,
      directory,
      Object.keys(inside).map((name, i) => `${name}=${ports[i]}`),
    );
  }

  /** The port of this machine that leads to a service. */
  portOf(service: string): number {
    return Number(this.#published.find((each) => each.startsWith(`${service}=`))!.split("=")[1]);
  }

  /** Runs a command of Compose, and returns what it wrote. */
  async compose(args: readonly string[], limitMs = COMMAND_MS): Promise<string> {
    const { words: [program, ...words], project, over } = this.#options;
    const files = ["docker-compose.yml", "deploy/standins/compose.yml", ...over].map((file) =>
      `${ROOT}${file}`
    );
    return await run(program, [
      ...words,
      "--project-directory",
      ROOT,
      "--project-name",
      project,
      "--env-file",
      `${this.#directory}/env`,
      ...[...files, `${this.#directory}/test.yml`].flatMap((file) => ["--file", file]),
      ...args,
    ], { limitMs, missing: "install Compose" });
  }

  /** Like `compose`, but returns what went wrong as well: a program in a container may fail. */
  async tryCompose(args: readonly string[], limitMs = COMMAND_MS): Promise<{ ok: boolean; said: string }> {
    try {
      return { ok: true, said: await this.compose(args, limitMs) };
    } catch (error) {
      if (error instanceof Failure) return { ok: false, said: error.message };
      throw error;
    }
  }

  /** Every container of it. */
  async states(): Promise<State[]> {
    const text = await this.compose(["ps", "--all", "--format", "json"]);
    return text.trim().split("\n").filter((line) => line !== "").map((line) => {
      const { Service, State, Health, ExitCode } = JSON.parse(line);
      return { service: Service, status: State, health: Health, exitCode: ExitCode };
    });
  }

  async stateOf(service: string): Promise<State | undefined> {
    return (await this.states()).find((each) => each.service === service);
  }

  /** The end of what a service wrote, without what colours it. */
  async logs(service: string, lines = SHOWN_LINES): Promise<string> {
    const said = await this.compose(["logs", "--no-color", "--no-log-prefix", "--tail", lines, service]);
    // deno-lint-ignore no-control-regex
    return said.replace(/\x1b\[[\d;]*[A-Za-z]/g, "");
  }

  /** Runs a shell script in a service's container, and returns what it wrote. */
  async inside(service: string, script: string): Promise<string> {
    return await this.compose(["exec", "--no-TTY", service, "bash", "-c", script]);
  }

  /**
   * Removes containers, networks and volumes. Engine 20.10 now and then takes a moment longer to take the last container off a
   * network than to remove it, and refuses to remove the network until then: what a user does is say it again.
   */
  async down(): Promise<void> {
    const profiles = ["recount", "spark", "superset"].flatMap((name) => ["--profile", name]);
    const args = [...profiles, "down", "--volumes", "--timeout", "20", "--remove-orphans"];
    for (let attempt = 1; attempt <= DOWN_ATTEMPTS; attempt++) {
      const { ok, said } = await this.tryCompose(args, DOWN_MS);
      if (ok) return;
      if (attempt === DOWN_ATTEMPTS || !said.includes("has active endpoints")) throw new Failure(said);
      console.log(`The engine still has a container on a network: ${said.trim().split("\n").at(-1)}`);
    }
  }

  /** What the engine still has of it. */
  async leftovers(): Promise<string[]> {
    const label = `label=com.docker.compose.project=${this.#options.project}`;
    const of = async (...args: string[]) =>
      (await docker([...args, "--filter", label])).split("\n").filter((line) => line !== "");
    return [
      ...await of("ps", "--all", "--quiet"),
      ...await of("volume", "ls", "--quiet"),
      ...await of("network", "ls", "--quiet"),
    ];
  }

  async close(): Promise<void> {
    await Deno.remove(this.#directory, { recursive: true });
  }
}
