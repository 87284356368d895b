import assert from "assert";
import { newJwk } from "../../../tests/openid_provider.ts";
import { KEY_SET_LIMITS, type KeyFound, KeySet } from "./key_set.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ADDRESS = "https://login.test/jwks";
const [first, second] = [await newJwk("first"), await newJwk("second")];

/** A provider whose keys, or absence, a test chooses; and how often it was asked. */
function provider() {
  const state = {
    keys: [first] as unknown[],
    asked: 0,
    isAway: false,
    body: undefined as string | undefined,
  };
  const set = new KeySet(
    ADDRESS,
    "ES256",
    (() => {
      state.asked++;
      if (state.isAway) return Promise.reject(new TypeError("connection refused"));
      return Promise.resolve(new Response(state.body ?? JSON.stringify({ keys: state.keys })));
    }) as typeof fetch,
  );
  return { state, set };
}

const kind = (found: KeyFound) => typeof found === "string" ? found : "known";

Deno.test("find() asks once for keys that it knows, and again when they are no longer fresh", async () => {
  const { state, set } = provider();
  assert.equal(state.asked, 0, "not before a token comes");
  const all = await Promise.all(Array.from({ length: 50 }, () => set.find("first", 0)));
  assert.ok(all.every((found) => kind(found) === "known"));
  assert.equal(kind(await set.find("first", KEY_SET_LIMITS.freshMs - 1)), "known");
  assert.equal(state.asked, 1);
  state.keys = [second];
  assert.equal(kind(await set.find("first", KEY_SET_LIMITS.freshMs)), "unknown", "a withdrawn key");
  assert.equal(state.asked, 2);
});

Deno.test("find() finds a key that the provider has rotated to", async () => {
  const { state, set } = provider();
  await set.find("first", 0);
  state.keys = [first, second];
  assert.equal(kind(await set.find("second", KEY_SET_LIMITS.askAgainMs - 1)), "unknown");
  assert.equal(kind(await set.find("second", KEY_SET_LIMITS.askAgainMs)), "known");
  assert.equal(kind(await set.find("first", KEY_SET_LIMITS.askAgainMs)), "known");
  assert.equal(state.asked, 2);
});

Deno.test("find() asks a provider twice a minute at the most, however many key ids nobody knows", async () => {
  const { state, set } = provider();
  for (let ms = 0; ms < 60_000; ms += 10) {
    assert.equal(kind(await set.find(`unknown-${ms}`, ms)), "unknown");
  }
  assert.equal(state.asked, 2);
  state.isAway = true;
  for (let ms = 60_000; ms < 120_000; ms += 10) await set.find(`unknown-${ms}`, ms);
  assert.equal(state.asked, 4);
});

Deno.test("find() takes the last keys for an hour while the provider is away, and says so then", async () => {
  const { state, set } = provider();
  await set.find("first", 0);
  state.isAway = true;
  assert.equal(kind(await set.find("first", KEY_SET_LIMITS.staleMs - 1)), "known");
  assert.equal(kind(await set.find("other", KEY_SET_LIMITS.staleMs - 1)), "away");
  assert.equal(kind(await set.find("first", KEY_SET_LIMITS.staleMs)), "away");
  state.isAway = false;
  const back = KEY_SET_LIMITS.staleMs + KEY_SET_LIMITS.askAgainMs;
  assert.equal(kind(await set.find("first", back)), "known");
});

Deno.test("find() uses no key of another kind or use, and nothing that is no key set", async () => {
  const secret = { kty: "oct", k: "c2VjcmV0", kid: "secret" };
  const { state, set } = provider();
  state.keys = [
    secret,
    { ...first, use: "enc", kid: "enc" },
    { ...first, alg: "ES384", kid: "other" },
    second,
  ];
  for (const id of ["secret", "enc", "other"]) assert.equal(kind(await set.find(id, 0)), "unknown", id);
  assert.equal(kind(await set.find("second", 0)), "known");
  const bodies = [
    "<html>",
    `{"keys":1}`,
    JSON.stringify({ keys: Array(KEY_SET_LIMITS.keys + 1).fill(first) }),
    JSON.stringify({ keys: [first], more: "x".repeat(KEY_SET_LIMITS.bytes) }),
  ];
  for (const body of bodies) {
    const other = provider();
    other.state.body = body;
    assert.equal(kind(await other.set.find("first", 0)), "away", body.slice(0, 20));
  }
});
