import assert from "assert";
import { batchRequest, signedRequest, testVote, voteRequest } from "./gateway_fixture.ts";
import { withAggregator } from "./gateway_process.ts";
import { eventually } from "./eventually.ts";
import { deviceKey, pseudonymKey } from "../shared/keys.ts";
import { utf8 } from "../shared/bytes.ts";
import { MASTER, testVoterKey } from "./fixture.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const VOTER = "voter-who-must-not-be-named";
const REQUEST_ID = "0b4c2f0e-6c5b-4b7a-9d9b-2f5d7c1e8a90";

/** Every way in which a request can end, good and bad. */
function requests(): Request[] {
  const vote = (change = {}) => testVote({ castAt: new Date().toISOString(), voterId: VOTER, ...change });
  const now = { createdMs: Date.now() };
  const again = vote();
  return [
    voteRequest(vote(), now),
    voteRequest(again, now),
    voteRequest(again, now),
    voteRequest(vote({ station: "nowhere" }), now),
    voteRequest(vote({ selections: [{ contest: "mayor", candidate: "nobody" }] }), now),
    voteRequest(vote({ castAt: "2020-01-01T00:00:00.000Z" }), now),
    voteRequest(vote(), { createdMs: 0 }),
    batchRequest([vote(), "{", vote({ station: "nowhere" })], now),
    signedRequest(utf8(`{"voterId":"${VOTER}"`), now),
  ];
}

Deno.test("a gateway's log at level debug tells every request and vote id, and never who, what, or a secret", async () => {
  await withAggregator(async ({ start }) => {
    const gateway = start({ LOG_LEVEL: "debug" });
    const address = await gateway.address();
    const health = async () => {
      const answer = await fetch(`${address}/health/ready`);
      await answer.body?.cancel();
      return answer.ok;
    };
    await eventually("it is ready", health);
    const secrets = new Set([VOTER, testVoterKey(VOTER), "selections", "candidate"]);
    secrets.add(deviceKey(MASTER, { election: "test-2026", id: "n-1-a", version: 1 }).toHex());
    secrets.add(pseudonymKey(MASTER, "test-2026").toHex());
    const ids: string[] = [];
    const statuses = new Set<number>();
    for (const request of requests()) {
      const { pathname } = new URL(request.url);
      const headers = new Headers(request.headers);
      headers.set("x-request-id", REQUEST_ID);
      ids.push(headers.get("idempotency-key")!.replaceAll('"', ""));
      const text = await request.clone().text();
      for (const [, proof] of text.matchAll(/"proof":"([^"]+)"/g)) secrets.add(proof);
      for (const name of ["content-digest", "signature"]) {
        secrets.add(/:(.+):/.exec(headers.get(name)!)![1]);
      }
      const answer = await fetch(`${address}${pathname}`, {
        method: "POST",
        headers,
        body: await request.bytes(),
      });
      statuses.add(answer.status);
      for (const [, secret] of (await answer.text()).matchAll(/"(?:mac|proof)":"([^"]+)"/g)) {
        secrets.add(secret);
      }
    }
    await (await fetch(`${address}/v1/votes/${VOTER}`, { method: "POST", body: VOTER })).body?.cancel();
    const { code, stdout, stderr } = await gateway.stop();
    assert.equal(code, 0, stderr);
    assert.ok(statuses.size >= 4, `requests end in several ways: ${[...statuses]}`);
    for (const id of ids) assert.ok(stderr.includes(id), `${id} is found`);
    assert.ok(stderr.includes(REQUEST_ID));
    for (const line of stderr.trim().split("\n")) JSON.parse(line);
    for (const secret of secrets) assert.ok(!`${stdout}${stderr}`.includes(secret), `${secret} is logged`);
  });
});
