import assert from "assert";
import sodium from "libsodium-wrappers-sumo";
import { formatVerifier, openNote, parseVerifier, signNote } from "./note.ts";

/** The key and the note of https://c2sp.org/signed-note, "Example"; also in golang.org/x/mod/sumdb/note. */
const PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NOTE = "If you think cryptography is the answer to your problem,\n" +
  "then you don't know what your problem is.\n\n" +
  "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

Deno.test("openNote() checks a note that another program signed", () => {
  const verifier = parseVerifier(PETER)!;
  assert.match(openNote(NOTE, verifier)!, /your problem is\.\n$/);
  assert.equal(openNote(NOTE.replace("answer", "Answer"), verifier), undefined);
  assert.equal(formatVerifier(verifier), PETER);
});

Deno.test("signNote() signs what openNote() opens, with the same key only", () => {
  const key = { name: "office", ...sodium.crypto_sign_keypair() };
  const note = signNote("one\n\ntwo\n", key);
  assert.equal(openNote(note, key), "one\n\ntwo\n");
  const other = { name: "office", ...sodium.crypto_sign_keypair() };
  assert.equal(openNote(note, other), undefined);
  assert.equal(openNote(note, { ...key, name: "registry" }), undefined);
  assert.deepEqual(parseVerifier(formatVerifier(key)), { name: "office", publicKey: key.publicKey });
  assert.throws(() => signNote("no line break", key), /must end with a line break/);
});

for (const text of ["", "office", "office+c74f20a3+", PETER.replace("c74f", "c74e"), "a b+00000000+AAAA"]) {
  Deno.test(`parseVerifier() refuses ${JSON.stringify(text)}`, () => {
    assert.equal(parseVerifier(text), undefined);
  });
}
