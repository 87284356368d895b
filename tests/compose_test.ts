import assert from "assert";
import { parse } from "yaml";
import { aggregatorConfig, SETTINGS as AGGREGATOR_SETTINGS } from "../aggregator/config.ts";
import { SETTINGS as COMPOSE_SETTINGS } from "../deploy/compose/config.ts";
import { parsePasswords, parseServers } from "../deploy/compose/setup.ts";
import { SETTINGS as GATEWAY_SETTINGS } from "../gateway/config.ts";
import { withDirectory } from "./directory.ts";

Deno.test.sanitizer({ ops: true, resources: true });

// What the schema of compose files cannot see. The schema itself is checked in .ci/run.

const ROOT = new URL("..", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));

type Mount = string;
type Service = {
  image?: string;
  build?: unknown;
  entrypoint?: string[];
  command?: string[];
  environment?: Record<string, string>;
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: unknown;
  restart?: string;
  ports?: string[];
  env_file?: { path: string; required: boolean }[];
  volumes?: Mount[];
  networks?: string[];
  network_mode?: string;
  extends?: { file: string; service: string };
};
type Compose = { services: Record<string, Service>; volumes: Record<string, null> };

const base: Compose = parse(read("docker-compose.yml"), { merge: true });

/** As compose merges them: one at the same target takes the place of the other. */
function mergeMounts(under: readonly string[] = [], over: readonly string[] = []): string[] {
  const targets = over.map((mount) => mount.split(":")[1]);
  return [...under.filter((mount) => !targets.includes(mount.split(":")[1])), ...over];
}

/** An overlay as compose lays it: a service that extends another, and what is added to services that are there. */
function laidOver(file: string): Compose {
  const over: Compose = parse(read(file), { merge: true });
  const laid: Compose = { services: { ...base.services }, volumes: { ...base.volumes, ...over.volumes } };
  for (const [name, service] of Object.entries(over.services)) {
    const under = service.extends ? base.services[service.extends.service] : base.services[name];
    laid.services[name] = {
      ...under,
      ...service,
      environment: { ...under?.environment, ...service.environment },
      depends_on: { ...under?.depends_on, ...service.depends_on },
      volumes: mergeMounts(under?.volumes, service.volumes),
    };
  }
  return laid;
}

const clustered = laidOver("compose.cluster.yml");
const paired = laidOver("compose.standby.yml");
/** Every way to lay them. */
const FILES = { "docker-compose.yml": base, "compose.cluster.yml": clustered, "compose.standby.yml": paired };

const each = (compose: Compose) => Object.entries(compose.services);

/** The app that a service runs, by its file. */
const appOf = (service: Service) => wordsOf(service).find((word) => word.endsWith("main.ts"));

/** Volumes and paths that a service mounts: source, target, mode. */
const mountsOf = ({ volumes = [] }: Service) => volumes.map((mount) => mount.split(":"));

/** The servers that setup makes files for. */
function serversOf(compose: Compose): string[] {
  const servers = parseServers(compose.services.setup.environment!.SETUP_SERVERS)!.map(({ name }) => name);
  const brokers = Number(compose.services.setup.environment!.KAFKA_BROKERS);
  for (let id = 1; id <= brokers; id++) servers.push(`kafka-${id}`);
  if (compose.services.setup.environment!.SETUP_DATABASE_SERVERS === "2") servers.push("postgresql-2");
  return servers;
}

/** What a service runs, word by word. */
function wordsOf({ entrypoint = [], command = [] }: Service): string[] {
  return [...entrypoint, ...command];
}

for (const [file, compose] of Object.entries(FILES)) {
  Deno.test(`${file}: services wait for services that are there, and that can come to what is waited for`, () => {
    for (const [name, { depends_on = {} }] of each(compose)) {
      for (const [other, { condition }] of Object.entries(depends_on)) {
        const awaited = compose.services[other];
        assert.ok(awaited, `${name} waits for ${other}, which is not there`);
        if (condition === "service_healthy") {
          assert.ok(awaited.healthcheck, `${other} has no health to wait for`);
        }
        if (condition === "service_completed_successfully") {
          assert.equal(awaited.restart, undefined, `${other} is to end, and would be started again`);
        }
      }
    }
  });

  Deno.test(`${file}: no two services are reached by the same port, and all by this machine only`, () => {
    const ports = each(compose).flatMap(([, { ports = [] }]) => ports);
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/);
    const published = ports.map((port) => port.split(":")[1]);
    assert.equal(new Set(published).size, published.length, published.join(" "));
  });

  Deno.test(`${file}: every volume is declared and used, and setup fills those of every server`, () => {
    const servers = serversOf(compose);
    const used = new Set<string>();
    for (const [name, { volumes = [] }] of each(compose)) {
      for (const mount of volumes) {
        const [source, target] = mount.split(":");
        if (source.startsWith("./")) continue;
        assert.ok(source in compose.volumes, `${name} mounts ${source}, which is not declared`);
        used.add(source);
        if (!source.startsWith("setup-")) continue;
        const part = source.slice("setup-".length);
        assert.ok(servers.includes(part), `${name} mounts ${source}, which is not made`);
        if (name === "setup") assert.equal(target, `/setup/${part}`);
      }
    }
    assert.deepEqual([...used].toSorted(), Object.keys(compose.volumes).toSorted());
    const filled = mountsOf(compose.services.setup).map(([source]) => source).filter((source) =>
      source !== "setup"
    );
    assert.deepEqual(filled.toSorted(), servers.map((name) => `setup-${name}`).toSorted());
  });

  Deno.test(`${file}: a service finds the passwords that it names, and setup makes no others`, () => {
    const given = new Map<string, Set<string>>();
    for (const { name, servers } of parsePasswords(compose.services.setup.environment!.SETUP_PASSWORDS)!) {
      for (const server of servers) {
        if (!given.has(server)) given.set(server, new Set());
        given.get(server)!.add(`${name}-password`);
      }
    }
    for (const [name, service] of each(compose)) {
      if (name === "setup") continue;
      const own = mountsOf(service).filter(([source, target]) =>
        source.startsWith("setup-") && !target.startsWith("/count-")
      );
      assert.ok(own.length <= 1, `${name} mounts ${own}`);
      if (own.length === 0) continue;
      const from = own[0][0].slice("setup-".length);
      const named = [...JSON.stringify(service).matchAll(/(?:setup|certs)\/([\w-]+-password)/g)]
        .map(([, file]) => file);
      const has = given.get(from.replace(/^(kafka|postgresql)-\d$/, (whole, name) =>
        given.has(name) ? name : whole)) ?? new Set();
      for (const file of named) {
        assert.ok(has.has(file), `${name} names ${file}, which ${from} does not get`);
      }
    }
  });

  Deno.test(`${file}: an app gets no setting that it does not have`, () => {
    const known: Record<string, object> = {
      "gateway/main.ts": GATEWAY_SETTINGS,
      "aggregator/main.ts": AGGREGATOR_SETTINGS,
      "deploy/compose/main.ts": COMPOSE_SETTINGS,
    };
    let apps = 0;
    for (const [name, service] of each(compose)) {
      const settings = known[appOf(service) ?? ""];
      if (settings === undefined) continue;
      apps++;
      const unknown = Object.keys(service.environment ?? {}).filter((setting) =>
        // MALLOC_… is read by the C library.
        !(setting in settings) && !(setting.replace(/_FILE$/, "") in settings) &&
        !setting.startsWith("MALLOC_")
      );
      assert.deepEqual(unknown, [], name);
    }
    assert.ok(apps >= 8, "apps are found");
  });
}

Deno.test("compose.standby.yml: every app knows both servers of PostgreSQL, and is the same user in them", () => {
  let apps = 0;
  for (const [name, { environment = {} }] of each(base)) {
    for (const setting of ["DATABASE_URL", "BOARD_DATABASE_URL"]) {
      const url = environment[setting];
      if (!url?.startsWith("postgres://")) continue;
      if (name.startsWith("spark-")) continue;
      apps++;
      const both = paired.services[name].environment![setting];
      const wanted = url.replace("@postgresql:5432/", "@postgresql:5432,postgresql-2:5432/");
      assert.equal(both, `${wanted}&target_session_attrs=read-write`, name);
      assert.doesNotThrow(() => aggregatorConfig({ DATABASE_URL: both }), name);
    }
  }
  assert.ok(apps >= 11, "apps are found");
});

Deno.test("compose.standby.yml: each server of PostgreSQL has an exporter, which Prometheus scrapes", () => {
  const mounted = mountsOf(paired.services.prometheus).find(([, target]) =>
    target === "/etc/prometheus/databases.yml"
  )!;
  const [{ targets }] = parse(read(mounted[0]));
  const servers = targets.map((target: string) => {
    const { environment } = paired.services[target.split(":")[0]];
    return environment!.DATA_SOURCE_URI.split(":")[0];
  });
  assert.deepEqual(servers, ["postgresql", "postgresql-2"]);
});

Deno.test("an exporter whose server of PostgreSQL is gone says so before Prometheus gives it up", () => {
  const { scrape_configs } = parse(read("deploy/compose/prometheus.yml"));
  const { scrape_timeout } = scrape_configs.find(({ job_name }: { job_name: string }) =>
    job_name === "postgresql"
  );
  for (const name of ["postgres-exporter", "postgres-exporter-2"]) {
    const uri = paired.services[name].environment!.DATA_SOURCE_URI;
    const connectS = Number(new URLSearchParams(uri.split("?")[1]).get("connect_timeout") ?? Infinity);
    // It tries twice, with a pause of a second.
    assert.ok(2 * connectS + 1 < Number.parseInt(scrape_timeout), `${name}: ${connectS} s`);
  }
});

Deno.test("docker-compose.yml runs commands that the apps have", async () => {
  const commands = new Set<string>();
  for (const [, service] of each(base)) {
    const app = appOf(service);
    const next = wordsOf(service)[wordsOf(service).indexOf(app ?? "") + 1];
    if (app !== undefined && next !== undefined) commands.add(`${app} ${next}`);
  }
  assert.ok(commands.size >= 5, [...commands].join(", "));
  for (const command of commands) {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", ...command.split(" "), "--help"],
      cwd: ROOT,
      env: { NO_COLOR: "1" },
    }).output();
    // For an unknown command the app shows its own help.
    const usage = new RegExp(`^Usage: [a-z]+ ${command.split(" ")[1]} `, "m");
    assert.match(new TextDecoder().decode(stdout), usage, `${command}: ${new TextDecoder().decode(stderr)}`);
  }
});

/** Services that run a role of the aggregator. */
const servicesOf = (role: string) =>
  Object.keys(base.services).filter((name) =>
    base.services[name].environment?.AGGREGATOR_ROLES?.split(",").includes(role)
  );

Deno.test("gateways and simulator in Docker know the address of every process that answers them", () => {
  const addresses = (role: string) =>
    servicesOf(role).map((name) => `https://${name}:${base.services[name].environment!.PORT}`);
  const named = (text: string) => [...text.matchAll(/--aggregator[ =](\S+)/g)].map(([, address]) => address);
  assert.ok(addresses("sync").length > 1);
  assert.deepEqual(named(read("deploy/compose/provision.sh")), addresses("sync"));
  assert.ok(addresses("serve").length > 1);
  assert.deepEqual(addresses("receipts"), addresses("serve"));
  assert.deepEqual(named(base.services.simulator.command!.join(" ")), addresses("serve"));
});

Deno.test("the aggregator's processes in Docker run every role, each with the keys of its roles alone", () => {
  const all: Record<string, object> = {};
  for (const [name, { environment = {}, volumes = [] }] of each(base)) {
    const { AGGREGATOR_ROLES: text } = environment;
    if (text === undefined) continue;
    const config = aggregatorConfig({ DATABASE_URL: environment.DATABASE_URL, AGGREGATOR_ROLES: text });
    const keys = volumes.map((mount) => mount.split(":")[0]).filter((source) =>
      ["office", "keys", "receipt-keys", "sync-keys", "devices"].includes(source)
    );
    all[name] = { roles: config.roles, user: new URL(environment.DATABASE_URL).username, keys };
  }
  const count = { roles: ["count", "index"], user: "aggregator", keys: ["keys"] };
  const serve = { roles: ["serve", "receipts"], user: "serve", keys: ["receipt-keys"] };
  const sync = { roles: ["sync"], user: "sync", keys: ["sync-keys"] };
  assert.deepEqual(all, {
    "count-1": count,
    "count-2": count,
    "serve-1": serve,
    "serve-2": serve,
    "sync-1": sync,
    "sync-2": sync,
    "office-1": { roles: ["office"], user: "board", keys: ["keys"] },
  });
});

Deno.test("an app in Docker may do what its task grants, and write no directory but its own", () => {
  const { tasks }: { tasks: Record<string, string> } = JSON.parse(read("deno.json"));
  /** What is granted before the script, sorted. */
  const granted = (words: readonly string[]) =>
    words.slice(0, words.findIndex((word) => word.endsWith("main.ts")))
      .filter((word) => /^(-A|--(allow-|ignore-env|no-prompt|v8-flags))/.test(word)).toSorted();
  const wordsOfTask = (task: string) => tasks[task]!.replaceAll("'", "").split(/\s+/);
  // No container counts on Spark by running it: there is another service for that.
  const without = (words: string[]) => words.filter((word) => !/^--allow-(write|run)/.test(word));
  let apps = 0;
  for (const [name, service] of each(base)) {
    const app = appOf(service);
    if (app !== "gateway/main.ts" && app !== "aggregator/main.ts") continue;
    apps++;
    const task = app === "gateway/main.ts" ? "gateway" : service.command![0]!;
    const words = granted(wordsOf(service));
    assert.deepEqual(without(words), without(granted(wordsOfTask(task))), name);
    assert.deepEqual(
      words.filter((word) => word.startsWith("--allow-write")),
      task === "gateway" ? ["--allow-write=/data"] : [],
      name,
    );
  }
  assert.ok(apps >= 9, "apps are found");
  const provision = /^aggregator="\$run (.*)"$/m.exec(read("deploy/compose/provision.sh"))![1]!.split(" ");
  assert.deepEqual(
    without(granted(["--no-prompt", ...provision])),
    without(granted(wordsOfTask("provision"))),
  );
});

Deno.test("users.sql makes every user that an app is in PostgreSQL, and gives it a password", () => {
  const sql = read("deploy/postgresql/users.sql");
  const made = /LOGIN', name\)\s+FROM unnest\(ARRAY\[('office'.*?)\]/s.exec(sql)![1].split(",").map((name) =>
    name.trim().slice(1, -1)
  );
  const users = new Set(
    each(base).flatMap(([, { environment = {} }]) =>
      environment.DATABASE_URL === undefined ? [] : [new URL(environment.DATABASE_URL).username]
    ),
  );
  users.delete("pollwire"); // The owner.
  for (const user of users) {
    assert.ok(made.includes(user), user);
    assert.match(sql, new RegExp(`ALTER ROLE ${user} PASSWORD :'${user}_password'`));
    assert.match(sql, new RegExp(`GRANT .* TO ${user};`));
  }
});

Deno.test("docker-compose.yml mounts what the repository has", () => {
  for (const [name, { volumes = [], entrypoint = [], command = [] }] of each(base)) {
    const mounted = volumes.filter((mount) => mount.startsWith("./")).map((mount) => mount.split(":")[0]);
    const run = [...entrypoint, ...command].filter((word) =>
      /^(deploy|gateway|aggregator|simulator)\/.*\.(ts|sh)$/.test(word)
    );
    for (const path of [...mounted, ...run]) {
      assert.doesNotThrow(() => Deno.statSync(new URL(path, ROOT)), `${name} needs ${path}`);
    }
  }
});

Deno.test("Prometheus scrapes the same in Docker as elsewhere, but the apps over HTTPS", () => {
  const plain = parse(read("deploy/prometheus/prometheus.yml"));
  const https = parse(read("deploy/compose/prometheus.yml"));
  for (const job of plain.scrape_configs) {
    if (!job.job_name.startsWith("pollwire-")) continue;
    Object.assign(job, { scheme: "https", tls_config: { ca_file: "/setup/ca.crt" } });
    for (const { targets } of job.static_configs) {
      for (const target of targets) assert.ok(target.split(":")[0] in base.services, target);
    }
  }
  assert.deepEqual(https, plain);
});

Deno.test("the services that count get the alerts' settings and files, where there are some, and no other service does", () => {
  const directory = "./deploy/compose/alerts";
  for (const [name, { env_file, volumes = [] }] of each(base)) {
    const counts = servicesOf("count").includes(name);
    assert.deepEqual(
      env_file,
      counts ? [{ path: `${directory}/alerts.env`, required: false }] : undefined,
      name,
    );
    assert.equal(volumes.includes(`${directory}:/alerts:ro`), counts, name);
  }
  // What its README shows is what the aggregator reads.
  const shown = read("deploy/compose/alerts/README.md").matchAll(/^(POLLWIRE_\w+)=(\S+)$/gm);
  const settings = Object.fromEntries([...shown].map(([, name, value]) => [name!, value!]));
  assert.equal(Object.keys(settings).length, 5);
  for (const [name, value] of Object.entries(settings)) {
    if (!name.endsWith("_FILE")) continue;
    assert.match(value, /^\/alerts\/\w/);
    delete settings[name];
    settings[name.replace(/_FILE$/, "")] = name.includes("_CA_") ? "-----BEGIN CERTIFICATE-----" : "secret";
  }
  const { alertmanagers, alertmanagerAccess } = aggregatorConfig(settings);
  assert.deepEqual(alertmanagers, ["https://alertmanager.example:9093"]);
  assert.ok(alertmanagerAccess.authorization?.startsWith("Basic "));
});

Deno.test("every image is of one version", () => {
  for (const [name, { image = "", build }] of each(base)) {
    if (build !== undefined) continue;
    assert.match(image, /^[a-z/-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$/, name);
  }
  assert.match(read("deploy/kafka/Dockerfile"), /^FROM apache\/kafka:\d+\.\d+\.\d+$/m);
  assert.match(read("deploy/Dockerfile"), /^FROM denoland\/deno:debian-\d+\.\d+\.\d+$/m);
});

Deno.test(".env.example names what compose files ask for, and gives nothing a value", () => {
  const text = Object.keys(FILES).map(read).join("");
  const used = [...text.matchAll(/(?<!\$)\$\{(\w+)([^}]*)\}/g)];
  for (const [whole, , rest] of used) {
    assert.match(rest, /^:\?.{5,}/, `${whole} has a default, or does not say what it is`);
  }
  const asked = new Set(used.map(([, name]) => name));
  const lines = read(".env.example").split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  for (const line of lines) assert.match(line, /^[A-Z0-9_]+=$/);
  assert.deepEqual(lines.map((line) => line.slice(0, -1)).toSorted(), [...asked].toSorted());
});

Deno.test("every user whom an app is in Kafka is one that the brokers begin with", async () => {
  await withDirectory(async (directory) => {
    const storage = `${directory}/kafka-storage.sh`;
    await Deno.writeTextFile(storage, '#!/bin/sh\nfor word; do echo "$word"; done\n', { mode: 0o755 });
    await Deno.writeTextFile(`${directory}/kafka-server-start.sh`, '#!/bin/sh\necho "start $1"\n', {
      mode: 0o755,
    });
    const passwords = parsePasswords(base.services.setup.environment!.SETUP_PASSWORDS)!
      .filter(({ servers }) => servers.includes("kafka")).map(({ name }) => `${name}-password`);
    for (const name of passwords) await Deno.writeTextFile(`${directory}/${name}`, `of ${name}`);
    await Deno.writeTextFile(`${directory}/cluster-id`, "id");
    const { code, stdout } = await new Deno.Command("/bin/sh", {
      args: [new URL("deploy/kafka/start.sh", ROOT).pathname],
      env: { KAFKA_BIN: directory, KAFKA_SETUP: directory },
    }).output();
    assert.equal(code, 0);
    const said = new TextDecoder().decode(stdout);
    assert.match(said, /^start \/setup\/server\.properties$/m);
    const users = [...said.matchAll(/^SCRAM-SHA-512=\[name=([\w-]+),password=of kafka-\1-password\]$/gm)].map(
      ([, name]) => name,
    );
    for (const [name, { environment }] of each(clustered)) {
      const user = /[?&]user=([\w-]+)/.exec(environment?.VOTE_LOG ?? "")?.[1];
      if (user !== undefined) assert.ok(users.includes(user), `${name} comes as ${user}`);
    }
    assert.equal(users.length, passwords.length);
    // Brokers and administrators may do everything.
    const permitted = base.services.topics.command!.filter((word) => !word.startsWith("--"));
    for (const user of users.filter((user) => user !== "broker" && user !== "admin")) {
      assert.ok(permitted.includes(user!), `${user} may do nothing`);
    }
    assert.ok(permitted.includes("official"));
  });
});

Deno.test("the image has what the apps import, and none of their tests", () => {
  const ignored = read(".dockerignore").split("\n");
  for (
    const folder of ["gateway", "aggregator", "simulator", "shared", "cli", "web", "deploy", "deno.lock"]
  ) {
    assert.ok(ignored.includes(`!${folder}`), folder);
  }
  assert.equal(ignored[0], "*");
});
