/**
 * Sends wrong requests to a station's gateways, and retries until one has answered: a gateway that is down or busy
 * has not refused anything.
 *
 * @module
 */
import { type Problem, problemSchema } from "../../shared/problem.ts";
import type { Receipt } from "../../shared/receipt.ts";
import type { Clock } from "../../device/clock.ts";
import type { Delivery } from "../../device/delivery.ts";
import type { BadRequest } from "./requests.ts";

/** Bounds of one wrong request, in milliseconds. */
export const SENDER_LIMITS = { requestTimeoutMs: 20_000, pauseMs: 250, giveUpAfterMs: 600_000 } as const;

/** Answers that are not about the request: it is sent again. */
const TRY_AGAIN = new Set([408, 425, 429, 500, 502, 503, 504]);

/** What sending needs of the world. */
export type SenderWorld = Readonly<{
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  clock: Clock;
  /** When aborted, the request under way ends as undelivered. */
  signal: AbortSignal;
}>;

/**
 * Sends a wrong request.
 *
 * @param origins The gateways to ask, in turn.
 * @param make Called each time, because a signature expires.
 */
export async function sendBad(
  origins: readonly string[],
  make: () => BadRequest,
  { fetch, clock, signal }: SenderWorld,
): Promise<Delivery> {
  const giveUpAtMs = clock.now() + SENDER_LIMITS.giveUpAfterMs;
  let last = "no gateway was asked";
  for (let turn = 0; !signal.aborted && clock.now() <= giveUpAtMs; turn++) {
    const origin = origins[turn % origins.length]!;
    const { path, ...request } = make();
    const answer = await post(fetch, origin + path, request, signal);
    if (typeof answer !== "string" && !TRY_AGAIN.has(answer.status)) return deliveryOf(answer, origin);
    last = typeof answer === "string" ? answer : `${origin}: status ${answer.status}`;
    await clock.sleep(SENDER_LIMITS.pauseMs, signal);
  }
  return { fate: "undelivered", detail: signal.aborted ? `stopped while it was under way; ${last}` : last };
}

type Answer = Readonly<{ status: number; text: string }>;

/** Returns in words why there was no answer. */
async function post(
  fetch: SenderWorld["fetch"],
  url: string,
  request: Omit<BadRequest, "path">,
  signal: AbortSignal,
): Promise<Answer | string> {
  const abort = new AbortController();
  const stop = () => abort.abort(new Error("stopped"));
  signal.addEventListener("abort", stop);
  // Not AbortSignal.timeout(), whose timers stay until they end.
  const timer = setTimeout(
    () => abort.abort(new Error(`no answer within ${SENDER_LIMITS.requestTimeoutMs} ms`)),
    SENDER_LIMITS.requestTimeoutMs,
  );
  try {
    const response = await fetch(url, { ...request, signal: abort.signal });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    return `${url}: ${(error as Error).message}`;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

/** An answer as a delivery; one that says neither yes nor why not is a refusal without a reason. */
function deliveryOf({ status, text }: Answer, gateway: string): Delivery {
  const body = parse(text) as
    | { receipt?: Receipt; results?: { receipt?: Receipt; problem?: Problem }[] }
    | undefined;
  const result = status === 207 ? body?.results?.[0] : body;
  if (result?.receipt !== undefined) return { fate: "acknowledged", receipt: result.receipt, gateway };
  const problem = problemSchema.safeParse(status === 207 ? (result as { problem?: unknown })?.problem : body);
  if (problem.success) return { fate: "refused", problem: problem.data };
  return { fate: "refused", problem: { type: "about:blank", title: "The gateway gave no reason", status } };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
