/**
 * Builds images that stand in for those of vendors, under the tags that docker-compose.yml and deploy/Dockerfile name:
 * from Debian's packages, Maven Central's jars and npm's packages. For tests, and for sites that reach no hub.
 *
 * @module
 */
import { parse } from "yaml";
import { Failure } from "../../cli/command.ts";
import { elasticsearch } from "../local/elasticsearch.ts";
import { copyJars } from "../local/maven.ts";
import { run } from "../local/run.ts";
import { CACHE, docker } from "./engine.ts";

/** Debian's release below every stand-in: it has PostgreSQL 17. */
const RELEASE = "trixie";
/** The one below the stand-in of Python: it has Python 3.11 and Java 17. */
const PYTHON_RELEASE = "bookworm";
/** How long one image, and the system below them, may take, in milliseconds. */
const BUILD_MS = 480_000;
const DEBOOTSTRAP_MS = 480_000;

const HERE = new URL("./", import.meta.url);
const ROOT = new URL("../../", import.meta.url);
/** Debian, below every stand-in. */
export const BASE = "pollwire-standins/base:trixie";
const PYTHON_BASE = "pollwire-standins/base:bookworm";
const JAVA = "pollwire-standins/java:21";
/** The apps' own image, as docker-compose.yml names it. */
export const APP = "pollwire:local";
/** Kafka with its agent, as docker-compose.yml names it. */
export const KAFKA = "pollwire-kafka:local";

/** Profiles of docker-compose.yml that have an image of their own, which stands on Python: the folder beside `deploy`, and the image. */
export const PROFILES = { spark: "pollwire-spark:local", superset: "pollwire-superset:local" } as const;
export type Profile = keyof typeof PROFILES;

/** The tags of vendors that are stood in for, by the folder beside this file. */
export type Tags = Readonly<
  Record<
    | "deno"
    | "maven"
    | "kafka"
    | "postgresql"
    | "elasticsearch"
    | "prometheus"
    | "postgres-exporter"
    | "elasticsearch-exporter"
    | "python",
    string
  >
>;

/** Reads the tags where they are pinned, so that a stand-in never has another. */
export function readTags(): Tags {
  const { services } = parse(Deno.readTextFileSync(new URL("docker-compose.yml", ROOT)), { merge: true });
  const from = (file: string, stage: RegExp) => stage.exec(Deno.readTextFileSync(new URL(file, ROOT)))![1]!;
  return {
    deno: from("deploy/Dockerfile", /^FROM (\S+)$/m),
    maven: from("deploy/kafka/Dockerfile", /^FROM (\S+) AS jars$/m),
    kafka: from("deploy/kafka/Dockerfile", /^FROM (\S+)$/m),
    postgresql: services.postgresql.image,
    elasticsearch: services.elasticsearch.image,
    prometheus: services.prometheus.image,
    "postgres-exporter": services["postgres-exporter"].image,
    "elasticsearch-exporter": services["elasticsearch-exporter"].image,
    python: from("deploy/spark/Dockerfile", /^FROM (python:\S+)$/m),
  };
}

/** How images are built. */
export type BuildOptions = Readonly<{
  /** Absolute; where jars are kept. */
  libraries: string;
  log: (line: string) => void;
  /** Of Debian. */
  mirror?: string;
  /** Whose images are built, too; none when left out. */
  profiles?: readonly Profile[];
}>;

/** Builds all of them, and the apps' image on top. Layers that the engine has are used again. */
export async function buildImages(options: BuildOptions): Promise<void> {
  const { libraries, log, profiles = [] } = options;
  const tags = readTags();
  const context = await Deno.makeTempDir({ prefix: "pollwire-standins-" });
  const own = (name: string) => new URL(`${name}/`, HERE).pathname;
  try {
    const make = (tag: string, work: () => Promise<void>) => timed(log, tag, work);
    await make(BASE, () => makeBase(options));
    // What stands on another waits for it; the rest goes on side by side.
    const chains = [
      async () => {
        await make(tags.deno, () => buildDeno(tags.deno, `${context}/deno`));
        await make(APP, () => build(APP, ROOT.pathname, new URL("deploy/Dockerfile", ROOT).pathname));
        for (const name of ["prometheus", "postgres-exporter", "elasticsearch-exporter"] as const) {
          await make(tags[name], () => build(tags[name], own(name)));
        }
      },
      async () => {
        await make(JAVA, () => build(JAVA, own("java")));
        await make(tags.kafka, () => buildKafka(tags.kafka, `${context}/kafka`, libraries));
        await make(tags.maven, () => buildMaven(tags.maven, `${context}/maven`, options));
        await make(KAFKA, () => build(KAFKA, new URL("deploy/kafka/", ROOT).pathname));
        const index = tags.elasticsearch;
        await make(index, () => buildElasticsearch(index, `${context}/elasticsearch`, libraries));
        await make(tags.postgresql, () => build(tags.postgresql, own("postgresql")));
      },
    ];
    const ended = await Promise.allSettled(chains.map((chain) => chain()));
    for (const each of ended) if (each.status === "rejected") throw each.reason;
    if (profiles.length > 0) {
      await make(PYTHON_BASE, () => makeBase(options, PYTHON_RELEASE, PYTHON_BASE));
      await make(tags.python, () => buildPython(tags.python, `${context}/python`));
    }
    for (const each of profiles) {
      await make(PROFILES[each], () => build(PROFILES[each], new URL(`deploy/${each}/`, ROOT).pathname));
    }
  } finally {
    await Deno.remove(context, { recursive: true });
  }
}

async function timed(log: (line: string) => void, tag: string, work: () => Promise<void>): Promise<void> {
  const from = performance.now();
  await work();
  log(`${tag}: ${Math.round((performance.now() - from) / 1_000)} s`);
}

/** The classic builder, which every engine has, on this machine's network, with its proxies. */
async function build(tag: string, context: string, file?: string): Promise<void> {
  const proxies = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"]
    .filter((name) => Deno.env.get(name)).flatMap((name) => ["--build-arg", name]);
  await docker([
    "build",
    "--network=host",
    "--quiet",
    "--tag",
    tag,
    ...proxies,
    ...file === undefined ? [] : ["--file", file],
    context,
  ], BUILD_MS);
}

/** Makes Debian, as debootstrap does. Kept outside the repository: it takes a minute. */
export async function makeBase(
  { mirror = "http://deb.debian.org/debian" }: BuildOptions,
  release = RELEASE,
  tag = BASE,
): Promise<void> {
  const has = await docker(["image", "ls", "--quiet", tag]);
  if (has.trim() !== "") return;
  const kept = `${CACHE}/debian-${release}.tar`;
  const isKept = await Deno.stat(kept).then(() => true, () => false);
  if (!isKept) {
    if (Deno.uid() !== 0) throw new Failure("Cannot make a base image: debootstrap needs root");
    await Deno.mkdir(CACHE, { recursive: true });
    const making = await Deno.makeTempDir({ dir: CACHE });
    try {
      // Containers have users other than root, who read its directories.
      await Deno.chmod(making, 0o755);
      await run("debootstrap", ["--variant=minbase", "--include=ca-certificates", release, making, mirror], {
        limitMs: DEBOOTSTRAP_MS,
        missing: "install it (Debian: debootstrap)",
      });
      await run("sh", [
        "-c",
        'rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*',
        "sh",
        making,
      ], {
        limitMs: BUILD_MS,
        missing: "install a shell",
      });
      const writing = `${kept}.${crypto.randomUUID()}`;
      await run("tar", ["--numeric-owner", "-C", making, "-cf", writing, "."], {
        limitMs: BUILD_MS,
        missing: "install tar",
      });
      await Deno.rename(writing, kept);
    } finally {
      await Deno.remove(making, { recursive: true });
    }
  }
  await docker(["import", kept, tag], BUILD_MS);
}

async function buildDeno(tag: string, context: string): Promise<void> {
  const version = /\d+\.\d+\.\d+$/.exec(tag)![0];
  await copyFolder("deno", context);
  const machine = Deno.build.arch === "aarch64" ? "linux-arm64-glibc" : "linux-x64-glibc";
  const limit = { limitMs: BUILD_MS, missing: "install Node with npm" };
  await run("npm", ["pack", "--silent", "--pack-destination", context, `@deno/${machine}@${version}`], limit);
  await run("sh", ["-c", 'cd "$1" && tar -xzf ./*.tgz && mv package/deno deno', "sh", context], limit);
  await copyCertificates(context);
  await build(tag, context);
}

async function buildPython(tag: string, context: string): Promise<void> {
  await copyFolder("python", context);
  await copyCertificates(context);
  await build(tag, context);
}

/** A machine behind an inspecting proxy names its bundle; the image fetches packages with it. */
async function copyCertificates(context: string): Promise<void> {
  const bundle = Deno.env.get("SSL_CERT_FILE");
  await Deno.writeTextFile(
    `${context}/certificates.crt`,
    bundle ? await Deno.readTextFile(bundle) : "",
  );
}

async function buildKafka(tag: string, context: string, libraries: string): Promise<void> {
  const jars = `${libraries}/kafka`;
  await copyJars(new URL("../local/kafka/pom.xml", HERE), jars);
  await copyFolder("kafka", context);
  await copyTree(jars, `${context}/libs`);
  await build(tag, context);
}

async function buildMaven(
  tag: string,
  context: string,
  { libraries, profiles = [] }: BuildOptions,
): Promise<void> {
  await copyFolder("maven", context);
  await Deno.mkdir(`${context}/jars`);
  const poms = { kafka: "kafka-agent", ...profiles.includes("spark") && { spark: "spark" } };
  for (const [folder, kept] of Object.entries(poms)) {
    await copyJars(new URL(`../${folder}/pom.xml`, HERE), `${libraries}/${kept}`);
    await copyTree(`${libraries}/${kept}`, `${context}/jars/${folder}`);
  }
  await build(tag, context);
}

async function buildElasticsearch(tag: string, context: string, libraries: string): Promise<void> {
  const nowhere = { directory: context, libraries, host: "127.0.0.1" };
  await elasticsearch(nowhere, { http: 0, transport: 0 }).prepare();
  await copyFolder("elasticsearch", context);
  await copyTree(`${libraries}/elasticsearch-home`, `${context}/home`);
  const options = { limitMs: BUILD_MS, missing: "install a JDK 17 (Debian: openjdk-17-jdk-headless)" };
  const source = `${context}/Standin.java`;
  await run("javac", ["-cp", `${context}/home/lib/*`, "-d", `${context}/home/classes`, source], options);
  await build(tag, context);
}

async function copyFolder(name: string, to: string): Promise<void> {
  await copyTree(new URL(name, HERE).pathname, to);
}

async function copyTree(from: string, to: string): Promise<void> {
  // -L: a directory of jars may be a link.
  await run("cp", ["-rL", from, to], { limitMs: BUILD_MS, missing: "install coreutils" });
}
