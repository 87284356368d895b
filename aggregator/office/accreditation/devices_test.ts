import assert from "assert";
import { answerKeyPair, deviceKey, proofKey } from "../../../shared/keys.ts";
import { openBallotBox, testVoter } from "../../../tests/ballot_box.ts";
import { MASTER, NOON_MS } from "../../../tests/fixture.ts";
import { MemoryLog } from "../../../tests/memory_log.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import { readEvents } from "../../audit/verify.ts";
import { deviceKeys } from "../../registry/elections.ts";
import { openHistory } from "../../counting/history.ts";

const db = await testDatabase();
const office = openTestOffice(db, () => Promise.resolve(new MemoryLog(3)));
let elections = 0;

async function open() {
  const election = `devices-${++elections}`;
  const box = await openBallotBox(db, election);
  const ask = await office.enrol(`registrar-${elections}`, ["registrar", election]);
  const post = (path: string, body?: unknown) =>
    ask("POST", `/v1/elections/${election}/devices${path}`, body);
  const list = async () => (await ask("GET", `/v1/elections/${election}/devices`)).body.devices;
  return { election, box, post, list };
}

/** A device asks: without a token. */
const redeem = (code: string) => office.ask(undefined, "POST", "/v1/office/enrolments", { code });

Deno.test("a device is added, and fetches its keys with a one-time code, once", async () => {
  const { election, post, list } = await open();
  const issued = await post("", { device: "n-1-z", station: "n-1" });
  assert.equal(issued.status, 201, issued.text);
  const { code, expiresAt } = issued.body;
  assert.match(code, /^([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]{4}$/);
  assert.equal(expiresAt, new Date(NOON_MS + 86_400_000).toISOString());
  assert.equal((await post("", { device: "n-1-z", station: "n-1" })).status, 409);
  assert.match(
    (await post("", { device: "x", station: "nowhere" })).body.detail,
    /^station: nowhere must be a station of the election$/,
  );
  const stored = await db.query<{ row: string }>("SELECT c::text AS row FROM office.enrolment_codes c");
  assert.ok(
    stored.every(({ row }) => !row.includes(code) && !row.includes(code.replaceAll("-", ""))),
    "hashed",
  );

  const name = { election, id: "n-1-z", version: 1 };
  const given = await redeem(code.toLowerCase().replaceAll("-", " "));
  assert.deepEqual([given.status, given.body], [200, {
    election,
    device: "n-1-z",
    version: 1,
    station: "n-1",
    key: deviceKey(MASTER, name).toHex(),
    proofKey: proofKey(MASTER, name).toHex(),
    answerKey: answerKeyPair(MASTER, election).publicKey.toHex(),
  }]);
  const again = await redeem(code);
  assert.deepEqual([again.status, again.body.detail], [
    409,
    "the code was used at 2026-11-03T12:00:00.000Z: if it was not this device, have its key revoked",
  ]);
  assert.equal((await redeem("0000-0000-0000-0000-0000")).status, 404);
  const [listed] = (await list()).filter(({ device }: any) => device === "n-1-z");
  assert.deepEqual(listed, {
    device: "n-1-z",
    version: 1,
    station: "n-1",
    validUntil: null,
    isRevoked: false,
    codeExpiresAt: null,
    enrolledAt: "2026-11-03T12:00:00.000Z",
  });
  const trail = JSON.stringify(await readEvents(db.query, election));
  assert.ok(!trail.includes(code));
  for (const event of ["device_added", "device_code_issued", "device_enrolled"]) {
    assert.ok(trail.includes(event));
  }
});

Deno.test("a code is good for 24 hours, and not after another took its place", async () => {
  const { post } = await open();
  const first = (await post("", { device: "n-1-y", station: "n-1" })).body.code;
  const second = (await post("/n-1-y/codes")).body.code;
  assert.match((await redeem(first)).body.detail, /^another code has taken its place/);
  office.nowMs = NOON_MS + 86_400_001;
  try {
    assert.match(
      (await redeem(second)).body.detail,
      /^the code expired at 2026-11-04T12:00:00.000Z: ask for another one$/,
    );
  } finally {
    office.nowMs = NOON_MS;
  }
  assert.equal((await redeem(second)).status, 200);
});

Deno.test("of codes that are redeemed at once, one is", async () => {
  const { post } = await open();
  const { code } = (await post("", { device: "n-1-x", station: "n-1" })).body;
  const statuses = await Promise.all(Array.from({ length: 10 }, async () => (await redeem(code)).status));
  assert.deepEqual(statuses.toSorted(), [200, ...Array(9).fill(409)]);
});

Deno.test("a device is rotated and revoked; what it signs after that is held", async () => {
  const { election, box, post, list } = await open();
  await box.enrol([testVoter("a"), testVoter("b")]);
  await post("", { device: "n-1-w", station: "n-1" });
  const rotated = await post("/n-1-w/rotate", { overlapS: 60 });
  assert.deepEqual([rotated.status, rotated.body.version], [200, 2]);
  const keys = await deviceKeys(db.query, election, new Date(NOON_MS), ["n-1"]);
  assert.deepEqual(
    keys.filter(({ device }) => device === "n-1-w").map(({ version, validUntil }) => [version, validUntil]),
    [[1, new Date(NOON_MS + 60_000).toISOString()], [2, null]],
  );
  assert.equal((await redeem(rotated.body.code)).body.version, 2);
  await box.cast("a", { device: "n-1-w" });
  await box.count();
  const revoked = await post("/n-1-w/revoke", { version: 1, reason: "Stolen" });
  assert.equal(revoked.status, 200, revoked.text);
  assert.equal((await post("/n-1-w/revoke", { version: 1, reason: "Stolen" })).status, 409);
  assert.equal((await post("/n-1-w/revoke", { version: 2, reason: "Stolen, too" })).status, 200);
  assert.equal((await post("/n-1-w/codes")).status, 409);
  const history = (await openHistory(db.query, election, MASTER))!;
  assert.ok(history.newest.manifest.denied.includes("n-1-w.1"));
  await box.cast("b", { device: "n-1-w" });
  await box.count();
  const held = await db.query<{ reason: string }>("SELECT reason FROM counting.held WHERE election = $1", [
    election,
  ]);
  assert.deepEqual(held.map(({ reason }) => reason), ["device_revoked"]);
  const mine = (await list()).filter(({ device }: any) => device === "n-1-w");
  assert.deepEqual(mine.map(({ version, isRevoked }: any) => [version, isRevoked]), [[1, true], [2, true]]);
  const [event] = (await readEvents(db.query, election)).filter(({ event }) =>
    event === "device_key_revoked"
  );
  assert.deepEqual([event!.reason, event!.actor], ["Stolen", `official:registrar-${elections}`]);
});
