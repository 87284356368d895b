/**
 * The measurement that decides where the spool stands: on a disk that takes 5 ms to sync, as real ones do, with the
 * spool in a worker against the spool in the thread of the requests.
 *
 * @module
 */
import { deviceKey, formatKeyName, proofKey } from "../shared/keys.ts";
import { MASTER } from "../tests/fixture.ts";
import { benchElection, type Signer, voteMaker, voteRequest } from "./ballots.ts";
import { COMMIT_DELAY_MS, type Host } from "./delayed_commit.ts";
import { HttpLoad } from "./http_load.ts";
import { type Benchmark, compare, median, quantile } from "./measure.ts";
import { startServer, untilIdle } from "./servers.ts";

const ROUNDS = 4;
const VOTES = 6_000;
const CONNECTIONS = 64;
/** Another thread is worth having only if it takes more votes in. */
const GOAL = { ratio: 1.2 };

/** See the module. */
export const fsync: Benchmark = {
  name: "fsync-5ms",
  work:
    `single votes, each commit ${COMMIT_DELAY_MS} ms longer, spool in a worker; floor: spool in the main thread`,
  on: "embedded",
  async run(bench) {
    const { definition, ...simulated } = benchElection({ voters: 1, stations: 200 });
    const vote = voteMaker({ definition, ...simulated });
    const directory = `${bench.directory}/fsync`;
    await Deno.mkdir(directory);
    await Deno.writeTextFile(`${directory}/definition.json`, JSON.stringify(definition));
    const signers = new Map(definition.stations.map(({ id }): [string, Signer] => {
      const name = { election: definition.election, id: `${id}-a`, version: 1 };
      const keys = { key: deviceKey(MASTER, name), proofKey: proofKey(MASTER, name) };
      return [id, { keyId: formatKeyName(name), ...keys }];
    }));
    let next = 0;
    const p99s: Record<Host, number[]> = { worker: [], main: [] };
    const under = async (host: Host) => {
      const origin = await startServer(bench, "./delayed_gateway.ts", host, directory);
      const load = await HttpLoad.connect(origin, CONNECTIONS);
      bench.atEnd(async () => load.close());
      return async (round: number) => {
        const votes = Array.from({ length: VOTES }, () => vote(next++));
        const requests = votes.map((each) => voteRequest(each, signers.get(each.station)!));
        const { seconds, latenciesMs } = await load.send(requests, 202);
        if (round > 0) p99s[host].push(quantile(latenciesMs, 0.99));
        await untilIdle(origin);
        return VOTES / seconds;
      };
    };
    const compared = await compare(ROUNDS, await under("main"), await under("worker"));
    const p99 = (host: Host) => `${median(p99s[host]).toFixed(1)} ms`;
    return [{
      benchmark: "fsync-5ms",
      of: `worker, ${CONNECTIONS} connections`,
      ...compared,
      unit: "votes/s",
      goal: GOAL,
      notes: `p99 ${p99("worker")}, in the main thread ${p99("main")}`,
    }];
  },
};
