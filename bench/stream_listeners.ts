/**
 * Listeners to an election's event stream, until stdin ends: `stream_listeners.ts <origin> <election> <listeners> <slow>`.
 * The last `slow` of them stop reading after their first bytes. Of {@link TIMED} the delay of each release is taken, from its
 * `releasedAt` to its last byte. Prints a {@link Heard} as JSON.
 *
 * @module
 */
import { quantile } from "./measure.ts";

/** Listeners of whom delays are taken: reading all of them would be what is measured. */
const TIMED = 10;
/** Connections that are opened at once. */
const AT_ONCE = 50;

/** What listeners heard. */
export type Heard = Readonly<{
  releases: number;
  megabytes: number;
  p50Ms: number;
  p99Ms: number;
  /** Listeners whom the server sent away, of those who read. */
  lost: number;
}>;

const [origin = "", election = "", count = "0", slow = "0"] = Deno.args;
const { hostname, port } = new URL(origin);
const delays: number[] = [];
let bytes = 0;
let lost = 0;
let isOver = false;

/** Takes the delays of the whole events in a text; returns what is left of it. */
function takeEvents(text: string): string {
  const events = text.split("\n\n");
  const rest = events.pop()!;
  const nowMs = Date.now();
  for (const event of events) {
    const at = event.startsWith("event: release") && /"releasedAt":"([^"]+)"/.exec(event)?.[1];
    if (at) delays.push(nowMs - Date.parse(at));
  }
  return rest;
}

async function listen(number: number): Promise<void> {
  const conn = await Deno.connect({ hostname, port: Number(port) });
  const isTimed = number < TIMED;
  const isSlow = number >= Number(count) - Number(slow);
  await conn.write(
    new TextEncoder().encode(`GET /v1/elections/${election}/stream HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`),
  );
  const buffer = new Uint8Array(isTimed ? 65_536 : 262_144);
  await conn.read(buffer);
  if (isSlow) return;
  (async () => {
    const decoder = new TextDecoder();
    for (let text = "";;) {
      const read = await conn.read(buffer).catch(() => null);
      if (read === null) break;
      bytes += read;
      // Chunks' lengths stand between lines, and break no event that is looked for but now and then one.
      if (isTimed) text = takeEvents(text + decoder.decode(buffer.subarray(0, read), { stream: true }));
    }
    if (!isOver) lost++;
  })();
}

for (let from = 0; from < Number(count); from += AT_ONCE) {
  await Promise.all(
    Array.from({ length: Math.min(AT_ONCE, Number(count) - from) }, (_, at) => listen(from + at)),
  );
}
console.error("all listen");
for await (const _ of Deno.stdin.readable);
isOver = true;
console.log(JSON.stringify(
  {
    releases: delays.length / TIMED,
    megabytes: Math.round(bytes / 2 ** 20),
    p50Ms: quantile(delays, 0.5),
    p99Ms: quantile(delays, 0.99),
    lost,
  } satisfies Heard,
));
Deno.exit();
