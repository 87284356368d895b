import assert from "assert";
import fc from "fast-check";
import { createHmac } from "node:crypto";
import sodium from "libsodium-wrappers-sumo";
import { equalBytes, fromHex, lengthPrefixed, utf8 } from "./bytes.ts";
import {
  answerKeyPair,
  deriveKey,
  deviceKey,
  ephemeralKeyPair,
  formatKeyName,
  gatewayKey,
  hmac,
  hmacOfText,
  type KeyPurpose,
  manifestKeyPair,
  parseKeyName,
  proofKey,
  pseudonymKey,
  recordKey,
  seal,
  SEAL_OVERHEAD_BYTES,
  sealingKeyPair,
  sha256,
  shortHash,
  unseal,
  voterKeyOf,
} from "./keys.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const MASTER = new Uint8Array(32).map((_, i) => i);
const PURPOSES: Record<KeyPurpose, true> = {
  "device": true,
  "device-proof": true,
  "gateway": true,
  "gateway-sync": true,
  "gateway-disk": true,
  "receipt": true,
  "pseudonym": true,
  "fingerprint": true,
  "sealing": true,
  "manifest": true,
  "answers": true,
  "token-signing": true,
  "office-token": true,
  "office-audit": true,
  "profile": true,
  "profile-lookup": true,
  "roll-import": true,
  "record": true,
};

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const messages = fc.uint8Array({ maxLength: 300 });

/** A key of at most 32 bytes as the 32 that mean the same to HMAC, which fills keys up with zeros. */
function padded(key: Uint8Array): Uint8Array {
  const all = new Uint8Array(32);
  all.set(key);
  return all;
}

// RFC 4231, sections 4.2 to 4.5: its keys that are not longer than 32 bytes.
for (
  const [section, key, data, mac] of [
    [
      "4.2",
      "0b".repeat(20),
      "4869205468657265",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ],
    [
      "4.3",
      "4a656665",
      "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ],
    [
      "4.4",
      "aa".repeat(20),
      "dd".repeat(50),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ],
    [
      "4.5",
      "0102030405060708090a0b0c0d0e0f10111213141516171819",
      "cd".repeat(50),
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ],
  ]
) {
  Deno.test(`hmac() gives RFC 4231's answer of section ${section}`, () => {
    assert.equal(hmac(padded(fromHex(key)), fromHex(data)).toHex(), mac);
  });
}

Deno.test("hmac() is node:crypto's HMAC-SHA256", () => {
  fc.assert(
    fc.property(bytes32, messages, (key, message) => {
      assert.equal(hmac(key, message).toHex(), createHmac("sha256", key).update(message).digest("hex"));
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("hmac() is the same however often a key is used, and however long the messages are", () => {
  const key = crypto.getRandomValues(new Uint8Array(32));
  for (const length of [0, 1, 63, 64, 65, 1_000, 32 * 1_024, 32 * 1_024 + 1, 100_000, 5]) {
    const message = new Uint8Array(length).map((_, i) => i);
    const expected = createHmac("sha256", key).update(message).digest("hex");
    for (let n = 0; n < 3; n++) assert.equal(hmac(key, message).toHex(), expected, `${length} bytes`);
  }
  const huge = new Uint8Array(40_000_000); // More than libsodium's memory holds at first.
  assert.equal(hmac(key, huge).toHex(), createHmac("sha256", key).update(huge).digest("hex"));
});

Deno.test("hmacOfText() is hmac() of the text's UTF-8, however often a key is used, and however long the texts are", () => {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const texts = [
    "",
    "a",
    "é€😀",
    "\ud800",
    "a".repeat(40_000),
    "€".repeat(43_690),
    "€".repeat(43_691),
    "é".repeat(90_000),
  ];
  for (const text of [...texts, ...texts]) {
    const expected = createHmac("sha256", key).update(utf8(text)).digest("hex");
    assert.equal(hmacOfText(key, text).toHex(), expected, `${text.length} units`);
  }
  assert.throws(() => hmacOfText(new Uint8Array(31), "a"));
});

Deno.test("hmac() takes a key that was written over for the key that it is now", () => {
  const key = new Uint8Array(32);
  for (let n = 0; n < 5; n++) {
    key[31] = n >> 1;
    const expected = createHmac("sha256", key).update("a").digest("hex");
    for (let again = 0; again < 3; again++) assert.equal(hmac(key, utf8("a")).toHex(), expected);
  }
});

Deno.test("hmac() keeps keys apart that are used in turn", () => {
  const keys = Array.from({ length: 20 }, () => crypto.getRandomValues(new Uint8Array(32)));
  for (let n = 0; n < 3; n++) {
    for (const key of keys) {
      assert.equal(
        hmac(key, utf8("a message")).toHex(),
        createHmac("sha256", key).update("a message").digest("hex"),
      );
    }
  }
});

Deno.test("hmac() refuses a key of another length", () => {
  assert.throws(() => hmac(new Uint8Array(31), utf8("a")));
  assert.throws(() => hmac(new Uint8Array(64), utf8("a")));
});

// FIPS 180-4's examples.
for (
  const [text, digest] of [
    ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    [
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ],
  ]
) {
  Deno.test(`sha256() gives FIPS 180-4's digest of "${text}"`, () => {
    assert.equal(sha256(utf8(text)).toHex(), digest);
  });
}

Deno.test("sha256() and shortHash() are libsodium's, however long the message is", () => {
  const key = new Uint8Array(16).map((_, i) => i);
  for (const length of [0, 1, 55, 56, 64, 1_000, 128 * 1024]) {
    const message = new Uint8Array(length).map((_, i) => i * 7);
    assert.deepEqual(sha256(message), sodium.crypto_hash_sha256(message), `${length} bytes`);
    const parts = [message.subarray(0, length >> 1), message.subarray(length >> 1)];
    assert.deepEqual(
      shortHash(key, ...parts),
      sodium.crypto_shorthash_siphashx24(message, key),
      `${length} bytes`,
    );
  }
  const long = new Uint8Array(128 * 1024 + 1);
  assert.deepEqual(sha256(long), sodium.crypto_hash_sha256(long));
  assert.throws(() => shortHash(key, long), RangeError);
  assert.throws(() => shortHash(new Uint8Array(32), key), RangeError);
});

/** RFC 5869 in terms of `hmac`, for up to 64 bytes: deriveKey() is compared with it, and it is compared with the RFC's vectors. */
function hkdf(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, lengthBytes: number): Uint8Array {
  const pseudorandom = hmac(padded(salt.length > 64 ? sha256(salt) : salt), secret);
  const first = hmac(pseudorandom, new Uint8Array([...info, 1]));
  const second = hmac(pseudorandom, new Uint8Array([...first, ...info, 2]));
  const third = hmac(pseudorandom, new Uint8Array([...second, ...info, 3]));
  return new Uint8Array([...first, ...second, ...third]).subarray(0, lengthBytes);
}

function range(from: number, to: number): Uint8Array {
  return new Uint8Array(to - from + 1).map((_, i) => from + i);
}

// RFC 5869, appendix A.1 to A.3.
for (
  const [test, secret, salt, info, key] of [
    [
      "A.1",
      new Uint8Array(22).fill(0x0b),
      range(0x00, 0x0c),
      range(0xf0, 0xf9),
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ],
    [
      "A.2",
      range(0x00, 0x4f),
      range(0x60, 0xaf),
      range(0xb0, 0xff),
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09" +
      "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ],
    [
      "A.3",
      new Uint8Array(22).fill(0x0b),
      new Uint8Array(0),
      new Uint8Array(0),
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ],
  ] as const
) {
  Deno.test(`hkdf() of this test gives RFC 5869's key of ${test}`, () => {
    assert.equal(hkdf(secret, salt, info, key.length / 2).toHex(), key);
  });
}

Deno.test("deriveKey() is RFC 5869 without a salt over a length-prefixed info", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 80 }),
      fc.array(fc.oneof(fc.string(), messages), { maxLength: 4 }),
      (secret, context) => {
        const info = lengthPrefixed("pollwire/2", "device", ...context);
        assert.deepEqual(deriveKey(secret, "device", ...context), hkdf(secret, new Uint8Array(0), info, 32));
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("deriveKey() gives every purpose a key of its own", () => {
  const purposes = Object.keys(PURPOSES) as KeyPurpose[];
  assert.equal(
    new Set(purposes.map((purpose) => deriveKey(MASTER, purpose, "a").toHex())).size,
    purposes.length,
  );
});

// Computed with Python's hmac and with PyNaCl. A change here is a change of every key there is.
Deno.test("the keys of an election are what another implementation derives", () => {
  const gateway = gatewayKey(MASTER, { election: "ri-2020", id: "gateway-1", version: 1 });
  const pseudonym = pseudonymKey(MASTER, "ri-2020");
  const aggregator = sealingKeyPair(MASTER, "ri-2020");
  assert.equal(
    deviceKey(MASTER, { election: "ri-2020", id: "station-12-a", version: 1 }).toHex(),
    "0a177c6e3603ec859f79df42bfc2d968925846775900574144d1c773884b6a18",
  );
  assert.equal(
    proofKey(MASTER, { election: "ri-2020", id: "station-12-a", version: 1 }).toHex(),
    "9e9cf711756a82d2bc319f6f8d58d3e4a11b267000ac3d5c570136a0ab7fedb1",
  );
  assert.equal(gateway.toHex(), "ee4ce006eb9c57f55f439dea1aa1c7148957477003513a988f9d2df300bed7d3");
  assert.equal(pseudonym.toHex(), "4045742a8b07d0e980beb14a2132e1aef632e2653036ed6d6e4f6b1a70235a84");
  assert.equal(
    voterKeyOf(pseudonym, "RI-0001234").toHex(),
    "936efe6455d8e65269df030e4cac6efc1acf770849e5b9aafd44df94ca19ae5e",
  );
  assert.equal(
    aggregator.publicKey.toHex(),
    "727467bd214ba7618a31af3229cba4f81df047f57e9642fef737060d33e6546b",
  );
  assert.equal(
    manifestKeyPair(MASTER, "ri-2020").publicKey.toHex(),
    "7831eaafe60aa804b05e1076bd18ea060fd979e14002054e42bb023e025d4270",
  );
  assert.equal(
    answerKeyPair(MASTER, "ri-2020").publicKey.toHex(),
    "7276d43c4d428e5f4ddecf42791d9952481d8451cf7ebfce1c94563a442ec474",
  );
});

Deno.test("recordKey() is what another implementation agrees on", () => {
  const aggregator = sealingKeyPair(MASTER, "ri-2020");
  const own = range(100, 131);
  // PyNaCl's crypto_scalarmult_base(own).
  const senderKey = fromHex("7d9c24316539825c1896e57f28197746793ce60cbee3ad47da9d07b85fa55e2a");
  assert.equal(
    recordKey(own, aggregator.publicKey, "ri-2020", senderKey, aggregator.publicKey).toHex(),
    "608a51d5b8b4718928f634ffb02d4c9cb9f3718916a59321c21f418653e546f7",
  );
});

Deno.test("device, proof and gateway keys depend on election, id and version", () => {
  const name = { election: "a", id: "b", version: 1 };
  const others = [{ ...name, election: "c" }, { ...name, id: "c" }, { ...name, version: 2 }];
  const keys = [name, ...others].flatMap((each) =>
    [deviceKey, proofKey, gatewayKey].map((keyOf) => keyOf(MASTER, each))
  );
  assert.equal(new Set(keys.map((key) => key.toHex())).size, 12);
});

Deno.test("recordKey() is the same at both ends, and another for another election or sender", () => {
  const aggregator = sealingKeyPair(MASTER, "a");
  const own = ephemeralKeyPair();
  const sealing = recordKey(own.privateKey, aggregator.publicKey, "a", own.publicKey, aggregator.publicKey);
  assert.deepEqual(
    recordKey(aggregator.privateKey, own.publicKey, "a", own.publicKey, aggregator.publicKey),
    sealing,
  );
  assert.notDeepEqual(
    recordKey(aggregator.privateKey, own.publicKey, "b", own.publicKey, aggregator.publicKey),
    sealing,
  );
  const other = ephemeralKeyPair();
  assert.notDeepEqual(
    recordKey(aggregator.privateKey, other.publicKey, "a", other.publicKey, aggregator.publicKey),
    sealing,
  );
});

// Points of low order, as RFC 7748 section 6.1 warns of: the agreed key would be known to all.
for (
  const point of [
    "00".repeat(32),
    "01" + "00".repeat(31),
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ]
) {
  Deno.test(`recordKey() throws on the point ${point.slice(0, 8)}… of low order`, () => {
    const { privateKey, publicKey } = sealingKeyPair(MASTER, "a");
    assert.throws(() => recordKey(privateKey, fromHex(point), "a", fromHex(point), publicKey));
  });
}

Deno.test("ephemeralKeyPair() makes another pair each time", () => {
  assert.notDeepEqual(ephemeralKeyPair().privateKey, ephemeralKeyPair().privateKey);
});

const nameParts = fc.record({
  election: fc.stringMatching(/^[a-z0-9-]{1,64}$/),
  id: fc.stringMatching(/^[a-z0-9-]{1,64}$/),
  version: fc.integer({ min: 1, max: 999_999 }),
}, { noNullPrototype: true });

Deno.test("parseKeyName() reads what formatKeyName() wrote", () => {
  fc.assert(
    fc.property(nameParts, (name) => assert.deepEqual(parseKeyName(formatKeyName(name)), name)),
    { numRuns: 1_000 },
  );
  assert.equal(
    formatKeyName({ election: "ri-2020", id: "station-12-a", version: 1 }),
    "ri-2020/station-12-a.1",
  );
});

for (
  const text of [
    "",
    "a/b",
    "a/b.",
    "a/b.0",
    "a/b.01",
    "a/b.1 ",
    " a/b.1",
    "a/b.1\n",
    "a/b.-1",
    "a/b.1e3",
    "a/b.1000000",
    "a/b/c.1",
    "/b.1",
    "a/.1",
    "A/b.1",
    "a/b.c.1",
    `${"a".repeat(65)}/b.1`,
    "ä/b.1",
  ]
) {
  Deno.test(`parseKeyName() refuses ${JSON.stringify(text)}`, () => {
    assert.equal(parseKeyName(text), undefined);
  });
}

Deno.test("voterKeyOf() tells voters and elections apart", () => {
  const a = pseudonymKey(MASTER, "a");
  const keys = [voterKeyOf(a, "1"), voterKeyOf(a, "2"), voterKeyOf(pseudonymKey(MASTER, "b"), "1")];
  assert.equal(new Set(keys.map((key) => key.toHex())).size, 3);
});

// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
Deno.test("unseal() opens the XChaCha20-Poly1305 draft's example", () => {
  const key = range(0x80, 0x9f);
  const nonce = range(0x40, 0x57).toHex();
  const sealed = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb" +
    "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452" +
    "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9" +
    "21f9664c97637da9768812f615c68b13b52e";
  const tag = "c0875924c1c7987947deafd8780acf49";
  const text = unseal(key, fromHex(nonce + sealed + tag), fromHex("50515253c0c1c2c3c4c5c6c7"));
  assert.equal(
    new TextDecoder().decode(text),
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
});

Deno.test("unseal() opens what seal() sealed", () => {
  fc.assert(
    fc.property(bytes32, messages, messages, (key, text, context) => {
      const sealed = seal(key, text, context);
      assert.equal(sealed.length, text.length + SEAL_OVERHEAD_BYTES);
      assert.deepEqual(unseal(key, sealed, context), text);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("seal() and unseal() agree with libsodium's own functions at every size", () => {
  const key = crypto.getRandomValues(new Uint8Array(32));
  for (const [text, context] of [[0, 0], [1, 100], [128 * 1024, 1_024], [128 * 1024 + 1, 0], [10, 1_025]]) {
    const texts = new Uint8Array(text!).map((_, i) => i % 251);
    const contexts = new Uint8Array(context!).fill(7);
    const sealed = seal(key, texts, contexts);
    const [nonce, rest] = [sealed.slice(0, 24), sealed.slice(24)];
    const aead = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(texts, contexts, null, nonce, key);
    assert.ok(equalBytes(rest, aead));
    assert.ok(equalBytes(unseal(key, sealed, contexts)!, texts));
    assert.notDeepEqual(seal(key, texts, contexts).slice(0, 24), nonce, "every nonce is new");
    sealed[sealed.length - 1]! ^= 1;
    assert.equal(unseal(key, sealed, contexts), undefined);
  }
});

Deno.test("unseal() refuses any flipped bit of sealed text, key or context", () => {
  fc.assert(
    fc.property(
      bytes32,
      messages,
      bytes32,
      fc.nat(),
      fc.nat({ max: 2 }),
      (key, text, context, bit, which) => {
        const parts = [seal(key, text, context), key.slice(), context.slice()];
        const part = parts[which];
        part[(bit >> 3) % part.length] ^= 1 << (bit & 7);
        assert.equal(unseal(parts[1], parts[0], parts[2]), undefined);
      },
    ),
    { numRuns: 1_000 },
  );
});

Deno.test("unseal() refuses what is too short to be sealed", () => {
  for (let length = 0; length < SEAL_OVERHEAD_BYTES; length++) {
    assert.equal(unseal(MASTER, new Uint8Array(length), new Uint8Array(0)), undefined);
  }
});

Deno.test("seal() never gives the same bytes twice", () => {
  const sealed = Array.from({ length: 1_000 }, () => seal(MASTER, utf8("a"), new Uint8Array(0)));
  assert.equal(new Set(sealed.map((each) => each.subarray(0, 24).toHex())).size, 1_000);
});
