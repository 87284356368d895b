/**
 * A gateway for tests: elections made ready without an aggregator, devices that sign, a spool in memory, and an app that
 * opens no port.
 *
 * @module
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { createGateway, type GatewayOptions } from "../gateway/app.ts";
import { type GatewayElection, readyElection } from "../gateway/manifest.ts";
import { type GatewayMetrics, gatewayMetrics } from "../gateway/metrics.ts";
import { RateLimiter } from "../web/rate.ts";
import { HeldVotes } from "../gateway/held_votes.ts";
import type { ElectionKeys } from "../gateway/sender_keys.ts";
import type { SpoolState } from "../gateway/spool.ts";
import type { SpoolRecord } from "../gateway/spool_client.ts";
import { fromUtf8, utf8 } from "../shared/bytes.ts";
import { indexElection, type Manifest, signManifest } from "../shared/election.ts";
import {
  deviceKey,
  formatKeyName,
  gatewayKey,
  type KeyName,
  manifestKeyPair,
  proofKey,
  pseudonymKey,
} from "../shared/keys.ts";
import { proofOf, type SignedVote } from "../shared/proof.ts";
import { signRequest } from "../shared/signature.ts";
import type { Sync } from "../shared/sync.ts";
import type { Vote } from "../shared/vote.ts";
import { MASTER, NOON_MS, testManifest, testSignedVote } from "./fixture.ts";

/** A device as the aggregator tells gateways of it; one a station, `<station>-a`. */
export function testDevice(
  station: string,
  change: Partial<Sync["devices"][number]> = {},
  election = "test-2026",
): Sync["devices"][number] {
  const { device = `${station}-a`, version = 1 } = change;
  const key = deviceKey(MASTER, { election, id: device, version }).toHex();
  return { device, version, station, key, validUntil: null, ...change };
}

/** What the aggregator answers a gateway. */
export function testSync(manifest: Manifest = testManifest(), devices?: Sync["devices"]): Sync {
  const { election } = manifest;
  return {
    manifest: signManifest(manifest, manifestKeyPair(MASTER, election).privateKey),
    pseudonymKey: pseudonymKey(MASTER, election).toHex(),
    devices: devices ?? manifest.stations.map(({ id }) => testDevice(id, {}, election)),
  };
}

/** An election as gateway g-1 takes votes for it. */
export function testElection(
  manifest: Manifest = testManifest(),
  devices?: Sync["devices"],
  gateway = "g-1",
): GatewayElection {
  const name = { election: manifest.election, id: gateway, version: 1 };
  const sync = testSync(manifest, devices);
  return readyElection(name, gatewayKey(MASTER, name), sync, indexElection(manifest));
}

/** A vote that is in order, but for what `change` says. */
export function testVote(change: Partial<Vote> = {}): Vote {
  return {
    voteId: crypto.randomUUID(),
    station: "n-1",
    mode: "in_person",
    selections: [{ contest: "mayor", candidate: "ann" }],
    castAt: new Date(NOON_MS).toISOString(),
    voterId: `voter-${crypto.randomUUID()}`,
    ...change,
  };
}

/** What is to be signed, and by whom. */
export type Signing = Readonly<{
  path?: string;
  contentType?: string;
  idempotencyKey?: string;
  device?: KeyName;
  key?: Uint8Array;
  createdMs?: number;
  /** Headers put in place of those signed; `null` leaves one out. */
  headers?: Record<string, string | null>;
  /** What is sent, when it is not what was signed. */
  sent?: BodyInit | null;
  /** Put behind the address. */
  query?: string;
}>;

/** The device at n-1. */
export const DEVICE: KeyName = { election: "test-2026", id: "n-1-a", version: 1 };

/** A body, signed and ready to be sent. */
export function signedRequest(body: Uint8Array<ArrayBuffer>, signing: Signing = {}): Request {
  const { path = "/v1/votes", contentType = "application/json", device = DEVICE } = signing;
  const headers = new Headers(signRequest({
    path,
    contentType,
    body,
    idempotencyKey: signing.idempotencyKey ?? crypto.randomUUID(),
    keyId: formatKeyName(device),
    key: signing.key ?? deviceKey(MASTER, device),
    createdS: Math.floor((signing.createdMs ?? NOON_MS) / 1_000),
  }));
  const sent = signing.sent === undefined ? body : signing.sent;
  if (sent instanceof Uint8Array) headers.set("content-length", String(sent.length));
  for (const [name, value] of Object.entries(signing.headers ?? {})) {
    if (value === null) headers.delete(name);
    else headers.set(name, value);
  }
  return new Request(`http://gateway.test${path}${signing.query ?? ""}`, {
    method: "POST",
    body: sent,
    headers,
  });
}

/** What a device posts for a vote, or for a text in place of one, as JSON: the text and its proof. */
export function signedText(
  vote: Vote | string,
  { id, election }: Pick<KeyName, "id" | "election"> = DEVICE,
): string {
  if (typeof vote !== "string") return JSON.stringify(testSignedVote(vote, id, election));
  const name = `${id}.1`;
  const key = proofKey(MASTER, { election, id, version: 1 });
  const proof = proofOf(key, election, name, vote).toHex();
  return JSON.stringify({ vote, proof, proofKey: name, scheme: "hmac-sha256" } satisfies SignedVote);
}

/** One vote, signed. */
export function voteRequest(vote: Vote, signing: Signing = {}): Request {
  const body = utf8(signedText(vote, signing.device));
  return signedRequest(body, { idempotencyKey: vote.voteId, ...signing });
}

/** A batch, signed. A line is a vote, or any text at all. */
export function batchRequest(lines: readonly (Vote | string)[], signing: Signing = {}): Request {
  const text = lines.map((line) => typeof line === "string" ? line : signedText(line, signing.device));
  return signedRequest(utf8(text.join("\n")), {
    path: "/v1/votes/batch",
    contentType: "application/x-ndjson",
    ...signing,
  });
}

/** A spool in memory, which does as it is told. */
export class FakeSpool {
  readonly votes = new HeldVotes();
  state: SpoolState = { chunks: 0, records: 0, bytes: 0, damagedRecords: 0 };
  /** What was asked to be made durable, a list a call, whether or not it then was. */
  readonly appends: (readonly SpoolRecord[])[] = [];
  readonly keys = new Map<string, ElectionKeys>();
  readonly numbered = new Map<string, number>();
  /** Thrown by the next call. */
  failure: Error | undefined;
  /** What calls wait for. */
  turn: Promise<void> = Promise.resolve();

  keysOf(election: string): ElectionKeys | undefined {
    return this.keys.get(election);
  }

  numberedOf(election: string): number {
    return this.numbered.get(election) ?? 0;
  }

  async append(election: string, _device: string, records: readonly SpoolRecord[]): Promise<void> {
    this.appends.push(records);
    const { failure } = this;
    this.failure = undefined;
    await this.turn;
    if (failure !== undefined) throw failure;
    for (const { fingerprint } of records) this.votes.add(election, fingerprint);
  }

  /** How many records were asked to be made durable. */
  get records(): number {
    return this.appends.flat().length;
  }
}

/** A gateway's app on fakes. */
export type TestGateway = Readonly<{
  app: OpenAPIHono<any>;
  spool: FakeSpool;
  elections: Map<string, GatewayElection>;
  errors: unknown[];
  metrics: GatewayMetrics;
  /** Sends a request. The body of the answer is read already. */
  send(request: Request, address?: string): Promise<Answer>;
  /** The value of a metric's line as Prometheus would scrape it; 0 when there is none. */
  metric(line: string): Promise<number>;
}>;

export type Answer = Readonly<{ status: number; headers: Headers; body: any; reason?: string }>;

/** Makes a gateway that serves test-2026 at noon. */
export function testGateway(change: Partial<GatewayOptions> = {}, election = testElection()): TestGateway {
  const spool = new FakeSpool();
  const elections = new Map([[election.index.manifest.election, election]]);
  const errors: unknown[] = [];
  const metrics = gatewayMetrics({ spool: () => spool.state });
  const app = createGateway({
    gateway: "g-1",
    elections: (id) => elections.get(id),
    electionIds: () => [...elections.keys()],
    awaitedIds: () => [],
    spool,
    spoolMaxBytes: 1_000_000,
    metrics,
    deviceRate: new RateLimiter(1_000_000),
    stationRate: new RateLimiter(1_000_000),
    addressRate: new RateLimiter(1_000_000),
    logFault: () => undefined,
    clockFault: () => undefined,
    now: () => NOON_MS,
    draining: () => false,
    onError: (error) => errors.push(error),
    ...change,
  });
  return {
    app,
    spool,
    elections,
    errors,
    metrics,
    async send(request, address = "127.0.0.1") {
      const response = await app.fetch(request, { address });
      return await readAnswer(response);
    },
    async metric(line) {
      const text = await metrics.registry.metrics();
      const found = text.split("\n").find((each) => each.startsWith(`${line} `));
      return Number(found?.slice(line.length + 1) ?? 0);
    },
  };
}

async function readAnswer(response: Response): Promise<Answer> {
  const { status, headers } = response;
  const text = fromUtf8(await response.bytes());
  const isJson = /json/.test(headers.get("content-type") ?? "");
  const body = isJson ? JSON.parse(text) : text;
  return { status, headers, body, reason: body?.type?.replace("urn:pollwire:problem:", "") };
}
