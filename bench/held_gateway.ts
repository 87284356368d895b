/**
 * A gateway whose log is away, in a process of its own: it takes votes in batches, without a network between, and writes
 * what it remembers and holds as a line of JSON, after each number of votes in its arguments and after the first
 * 200,000 of them have come once more. Arguments: a directory, then the numbers, smallest first.
 *
 * @module
 */
import { createGateway, MAX_BATCH_VOTES } from "../gateway/app.ts";
import { gatewayMetrics } from "../gateway/metrics.ts";
import { SpoolClient } from "../gateway/spool_client.ts";
import type { SpoolListening, SpoolReply, SpoolSetup } from "../gateway/spool_host.ts";
import { NOON_MS } from "../tests/fixture.ts";
import { batchRequest, DEVICE, testElection, testVote } from "../tests/gateway_fixture.ts";
import { RateLimiter } from "../web/rate.ts";

/** Maximum votes that come once more: more than versions before this one remembered. */
const CAME_AGAIN_VOTES = 200_000;
/** Of a run, so that each vote's id follows from its number. */
const VOTE_ID = "00000000-0000-4000-8000-";

const [directory, ...counts] = Deno.args as [string, ...string[]];
const setup: SpoolSetup = {
  path: `${directory}/spool.sqlite`,
  maxBytes: 2 ** 40,
  deviceMaxBytes: 2 ** 40,
  // A file, and not a directory: it cannot be opened.
  voteLog: { kind: "sqlite", directory: `${directory}/away` },
  logLevel: "error",
};
Deno.writeTextFileSync(`${directory}/away`, "");
const election = testElection();
const worker = new Worker(new URL("../gateway/spool_worker.ts", import.meta.url), { type: "module" });
const spool = new SpoolClient((request, transfer) => worker.postMessage(request, transfer));
worker.onmessage = ({ data }: MessageEvent<SpoolReply | SpoolListening>) =>
  data.kind === "listening" ? worker.postMessage(setup) : spool.handle(data);
await spool.opened;
spool.use({ ...election.sender, acceptsUntilMs: Infinity });
const unlimited = () => new RateLimiter(1e9);
const app = createGateway({
  gateway: "g-1",
  elections: () => election,
  electionIds: () => [DEVICE.election],
  awaitedIds: () => [],
  spool,
  spoolMaxBytes: setup.maxBytes,
  metrics: gatewayMetrics({ spool: () => spool.state }),
  deviceRate: unlimited(),
  stationRate: unlimited(),
  addressRate: unlimited(),
  logFault: () => undefined,
  clockFault: () => undefined,
  now: () => NOON_MS,
  draining: () => false,
  onError: console.error,
});

async function post(from: number, to: number): Promise<void> {
  const votes = Array.from({ length: to - from }, (_, i) =>
    testVote({
      voteId: `${VOTE_ID}${(from + i).toString(16).padStart(12, "0")}`,
      voterId: `voter-${from + i}`,
    }));
  const response = await app.fetch(batchRequest(votes), { address: "127.0.0.1" });
  const { results } = await response.json() as { results: { status: number }[] };
  const refused = results.find(({ status }) => status !== 202);
  if (refused !== undefined) throw new Error(`A vote was answered ${JSON.stringify(refused)}`);
}

async function postAll(from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += MAX_BATCH_VOTES) await post(at, Math.min(to, at + MAX_BATCH_VOTES));
}

function report(of: string, votes: number): void {
  const status = Deno.readTextFileSync("/proc/self/status");
  const kb = (name: string) => Number(status.match(new RegExp(`${name}:\\s+(\\d+) kB`))![1]);
  const { records, bytes } = spool.state;
  console.log(
    JSON.stringify({
      of,
      votes,
      rssBytes: kb("VmRSS") * 1_024,
      peakBytes: kb("VmHWM") * 1_024,
      records,
      bytes,
    }),
  );
}

report("started", spool.state.records);
let last = 0;
for (const count of counts.map(Number)) {
  await postAll(last, count);
  report("taken", last = count);
}
await postAll(0, Math.min(last, CAME_AGAIN_VOTES));
report("came again", last);
Deno.exit(0);
