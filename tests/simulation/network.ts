/**
 * The network between simulated programs: requests and answers take time, come twice, come late, or never come.
 *
 * @module
 */
import type { Random } from "../../simulator/random.ts";
import { currentOwner, type Owner, type Scheduler } from "./virtual_time.ts";

/** How bad the network is. Probabilities of one message. */
export type NetworkFaults = { lost: number; twice: number; slow: number; slowMs: number };

/** A program that answers requests. */
export type Host = Readonly<{ owner: Owner; handle(request: Request, from: string): Promise<Response> }>;

/** Fastest and usual time of a message, in milliseconds. */
const FASTEST_MS = 0.2;
const USUAL_MS = 4;

/** See the module. Names are those of programs: devices, gateways, aggregators, `log`, `database`. */
export class Network {
  readonly hosts = new Map<string, Host>();
  readonly faults: NetworkFaults = { lost: 0, twice: 0, slow: 0, slowMs: 0 };
  readonly #cut = new Set<string>();
  /** Links that there are none of, for the whole run. */
  readonly #separate = new Set<string>();
  readonly #scheduler: Scheduler;
  readonly #chance: Random;
  readonly #trace: (line: string) => void;

  constructor(scheduler: Scheduler, chance: Random, trace: (line: string) => void) {
    this.#scheduler = scheduler;
    this.#chance = chance;
    this.#trace = trace;
  }

  /** Cuts the link between two programs, or mends it. */
  cut(a: string, b: string, isCut = true): void {
    for (const link of [`${a}|${b}`, `${b}|${a}`]) {
      if (isCut) this.#cut.add(link);
      else this.#cut.delete(link);
    }
  }

  /** From now on, two programs never reach each other. */
  separate(a: string, b: string): void {
    this.#separate.add(`${a}|${b}`).add(`${b}|${a}`);
  }

  mend(): void {
    this.#cut.clear();
    Object.assign(this.faults, { lost: 0, twice: 0, slow: 0, slowMs: 0 });
  }

  isCut(a: string, b: string): boolean {
    if (this.#cut.size + this.#separate.size === 0) return false;
    const link = `${a}|${b}`;
    return this.#cut.has(link) || this.#separate.has(link);
  }

  /** How long the next message takes, in milliseconds. */
  latencyMs(): number {
    const { next } = this.#chance;
    const { slow, slowMs } = this.faults;
    return FASTEST_MS + USUAL_MS * next() ** 3 + (slow > 0 && next() < slow ? slowMs * next() : 0);
  }

  /** Whether the next message is lost. */
  isLost(): boolean {
    return this.faults.lost > 0 && this.#chance.next() < this.faults.lost;
  }

  /** The `fetch` of the program that calls this. */
  fetcher(): typeof fetch {
    const owner = currentOwner()!;
    return (url, init = {}) => this.#fetch(owner, String(url), init);
  }

  #fetch(owner: Owner, url: string, init: RequestInit): Promise<Response> {
    const { hostname, pathname } = new URL(url);
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    init.signal?.addEventListener("abort", () => reject(init.signal!.reason), { once: true });
    const bytes = typeof init.body === "string"
      ? new TextEncoder().encode(init.body)
      : init.body as Uint8Array<ArrayBuffer>;
    const headers = new Headers(init.headers);
    headers.set("content-length", String(bytes.length));
    const send = (isFirst: boolean) =>
      this.#scheduler.after(this.latencyMs(), () => {
        if (this.isCut(owner.name, hostname) || this.isLost()) return;
        const host = this.hosts.get(hostname);
        if (host === undefined || !host.owner.alive) {
          this.#scheduler.after(this.latencyMs(), () => reject(new TypeError("connection refused")), owner);
          return;
        }
        const request = new Request(url, { method: init.method, headers, body: bytes.slice() });
        this.#scheduler.as(host.owner, () => {
          void host.handle(request, owner.name).then(async (response) => {
            const body = new Uint8Array(await response.arrayBuffer());
            if (!host.owner.alive) return;
            this.#trace(`${owner.name} → ${hostname} ${pathname}: ${response.status}, ${body.length} bytes`);
            this.#scheduler.after(this.latencyMs(), () => {
              if (!isFirst || this.isCut(owner.name, hostname) || this.isLost()) return;
              const isEmpty = response.status === 204;
              resolve(
                new Response(isEmpty ? null : body, { status: response.status, headers: response.headers }),
              );
            }, owner);
          }, (error) => {
            if (host.owner.alive) this.#scheduler.after(this.latencyMs(), () => reject(error), owner);
          });
        });
      }, null);
    send(true);
    if (this.faults.twice > 0 && this.#chance.next() < this.faults.twice) send(false);
    return promise;
  }
}
