/**
 * Connections that are slow, half closed or silent, thousands at once, against a real gateway: honest devices vote
 * on meanwhile.
 */
import assert from "assert";
import { Socket } from "node:net";
import { honest } from "./bad_day/scene.ts";
import { eventually } from "./eventually.ts";
import { sentUntilTaken, withAggregator } from "./gateway_process.ts";
import { exchange, rawBytes } from "./raw_http.ts";
import { longTest } from "./runs.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Bad connections at once. Both ends of each take a file descriptor, in two processes. */
const BAD_CONNECTIONS = 2_000;
/** How many come at once: those that the gateway's queue has no place for (511) would wait on, unknown to it. */
const BUNCH = 100;
/** Honest votes that must be taken meanwhile, the first ones one after each bunch. */
const HONEST_VOTES = 200;
/** Until when the slow ones are to be gone, in milliseconds: a request may take 20 s. */
const LEAVE_MS = 90_000;
/** Where the bad ones come from, when they are to be told from honest ones by their address. */
const ELSEWHERE = "127.0.0.2";

const HEAD = "POST /v1/votes HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/json\r\n";

/** What a bad connection sends, what it sends again and again, and whether it then closes its side. */
const KINDS: readonly Readonly<{ sends: string; drips?: string; halfCloses?: boolean }>[] = [
  { sends: "" },
  { sends: "", halfCloses: true },
  { sends: HEAD, drips: "X-A: a\r\n" },
  { sends: HEAD, halfCloses: true },
  { sends: `${HEAD}Content-Length: 60000\r\n\r\n{`, drips: " " },
  { sends: `${HEAD}Content-Length: 60000\r\n\r\n{`, halfCloses: true },
  { sends: `${HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`, drips: "1\r\n \r\n" },
  { sends: "GET /metrics HTTP/1.1\r\nHost: gateway.test\r\n\r\n" },
];

/** Connections of all kinds, of which each goes on as its kind does. */
class Crowd {
  readonly #sockets = new Map<Socket, (typeof KINDS)[number]>();
  readonly #to: Readonly<{ host: string; port: number; localAddress?: string }>;
  #came = 0;
  #open = 0;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(origin: string, localAddress?: string) {
    const { hostname, port } = new URL(origin);
    this.#to = { host: hostname, port: Number(port), localAddress };
    this.#timer = setInterval(() => this.#drip(), 200);
  }

  /** So many more come. Each drips only once it has said what it opens with. */
  async grow(connections: number): Promise<void> {
    await Promise.all(Array.from({ length: connections }, async () => {
      const kind = KINDS[this.#came++ % KINDS.length];
      const socket = new Socket({ allowHalfOpen: true });
      const settled = Promise.withResolvers<void>();
      socket.on("error", () => {}); // Being sent away is what it came for.
      socket.once("end", () => socket.destroy());
      socket.once("close", () => {
        this.#open--;
        settled.resolve();
      });
      socket.resume();
      this.#open++;
      socket.connect(this.#to, () => {
        socket.write(kind.sends);
        if (kind.halfCloses) socket.end();
        this.#sockets.set(socket, kind);
        settled.resolve();
      });
      await settled.promise;
    }));
  }

  /** How many the gateway has not closed. */
  get open(): number {
    return this.#open;
  }

  #drip(): void {
    for (const [socket, { drips }] of this.#sockets) {
      if (drips !== undefined && socket.writable) socket.write(drips);
    }
  }

  async leave(): Promise<void> {
    clearInterval(this.#timer);
    for (const socket of this.#sockets.keys()) socket.destroy();
    await eventually("all have left", () => this.#open === 0);
  }
}

/** Runs a gateway amid a crowd. Every honest vote must be taken, and be on the log in the end, and nothing else. */
async function amidCrowd(environment: Record<string, string>, localAddress?: string): Promise<void> {
  await withAggregator(async ({ start, numbers }) => {
    const gateway = start({
      DEVICE_VOTES_PER_SECOND: "1000000",
      STATION_VOTES_PER_SECOND: "1000000",
      ADDRESS_REQUESTS_PER_SECOND: "1000000",
      ...environment,
    });
    const origin = await gateway.address();
    await eventually("the gateway is ready", async () => {
      const answer = await exchange(origin, { method: "GET", target: "/health/ready" });
      return answer?.status === 200;
    });
    const crowd = new Crowd(origin, localAddress);
    try {
      for (let vote = 0; vote < HONEST_VOTES; vote++) {
        // The vote waits its turn behind them: once it is taken the gateway has them all.
        if (vote < BAD_CONNECTIONS / BUNCH) await crowd.grow(BUNCH);
        const request = honest("vote");
        const answer = await sentUntilTaken(async () => (await exchange(origin, request))!);
        assert.equal(answer.status, 202, `vote ${vote}: ${JSON.stringify(answer.body)}`);
      }
      await eventually(
        "those who only drip are sent away",
        () => crowd.open <= BAD_CONNECTIONS / KINDS.length + 1,
        LEAVE_MS,
      );
      const request = { bytes: rawBytes(honest("vote")), target: "" };
      const last = await sentUntilTaken(async () => (await exchange(origin, request))!);
      assert.equal(last.status, 202);
    } finally {
      await crowd.leave();
    }
    const { code, stderr } = await gateway.stop();
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /request failed/);
    assert.equal((await numbers()).length, HONEST_VOTES + 1);
  });
}

longTest("a gateway takes every honest vote amid thousands of slow and half-closed connections", async () => {
  await amidCrowd({ ADDRESS_MAX_CONNECTIONS: "10000" });
});

longTest("a gateway lets no address have all its connections", async () => {
  await amidCrowd({ MAX_CONNECTIONS: "500", ADDRESS_MAX_CONNECTIONS: "400" }, ELSEWHERE);
});
