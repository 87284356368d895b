/**
 * The processes of a stack: which there are, and how each is to be started.
 *
 * @module
 */
import type { Servers } from "./servers.ts";
import type { StackTls } from "./https.ts";
import { freePorts } from "./ports.ts";

/** The address that every process of a stack listens on. */
const HOST = "127.0.0.1";
/** Requests a second that a gateway takes from one device and from one address: a replay has only one address. */
const REQUESTS_PER_SECOND = 1_000_000;

/** As `deno task gateway` has it, and the service's unit: a gateway then uses half the memory. */
const GATEWAY_FLAGS = ["--v8-flags=--max-semi-space-size=4,--heap-growing-percent=20"];
const GATEWAY_MALLOC = { MALLOC_MMAP_THRESHOLD_: "65536", MALLOC_TRIM_THRESHOLD_: "131072" };

/** How a process is started, and where it can be reached then. */
export type MemberSpec = Readonly<{
  name: string;
  origin: string;
  /** Options of `deno run`, besides permissions. */
  flags: readonly string[];
  script: string;
  args: readonly string[];
  environment: Readonly<Record<string, string>>;
}>;

/** What a stack consists of. */
export type MembersOptions = Readonly<{
  /** Holds everything that the processes keep on disk. */
  dataDir: string;
  gateways: readonly string[];
  /** How many share the count; 1 when left out. More need servers to share. */
  aggregators?: number;
  /** The first aggregator's port; any free one when left out. */
  aggregatorPort?: number;
  /** HTTPS with it, HTTP without. */
  tls?: StackTls;
  /** The servers that it stands on; embedded stores when left out. */
  servers?: Servers;
  /** Settings of gateways that differ from a replay's. */
  gatewaySettings?: Readonly<Record<string, string>>;
}>;

/** The processes by what they are asked for; one that runs every role is asked for all of it. */
export type Members = Readonly<{
  /** Page, API and receipts. */
  aggregators: MemberSpec[];
  /** Asked by gateways. */
  syncs: MemberSpec[];
  counters: MemberSpec[];
  gateways: MemberSpec[];
}>;

/** Parts of an aggregator that is run by its roles: the process's name, its roles, and its user in PostgreSQL. */
const PARTS = {
  aggregators: { name: "aggregator", roles: "serve,receipts", user: "serve" },
  syncs: { name: "sync", roles: "sync", user: "sync" },
  counters: { name: "count", roles: "count,index", user: "aggregator" },
} as const;

/** The processes, on ports that nobody listens on now. */
export function membersOf(options: MembersOptions): Members {
  const { aggregators: count = 1, gateways, aggregatorPort, servers } = options;
  const parts = servers?.byRole ? 3 : 1;
  const ports = freePorts(count * parts + gateways.length, HOST);
  if (aggregatorPort !== undefined) ports[0] = aggregatorPort;
  const numbered = (name: string) =>
    Array.from({ length: count }, (_, i) => count === 1 ? name : `${name}-${i + 1}`);
  const gatewayMembers = gateways.map((name, i) => gateway(name, ports[count * parts + i]!, options));
  if (!servers?.byRole) {
    const aggregators = numbered("aggregator").map((name, i) => aggregator(name, ports[i]!, options));
    return { aggregators, syncs: aggregators, counters: aggregators, gateways: gatewayMembers };
  }
  const membersOf = (part: keyof typeof PARTS, firstPort: number) =>
    numbered(PARTS[part].name).map((name, i) => {
      const own = { AGGREGATOR_ROLES: PARTS[part].roles, ...databaseOf(servers, PARTS[part].user) };
      return aggregator(name, ports[firstPort + i]!, options, own);
    });
  return {
    aggregators: membersOf("aggregators", 0),
    syncs: membersOf("syncs", count),
    counters: membersOf("counters", 2 * count),
    gateways: gatewayMembers,
  };
}

/** The database as its user sees it, where the stack has users. */
function databaseOf({ aggregators }: Servers, user: string): Record<string, string> {
  const { DATABASE_PASSWORDS_DIRECTORY: passwords, DATABASE_URL: url } = aggregators;
  if (passwords === undefined || url === undefined) return {};
  return {
    DATABASE_URL: url.replace(/^postgres:\/\/[^@]+@/, `postgres://${user}@`),
    DATABASE_PASSWORD_FILE: `${passwords}/database-${user}`,
  };
}

/** Settings of the aggregator's commands. */
export function aggregatorEnvironment({ dataDir, servers }: MembersOptions): Record<string, string> {
  return { POLLWIRE_DATA: dataDir, ...servers?.aggregators };
}

function aggregator(
  name: string,
  port: number,
  options: MembersOptions,
  own: Readonly<Record<string, string>> = {},
): MemberSpec {
  const environment = { ...aggregatorEnvironment(options), ...own };
  return member(name, "aggregator", ["aggregate"], port, options, environment);
}

function gateway(name: string, port: number, options: MembersOptions): MemberSpec {
  const { dataDir, tls, servers, gatewaySettings } = options;
  return member(name, "gateway", [], port, options, {
    ...tls && { AGGREGATOR_CA_FILE: tls.caFile },
    ...tls?.clientCaFile && { TLS_CLIENT_CA_FILE: tls.clientCaFile },
    ...GATEWAY_MALLOC,
    GATEWAY_FILE: `${dataDir}/gateways/${name}.json`,
    GATEWAY_DATA: `${dataDir}/${name}`,
    DEVICE_VOTES_PER_SECOND: String(REQUESTS_PER_SECOND),
    STATION_VOTES_PER_SECOND: String(REQUESTS_PER_SECOND),
    ADDRESS_REQUESTS_PER_SECOND: String(REQUESTS_PER_SECOND),
    ...servers?.gateways,
    ...gatewaySettings,
  });
}

function member(
  name: string,
  part: string,
  args: readonly string[],
  port: number,
  { dataDir, tls }: MembersOptions,
  more: Readonly<Record<string, string>>,
): MemberSpec {
  const environment = {
    VOTE_LOG: `sqlite:${dataDir}/log`,
    HOST,
    PORT: String(port),
    ...tls && { TLS_CERT_FILE: tls.certFile, TLS_KEY_FILE: tls.keyFile },
    ...more,
  };
  const origin = `${tls ? "https" : "http"}://${HOST}:${port}`;
  const flags = part === "gateway" ? GATEWAY_FLAGS : [];
  return { name, origin, flags, script: scriptOf(part), args, environment };
}

/** The main module of a part. */
export function scriptOf(part: string): string {
  return new URL(`../../${part}/main.ts`, import.meta.url).pathname;
}
