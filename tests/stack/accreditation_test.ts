/**
 * Accreditation on a server, as the user of the role `office`: a member of the office's, the registrar's and the counter's role, and
 * nothing more.
 */
import assert from "assert";
import { createHash } from "node:crypto";
import { utf8 } from "../../shared/bytes.ts";
import type { Database } from "../../aggregator/database/database.ts";
import { rollKeys } from "../../aggregator/registry/roll.ts";
import { sealOldProfiles } from "../../aggregator/registry/roll_changes.ts";
import { openBallotBox } from "../ballot_box.ts";
import { eventually } from "../eventually.ts";
import { MASTER } from "../fixture.ts";
import { openTestOffice } from "../test_office.ts";
import { type Cluster, isWithoutServer, startCluster } from "./cluster.ts";
import { withUsers } from "./database_users.ts";

let cluster: Cluster;
const ignore = isWithoutServer();
Deno.test.beforeAll(async () => {
  if (!ignore) cluster = await startCluster({ fsync: "off" });
});
Deno.test.afterAll(async () => await cluster?.remove());

const HEADER = "voter_id,region,station,birth_date,gender,name,email";

async function accreditAll(db: Database): Promise<void> {
  const box = await openBallotBox(db, "box");
  const office = openTestOffice(db);
  const ask = await office.enrol("reg", ["registrar", "box"]);
  const at = (path: string) => `/v1/elections/box/${path}`;
  const rows = Array.from(
    { length: 6_000 },
    (_, i) => `v-${i},north,,1980-05-17,female,Voter ${i},v${i}@example.org`,
  );
  const bytes = utf8(`${HEADER}\n${rows.join("\n")}\n`);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const begun = await ask("POST", at("roll-imports"), { name: "roll.csv", bytes: bytes.length, sha256 });
  assert.equal(begun.status, 201, begun.text);
  const headers = {
    authorization: `Bearer ${await office.signIn("reg")}`,
    "content-type": "application/octet-stream",
  };
  const sent = await office.send("POST", at("roll-imports/1/parts?from=0"), { headers, body: bytes });
  assert.equal(sent.status, 200, sent.text);
  const work = async (what: string) => {
    const started = await ask("POST", at(`roll-imports/1/${what}`));
    assert.equal(started.status, 200, started.text);
    let body: any;
    await eventually(`${what} has ended`, async () => {
      ({ body } = await ask("GET", at("roll-imports/1")));
      return !body.isRunning;
    });
    assert.equal(body.fault, undefined);
    return body;
  };
  assert.equal((await work("check")).status, "checked");
  assert.equal((await work("commit")).added, 6_000);
  await box.cast("v-1");
  await box.count();
  const reverted = await work("revert");
  assert.deepEqual([reverted.status, reverted.kept], ["reverted", 1]);

  const ann = { voter_id: "ann", region: "north", profile: { email: "ann@example.org" } };
  assert.equal((await ask("POST", at("voters"), ann)).status, 201);
  assert.equal((await ask("POST", at("voter-changes"), { ...ann, region: "south" })).body.region, "south");
  const found = await ask("POST", at("voter-searches"), { by: "email", value: "ANN@example.org" });
  assert.equal(found.body.voters[0].voter_id, "ann");
  assert.equal((await ask("POST", at("voter-strikes"), { voter_id: "ann", reason: "moved" })).status, 200);
  const { code } = (await ask("POST", at("devices"), { device: "new", station: "n-1" })).body;
  assert.equal((await office.ask(undefined, "POST", "/v1/office/enrolments", { code })).status, 200);
  assert.equal((await ask("POST", at("devices/new/rotate"), { overlapS: 60 })).status, 200);
  assert.equal((await ask("POST", at("devices/new/revoke"), { version: 1, reason: "Stolen" })).status, 200);
  assert.equal(await sealOldProfiles(db, "box", rollKeys("box", MASTER)), 0);
}

Deno.test({
  name: "the office's user imports, reverts, accredits, changes, strikes and enrols on a server",
  ignore,
  fn: () =>
    withUsers(cluster, async (as) => {
      await cluster.psql("GRANT pollwire_registrar, pollwire_counter TO board");
      try {
        await accreditAll(await as("board"));
      } finally {
        await cluster.psql("REVOKE pollwire_registrar, pollwire_counter FROM board");
      }
    }),
});
