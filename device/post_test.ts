import assert from "assert";
import { post } from "./post.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const request = { headers: {}, body: "" };
const readText = (response: Response) => response.text();
/** A server that never answers. */
const silent = (_: string, { signal }: RequestInit): Promise<Response> =>
  new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));

Deno.test("post() hands on what was read, and leaves no timer behind", async () => {
  const answering = () => Promise.resolve(new Response("yes"));
  assert.equal(await post(answering, "http://a", request, { timeoutMs: 60_000 }, readText), "yes");
});

Deno.test("post() ends at its deadline, while it reads too", async () => {
  const limits = { timeoutMs: 5 };
  const late = { message: "no answer within 5 ms" };
  await assert.rejects(post(silent, "http://a", request, limits, readText), late);
  const slow = (_: string, { signal }: RequestInit) =>
    Promise.resolve({ text: () => silent("", { signal }) } as unknown as Response);
  await assert.rejects(post(slow, "http://a", request, limits, readText), late);
});

Deno.test("post() ends when it is stopped, and asks nobody once it was", async () => {
  const stop = new AbortController();
  const limits = { timeoutMs: 60_000, signal: stop.signal };
  const posting = post(silent, "http://a", request, limits, readText);
  stop.abort();
  await assert.rejects(posting, { message: "stopped" });
  const asked = () => {
    throw new Error("asked");
  };
  await assert.rejects(post(asked, "http://a", request, limits, readText), { message: "stopped" });
});
