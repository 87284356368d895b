import assert from "assert";
import { SETTINGS as AGGREGATOR_SETTINGS } from "../aggregator/config.ts";
import { SETTINGS as GATEWAY_SETTINGS } from "../gateway/config.ts";

Deno.test.sanitizer({ ops: true, resources: true });

// What tasks may do, and the unit files of systemd that run two of them.

const ROOT = new URL("..", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));
const { tasks, lock }: { tasks: Record<string, string>; lock: unknown } = JSON.parse(read("deno.json"));

/** Tasks that run for an election office or in production, by whose settings they read. */
const SETTINGS_OF: Record<string, Readonly<Record<string, unknown>>> = {
  gateway: GATEWAY_SETTINGS,
  ...Object.fromEntries(
    ["aggregate", "migrate", "provision", "topics", "recount", "decide", "office", "rebuild", "reindex"].map((
      task,
    ) => [task, AGGREGATOR_SETTINGS]),
  ),
};

/** The options of a `deno run`, without the script. */
function optionsOf(command: string): string[] {
  const words = command.replaceAll("'", "").split(/\s+/);
  const script = words.findIndex((word) => word.endsWith("main.ts"));
  return words.slice(2, script);
}

/** The environment's variables that a process may read, as names that may end with `*`. */
function allowedVariables(options: readonly string[]): string[] {
  return options.find((option) => option.startsWith("--allow-env="))!.slice("--allow-env=".length).split(",");
}

for (const [task, settings] of Object.entries(SETTINGS_OF)) {
  Deno.test(`deno task ${task} may read its own settings and no other variable`, () => {
    const options = optionsOf(tasks[task]!);
    assert.ok(options.includes("--ignore-env"), "another variable is as if it were not set");
    assert.ok(options.includes("--no-prompt"));
    const allowed = allowedVariables(options);
    const covers = (pattern: string, name: string) =>
      pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
    const names = Object.keys(settings).flatMap((name) => [name, `${name}_FILE`]);
    for (const name of names) {
      assert.ok(
        allowed.some((pattern) => covers(pattern, name)),
        `${name} cannot be read: allow it in deno.json`,
      );
    }
    for (const pattern of allowed) {
      const isUsed = names.some((name) => covers(pattern, name)) || ["TERM", "NO_COLOR"].includes(pattern);
      assert.ok(isUsed, `${pattern} is no setting: take it out of deno.json`);
    }
  });

  Deno.test(`deno task ${task} may start no program but its own, load no library and see nothing of the system but the room on its disk`, () => {
    const programs = task === "recount" ? ["--allow-run=deploy/spark/recount.sh"] : [];
    const granted = optionsOf(tasks[task]!).filter((option) => /^(-A|--allow-)/.test(option))
      .map((option) => option.replace(/^(--allow-env)=.*/, "$1"));
    const sys = task === "gateway" ? "statfs" : "osRelease,statfs";
    assert.deepEqual(
      granted.toSorted(),
      ["--allow-env", "--allow-net", "--allow-read", "--allow-write", `--allow-sys=${sys}`, ...programs]
        .toSorted(),
    );
  });
}

Deno.test("the lock is frozen: no run changes which libraries are used", () => {
  assert.deepEqual(lock, { frozen: true });
});

/** A unit's directives. One that is there several times has several values. */
function readUnit(path: string): Map<string, string[]> {
  const directives = new Map<string, string[]>();
  for (const line of read(path).replaceAll(/\\\n\s*/g, "").split("\n")) {
    const [, name, value] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) directives.set(name, [...directives.get(name) ?? [], value!]);
  }
  return directives;
}

const HARDENED = {
  NoNewPrivileges: "yes",
  ProtectSystem: "strict",
  ProtectHome: "yes",
  PrivateTmp: "yes",
  PrivateDevices: "yes",
  CapabilityBoundingSet: "",
  Restart: "always",
  UMask: "0077",
};

for (
  const [name, task, settings] of [
    ["gateway", "gateway", GATEWAY_SETTINGS],
    ["aggregator", "aggregate", AGGREGATOR_SETTINGS],
  ] as const
) {
  const unit = readUnit(`deploy/systemd/pollwire-${name}.service`);
  const one = (directive: string) => {
    const [value, ...more] = unit.get(directive) ?? [];
    assert.deepEqual(more, [], directive);
    return value;
  };
  const state = `/var/lib/pollwire-${name}`;

  Deno.test(`pollwire-${name}.service runs what deno task ${task} runs, and may write only its own directory`, () => {
    const command = one("ExecStart")!;
    const [program, ...words] = command.split(/\s+/);
    assert.equal(program, "/usr/local/bin/deno");
    const script = (text: string) => text.slice(text.indexOf(`${name}/main.ts`));
    assert.equal(script(words.join(" ")), script(tasks[task]!));
    const expected = optionsOf(tasks[task]!).map((option) =>
      option === "--allow-write" ? `--allow-write=${state}` : option
    );
    assert.deepEqual(optionsOf(command), ["--cached-only", ...expected]);
    assert.equal(one("StateDirectory"), `pollwire-${name}`);
  });

  Deno.test(`pollwire-${name}.service sets settings that there are`, () => {
    const variables = unit.get("Environment")!.flatMap((line) => line.split(" ")).map((each) =>
      each.split("=")
    );
    for (const [variable, value] of variables) {
      // Read by Deno, and by the C library's malloc.
      if (variable!.startsWith("DENO_") || variable!.startsWith("MALLOC_")) continue;
      assert.ok(variable! in settings, `${variable} is no setting of the ${name}`);
      assert.ok(value!.startsWith(state) || value!.startsWith("%d/"), `${variable}=${value}`);
    }
  });

  Deno.test(`pollwire-${name}.service is hardened, starts again, and has time to drain`, () => {
    for (const [directive, value] of Object.entries(HARDENED)) assert.equal(one(directive), value, directive);
    // Requests get 5 s to be answered, and the spool is forwarded for DRAIN_MS.
    const drainMs = GATEWAY_SETTINGS.DRAIN_MS.parse(undefined) + 5_000;
    assert.ok(Number(one("TimeoutStopSec")) * 1_000 > drainMs);
    assert.ok(!unit.has("KillMode"), "the default tells every process of the service");
    const descriptors = settings.MAX_CONNECTIONS.parse(undefined) + 128;
    assert.ok(Number(one("LimitNOFILE")) >= descriptors);
  });

  Deno.test(`pollwire-${name}.service runs as a user that pollwire.sysusers.conf makes`, () => {
    assert.match(
      read("deploy/systemd/pollwire.sysusers.conf"),
      new RegExp(`^u ${one("User")} - "[^"]+" ${state}$`, "m"),
    );
  });
}
