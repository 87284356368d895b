import assert from "assert";
import { MASTER } from "../../tests/fixture.ts";
import { ProfileSealer } from "./sealed_profile.ts";

const PROFILE = { name: "Ann Ash", email: "ann@example.org", street: "1 Long Street" };

Deno.test("ProfileSealer opens what it sealed, for that voter, election and key only", () => {
  const sealer = new ProfileSealer("one", MASTER);
  const sealed = sealer.seal("A-1", PROFILE);
  assert.deepEqual(sealer.open("A-1", sealed), PROFILE);
  assert.ok(!new TextDecoder("latin1").decode(Uint8Array.fromHex(sealed)).includes("Ash"));
  assert.throws(() => sealer.open("A-2", sealed), /sealed with another key/);
  assert.throws(() => new ProfileSealer("two", MASTER).open("A-1", sealed), /sealed with another key/);
  assert.throws(() => new ProfileSealer("one", new Uint8Array(32)).open("A-1", sealed), /another key/);
});

Deno.test("ProfileSealer's hashes are of field, value, election and key, and do not care how a value is spelled", () => {
  const sealer = new ProfileSealer("one", MASTER);
  assert.equal(sealer.lookup("phone", "+44 (20) 1"), sealer.lookup("phone", "4420 1".replace("44", "+44")));
  assert.equal(sealer.lookup("email", "Ann@Example.org"), sealer.lookup("email", "ann@example.org"));
  assert.notEqual(sealer.lookup("phone", "1"), sealer.lookup("cell", "1"));
  assert.notEqual(sealer.lookup("phone", "1"), new ProfileSealer("two", MASTER).lookup("phone", "1"));
  assert.notEqual(
    sealer.lookup("phone", "1"),
    new ProfileSealer("one", new Uint8Array(32)).lookup("phone", "1"),
  );
  assert.deepEqual(sealer.lookups(PROFILE), [
    sealer.lookup("name", "annash"),
    sealer.lookup("email", PROFILE.email),
  ]);
});
