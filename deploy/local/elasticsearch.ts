/**
 * Elasticsearch as a local process, from the jars that are published: what a distribution adds to them (X-Pack,
 * painless, its scripts) is not there, and nothing in Pollwire needs it. No security either: it listens on loopback.
 *
 * @module
 */
import { copyJars } from "./maven.ts";
import { run } from "./run.ts";
import type { Place, ProcessSpec, Service } from "./service.ts";

/** The heap, fixed, so that the process's memory is known beforehand. */
const HEAP = "512m";
/** How long the compiler may take for the two files beside this one, in milliseconds. */
const COMPILE_MS = 120_000;
/** How long a question after its health may take, in milliseconds. */
const ASK_MS = 3_000;

const SOURCES = new URL("elasticsearch/", import.meta.url);

/** Where a node listens. `transport` is for other nodes; where there are none, it must be free all the same. */
export type ElasticsearchPorts = Readonly<{ http: number; transport: number }>;

/** The nodes of a cluster of two, by name. The third holds no data: with it two of three can always agree on a master. */
export const CLUSTER_NODES = {
  "elasticsearch": ["master", "data", "ingest"],
  "elasticsearch-2": ["master", "data", "ingest"],
  "elasticsearch-3": ["master"],
} as const;
export type NodeName = keyof typeof CLUSTER_NODES;

/** A node's name, and where all nodes of its cluster listen. */
export type ClusterOptions = Readonly<
  { name: NodeName; nodes: Readonly<Record<NodeName, ElasticsearchPorts>> }
>;

/** Elasticsearch, one node: alone, or of a cluster. */
export function elasticsearch(place: Place, ports: ElasticsearchPorts, cluster?: ClusterOptions): Service {
  const jars = `${place.libraries}/elasticsearch`;
  const home = `${place.libraries}/elasticsearch-home`;
  const urlOf = ({ http }: ElasticsearchPorts) => `http://${place.host}:${http}`;
  const url = urlOf(ports);
  const data = cluster === undefined
    ? [ports]
    : [cluster.nodes.elasticsearch, cluster.nodes["elasticsearch-2"]];
  return {
    name: cluster?.name ?? "elasticsearch",
    ports,
    readyMs: 240_000,
    stopMs: 30_000,
    async prepare() {
      await copyJars(new URL("pom.xml", SOURCES), jars);
      await layOut(jars, home);
    },
    process: (): ProcessSpec => ({
      program: "java",
      args: [
        `-Xms${HEAP}`,
        `-Xmx${HEAP}`,
        "-cp",
        [`${home}/classes`, `${home}/lib/*`].join(":"),
        "Launcher",
        home,
        place.directory,
        String(ports.http),
        String(ports.transport),
        ...cluster === undefined ? [] : clusterArguments(place.host, cluster),
      ],
    }),
    unhealthy: () => askHealth(url),
    environment: { ELASTICSEARCH_URL: data.map(urlOf).join(",") },
  };
}

function clusterArguments(host: string, { name, nodes }: ClusterOptions): string[] {
  const seeds = Object.values(nodes).map(({ transport }) => `${host}:${transport}`);
  return [name, CLUSTER_NODES[name].join(","), seeds.join(","), Object.keys(CLUSTER_NODES).join(",")];
}

/**
 * Makes a node's home of the jars: `lib/`, the transport as a module, the banner as a plugin, the launcher's class.
 * Built again when the jars or the sources have changed, and moved into place when it is complete.
 */
async function layOut(jars: string, home: string): Promise<void> {
  const [pom, launcher, banner] = await Promise.all(
    ["pom.xml", "Launcher.java", "banner/BannerPlugin.java"].map((name) =>
      Deno.readTextFile(new URL(name, SOURCES))
    ),
  );
  const mark = [pom, launcher, banner].join("\n");
  if (await Deno.readTextFile(`${home}/made-from`).catch(() => undefined) === mark) return;
  const making = `${home}.${crypto.randomUUID()}`;
  try {
    await compile(making, await placeJars(jars, making));
    await Deno.writeTextFile(`${making}/made-from`, mark);
    await Deno.remove(home, { recursive: true }).catch(() => {});
    await Deno.rename(making, home);
  } catch (error) {
    await Deno.remove(making, { recursive: true }).catch(() => {});
    throw error;
  }
}

/** The transport has a class loader of its own, and with it the jars that only it needs. Returns the version. */
async function placeJars(jars: string, home: string): Promise<string> {
  const transport = `${home}/modules/transport-netty4`;
  for (const directory of [`${home}/lib`, transport]) await Deno.mkdir(directory, { recursive: true });
  let version = "";
  for await (const { name } of Deno.readDir(jars)) {
    if (!name.endsWith(".jar")) continue;
    version ||= name.match(/^elasticsearch-(\d+\.\d+\.\d+)\.jar$/)?.[1] ?? "";
    const isTransports = name.startsWith("netty-") || name.startsWith("transport-netty4-");
    await Deno.copyFile(`${jars}/${name}`, `${isTransports ? transport : `${home}/lib`}/${name}`);
  }
  await describe(transport, "transport-netty4", "org.elasticsearch.transport.netty4.Netty4Plugin", version);
  return version;
}

/** Without the name of a Java module, which the descriptor inside the jar has: from a class path there are none. */
async function describe(directory: string, name: string, classname: string, version: string): Promise<void> {
  const properties = {
    name,
    description: `${name}, for Pollwire's local stack`,
    version,
    "elasticsearch.version": version,
    "java.version": "17",
    classname,
  };
  const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`);
  await Deno.writeTextFile(`${directory}/plugin-descriptor.properties`, lines.join(""));
}

async function compile(home: string, version: string): Promise<void> {
  const options = { limitMs: COMPILE_MS, missing: "install a JDK 17 (Debian: openjdk-17-jdk-headless)" };
  const javac = (source: string, directory: string) =>
    run("javac", ["-cp", `${home}/lib/*`, "-d", directory, new URL(source, SOURCES).pathname], options);
  const plugin = `${home}/plugins/banner`;
  const classes = `${home}/banner-classes`;
  await javac("Launcher.java", `${home}/classes`);
  await javac("banner/BannerPlugin.java", classes);
  await Deno.mkdir(plugin, { recursive: true });
  await run("jar", ["--create", "--file", `${plugin}/banner.jar`, "-C", classes, "."], options);
  await Deno.remove(classes, { recursive: true });
  await describe(plugin, "banner", "pollwire.BannerPlugin", version);
}

async function askHealth(url: string): Promise<string | undefined> {
  try {
    const answer = await fetch(`${url}/_cluster/health`, { signal: AbortSignal.timeout(ASK_MS) });
    const { status } = await answer.json();
    return status === "green" || status === "yellow" ? undefined : `its health is ${status}`;
  } catch (error) {
    return (error as Error).message;
  }
}
