/**
 * Who sends the votes of `overload`, and what they were answered. Devices do as real ones do: one request at a time, at the other
 * gateway when one refuses, and at none before Retry-After has passed. The stubborn send each vote when it is due, whatever became of
 * those before: as many senders as votes, none of which knows what another was told.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { GatewayLink, nextGateway } from "../device/gateway_link.ts";
import { fromUtf8, utf8 } from "../shared/bytes.ts";
import { type Answer, type Connection, HttpLoad } from "./http_load.ts";

/** Connections to each gateway. With few, votes would wait for one, and gateways would never have too much to do. */
const CONNECTIONS = 1_500;
const OPENED_AT_ONCE = 50;
/** How long it may take until nothing is refused any more, in milliseconds. */
const TAKEN_WITHIN_MS = 180_000;

/** A vote as a request, and the gateways of its station, its own one first. */
export type Posted = Readonly<{ request: Uint8Array; gateways: readonly string[] }>;

/** What became of requests. Times are in milliseconds. */
export type Tally = Readonly<{
  /** From sending to the answer, of those that were taken and of those refused. A stubborn sender has sent a request when it was due. */
  takenMs: number[];
  refusedMs: number[];
  /** From when a vote was due until it was taken, with all refusals between. */
  deliveredMs: number[];
}>;

/** Sends requests, each due when it comes. */
export type Senders = Readonly<{
  tally: Tally;
  /** Resolves when all are taken. Rejects when one was answered with anything but its status for taken, or 503 with Retry-After. */
  send(posted: readonly Posted[], perSecond: number): Sending;
  close(): void;
}>;

/** `offered` resolves when the last request is due, `taken` when all are taken. */
export type Sending = Readonly<{ offered: Promise<void>; taken: Promise<void> }>;

/** Devices as they are: a request waits in its device for those before. */
export async function openDevices(gateways: readonly string[]): Promise<Senders> {
  const tally: Tally = { takenMs: [], refusedMs: [], deliveredMs: [] };
  const lines = new Map<string, Line>();
  for (const gateway of gateways) lines.set(gateway, await Line.open(gateway));
  const random = { next: Math.random };
  const send = (posted: readonly Posted[], perSecond: number) => {
    const fromMs = performance.now();
    const isLate = deadline(fromMs + 1_000 * posted.length / perSecond);
    const device = async (own: number) => {
      const links = gateways.map((origin) => new GatewayLink(origin));
      for (let i = own; i < posted.length; i += CONNECTIONS) {
        const dueMs = fromMs + 1_000 * i / perSecond;
        await until(dueMs);
        await deliver(posted[i]!, links, own);
        tally.deliveredMs.push(performance.now() - dueMs);
      }
    };
    const deliver = async ({ request, gateways }: Posted, links: readonly GatewayLink[], own: number) => {
      const inOrder = gateways.map((gateway) => links.find(({ origin }) => origin === gateway)!);
      for (;;) {
        const next = nextGateway(inOrder, performance.now());
        if (typeof next === "number") {
          await until(next);
          continue;
        }
        const sentMs = performance.now();
        const answer = await lines.get(next.origin)!.connections[own]!.ask(request, true);
        const nowMs = performance.now();
        if (isTaken(answer)) {
          tally.takenMs.push(nowMs - sentMs);
          return next.worked();
        }
        tally.refusedMs.push(nowMs - sentMs);
        next.failed(nowMs, random, String(answer.retryAfterS));
        isLate();
      }
    };
    const devices = Array.from({ length: CONNECTIONS }, (_, own) => device(own));
    return { offered: until(fromMs + 1_000 * posted.length / perSecond), taken: all(devices) };
  };
  return { tally, send, close: () => lines.forEach((line) => line.close()) };
}

/** Those who do not listen. What is refused is sent again once all were due, and then as by devices. */
export async function openStubborn(gateways: readonly string[]): Promise<Senders> {
  const tally: Tally = { takenMs: [], refusedMs: [], deliveredMs: [] };
  const lines = new Map<string, Line>();
  for (const gateway of gateways) lines.set(gateway, await Line.open(gateway));
  const send = (posted: readonly Posted[], perSecond: number) => {
    const fromMs = performance.now();
    const refused: Posted[] = [];
    const sendOne = async (each: Posted, dueMs: number) => {
      const answer = await lines.get(each.gateways[0]!)!.ask(each.request);
      const tookMs = performance.now() - dueMs;
      if (!isTaken(answer)) {
        tally.refusedMs.push(tookMs);
        refused.push(each);
      } else {
        tally.takenMs.push(tookMs);
        tally.deliveredMs.push(tookMs);
      }
    };
    const offered = (async () => {
      const sending: Promise<void>[] = [];
      for (const [i, each] of posted.entries()) {
        const dueMs = fromMs + 1_000 * i / perSecond;
        await until(dueMs);
        sending.push(sendOne(each, dueMs));
      }
      return sending;
    })();
    const taken = offered.then(all).then(() =>
      takeRest(lines, refused, fromMs + 1_000 * posted.length / perSecond)
    );
    return { offered: offered.then(() => {}), taken };
  };
  return { tally, send, close: () => lines.forEach((line) => line.close()) };
}

/** Sends refused votes again until all are taken: each connection waits as long as the gateway asks it to. */
async function takeRest(
  lines: ReadonlyMap<string, Line>,
  refused: readonly Posted[],
  fromMs: number,
): Promise<void> {
  const isLate = deadline(fromMs);
  await all(
    lines.entries().flatMap(([gateway, { connections }]) => {
      const own = refused.filter(({ gateways }) => gateways[0] === gateway).values();
      return connections.map(async (connection) => {
        for (const { request } of own) {
          for (;;) {
            const answer = await connection.ask(request, true);
            if (isTaken(answer)) break;
            isLate();
            await delay(1_000 * answer.retryAfterS! * (1 + Math.random() / 2));
          }
        }
      });
    }),
  );
}

/** A question that makes a connection one that has been used: a new one must send a request within seconds. */
const GREETING = utf8("GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");

/** Connections to one gateway, opened before votes come: gateways' are kept open, and thousands at once would wait for each other. */
class Line {
  readonly connections: readonly Connection[];
  readonly #loads: readonly HttpLoad[];
  readonly #idle: Connection[];
  readonly #waiting: ((connection: Connection) => void)[] = [];

  private constructor(loads: readonly HttpLoad[]) {
    this.#loads = loads;
    this.connections = loads.flatMap(({ connections }) => connections);
    this.#idle = [...this.connections];
  }

  static async open(gateway: string): Promise<Line> {
    const loads: HttpLoad[] = [];
    for (let opened = 0; opened < CONNECTIONS; opened += OPENED_AT_ONCE) {
      const load = await HttpLoad.connect(gateway, OPENED_AT_ONCE);
      await Promise.all(load.connections.map((connection) => connection.ask(GREETING)));
      loads.push(load);
    }
    return new Line(loads);
  }

  /** Sends a request over a connection of its own, and reads its answer. */
  async ask(request: Uint8Array): Promise<Answer> {
    const connection = this.#idle.pop() ??
      await new Promise<Connection>((resolve) => this.#waiting.push(resolve));
    const answer = await connection.ask(request, true);
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(connection);
    else next(connection);
    return answer;
  }

  close(): void {
    for (const load of this.#loads) load.close();
  }
}

/** Whether a vote was taken. @throws unless it was, or was refused for now */
function isTaken({ status, retryAfterS, body }: Answer): boolean {
  if (status === 202) return true;
  if (status === 503 && retryAfterS !== undefined) return false;
  const said = fromUtf8(body);
  throw new Error(`A vote was answered with ${status}, Retry-After ${retryAfterS ?? "missing"}: ${said}`);
}

async function all(works: Iterable<Promise<void>>): Promise<void> {
  await Promise.all(works);
}

async function until(atMs: number): Promise<void> {
  const aheadMs = atMs - performance.now();
  if (aheadMs > 1) await delay(aheadMs);
}

/** A function that throws once it is too late. */
function deadline(fromMs: number): () => void {
  return () => {
    if (performance.now() < fromMs + TAKEN_WITHIN_MS) return;
    throw new Error(`Votes are still refused after ${TAKEN_WITHIN_MS / 1_000} s`);
  };
}
