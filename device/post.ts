/**
 * One POST with a deadline.
 *
 * @module
 */
/** Like the global `fetch`, with an absolute URL. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/**
 * Posts, and passes the response to `read`; both must end before the deadline.
 *
 * @param signal When aborted, the request ends.
 * @throws when there is no complete answer in time.
 */
export async function post<Result>(
  fetch: Fetch,
  url: string,
  request: Readonly<{ headers: Record<string, string>; body: Uint8Array<ArrayBuffer> | string }>,
  limits: Readonly<{ timeoutMs: number; signal?: AbortSignal }>,
  read: (response: Response) => Promise<Result>,
): Promise<Result> {
  const { timeoutMs, signal } = limits;
  if (signal?.aborted) throw new Error("stopped");
  const abort = new AbortController();
  const stop = () => abort.abort(new Error("stopped"));
  signal?.addEventListener("abort", stop);
  // Not AbortSignal.timeout(): its timers live until they fire, which fills memory at thousands of requests a second.
  const timer = setTimeout(() => abort.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await read(await fetch(url, { method: "POST", ...request, signal: abort.signal }));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}
