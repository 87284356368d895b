/**
 * Where posted votes enter: each request begins at its turn, or is refused before anything of it is checked or parsed. A refusal is an
 * answer that is ready, because while a gateway has too much to do every refusal takes time from a vote.
 *
 * @module
 */
import { problem } from "../shared/problem.ts";
import { BufferedResponse } from "../web/buffered_response.ts";
import type { Enter } from "../web/request_listener.ts";
import type { Admission } from "./admission.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { Turns } from "./turns.ts";

const BYTES_A_KIB = 1_024;
/** What a request counts for at most: `node:http` holds no more of a body that nobody reads yet. A batch of that size has a turn of its own. */
const MAX_KIB = 64;
const BUSY = problem("busy", "more votes come than this gateway can take now: send the votes again later");

/** Makes the function that lets posted requests in. `endpointOf` says under which name a target's answers are counted. */
export function entrance(
  { admission, turns, metrics, endpointOf }: Readonly<{
    admission: Admission;
    turns: Turns;
    metrics: Pick<GatewayMetrics, "answers">;
    endpointOf(target: string): string;
  }>,
): Enter {
  const text = JSON.stringify(BUSY);
  const answers = new Map<number, BufferedResponse>();
  const busy = (retryAfterS: number) => {
    let answer = answers.get(retryAfterS);
    if (answer === undefined) {
      const headers = { "content-type": "application/problem+json", "retry-after": String(retryAfterS) };
      answers.set(retryAfterS, answer = new BufferedResponse(text, { status: BUSY.status, headers }));
    }
    return answer;
  };
  return ({ target, bytes }, begin, refuse) =>
    turns.enter({
      kib: bytes === undefined ? MAX_KIB : Math.min(MAX_KIB, Math.max(1, Math.ceil(bytes / BYTES_A_KIB))),
      begin,
      refuse: () => {
        metrics.answers.inc({ endpoint: endpointOf(target), answer: "busy" });
        refuse(busy(admission.retryAfter.nextS()));
      },
    });
}
