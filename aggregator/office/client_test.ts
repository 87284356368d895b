import assert from "assert";
import { newKeyFile } from "./access/keys.ts";
import { OfficeClient, OfficeRefusal } from "./client.ts";

/** An office that answers requests in turn, and gives tokens of rising numbers. */
async function openClient(answers: Response[]) {
  const asked: string[] = [];
  let tokens = 0;
  const client = new OfficeClient((path, init) => {
    if (path === "/v1/office/token") return Response.json({ access_token: `token-${++tokens}` });
    asked.push(`${init.method} ${path} ${new Headers(init.headers).get("authorization")} ${init.body ?? ""}`);
    return answers.shift()!;
  }, await newKeyFile("ann"));
  return { client, asked };
}

const problem = (type: string, status: number, more: object = {}) =>
  Response.json({ type: `urn:pollwire:problem:${type}`, detail: `it is ${type}`, ...more }, { status });

Deno.test("ask() signs in again, once, when the office wants a newer sign-in", async () => {
  const { client, asked } = await openClient([
    Response.json({}),
    problem("login-too-old", 401),
    Response.json({ done: true }),
    problem("login-too-old", 401),
    problem("login-too-old", 401),
  ]);
  await client.ask("GET", "/state");
  assert.deepEqual((await client.ask("POST", "/approve", { a: 1 })).body, { done: true });
  assert.deepEqual(asked, [
    "GET /state Bearer token-1 ",
    'POST /approve Bearer token-1 {"a":1}',
    'POST /approve Bearer token-2 {"a":1}',
  ]);
  await assert.rejects(client.ask("POST", "/approve"), /Cannot do this: it is login-too-old/);
});

Deno.test("ask() throws a refusal with its status and whole body", async () => {
  const { client } = await openClient([
    problem("state-conflict", 409, { allowed: ["cancel"] }),
    new Response("gone", { status: 502 }),
  ]);
  const refusal = async () =>
    await client.ask("GET", "/state").then(
      () => assert.fail("not refused"),
      (error) => error as OfficeRefusal,
    );
  const first = await refusal();
  assert.ok(first instanceof OfficeRefusal);
  assert.deepEqual([first.status, first.type], [409, "state-conflict"]);
  assert.deepEqual((first.problem as { allowed: string[] }).allowed, ["cancel"]);
  const second = await refusal();
  assert.deepEqual([second.status, second.type, second.problem], [502, undefined, "gone"]);
});
