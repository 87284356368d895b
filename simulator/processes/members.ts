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

/** How a process is started, and where it can be reached then. */
export type MemberSpec = Readonly<{
  name: string;
  origin: string;
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
}>;

/** The processes, on ports that nobody listens on now. */
export function membersOf(
  options: MembersOptions,
): { aggregators: MemberSpec[]; gateways: MemberSpec[] } {
  const { aggregators: count = 1, gateways, aggregatorPort } = options;
  const ports = freePorts(count + gateways.length, HOST);
  if (aggregatorPort !== undefined) ports[0] = aggregatorPort;
  const names = Array.from({ length: count }, (_, i) => count === 1 ? "aggregator" : `aggregator-${i + 1}`);
  return {
    aggregators: names.map((name, i) => aggregator(name, ports[i]!, options)),
    gateways: gateways.map((name, i) => gateway(name, ports[count + i]!, options)),
  };
}

/** Settings of the aggregator's commands. */
export function aggregatorEnvironment({ dataDir, servers }: MembersOptions): Record<string, string> {
  return { POLLWIRE_DATA: dataDir, ...servers?.aggregators };
}

function aggregator(name: string, port: number, options: MembersOptions): MemberSpec {
  return member(name, "aggregator", ["aggregate"], port, options, aggregatorEnvironment(options));
}

function gateway(name: string, port: number, options: MembersOptions): MemberSpec {
  const { dataDir, tls, servers } = options;
  return member(name, "gateway", [], port, options, {
    ...tls && { AGGREGATOR_CA_FILE: tls.caFile },
    ...tls?.clientCaFile && { TLS_CLIENT_CA_FILE: tls.clientCaFile },
    GATEWAY_FILE: `${dataDir}/gateways/${name}.json`,
    GATEWAY_DATA: `${dataDir}/${name}`,
    DEVICE_VOTES_PER_SECOND: String(REQUESTS_PER_SECOND),
    STATION_VOTES_PER_SECOND: String(REQUESTS_PER_SECOND),
    ADDRESS_REQUESTS_PER_SECOND: String(REQUESTS_PER_SECOND),
    ...servers?.gateways,
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
  return { name, origin, script: scriptOf(part), args, environment };
}

/** The main module of a part. */
export function scriptOf(part: string): string {
  return new URL(`../../${part}/main.ts`, import.meta.url).pathname;
}
