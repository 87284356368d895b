/**
 * Changes the judge, the record and the fold, one rule at a time, and counts the log of docs/vectors.json with each: every
 * change must be found. So a program that agrees with the vectors has all of these rules.
 */
import assert from "assert";
import type { countLog, keptHistory } from "./kept_history.ts";
import { withDirectory } from "./directory.ts";
import { readVectors, storedEntry } from "./vectors/schema.ts";
import { outcomeName } from "../shared/outcome.ts";
import { fromHex } from "../shared/bytes.ts";
import { sealingKeyPair } from "../shared/keys.ts";
import { MASTER } from "./fixture.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Rules by the file that has them: what stands there, and what stands in its place. */
const MUTANTS: Record<string, [string, string][]> = {
  "judge.ts": [
    ["MANIFEST_OVERLAP_MS = 60_000", "MANIFEST_OVERLAP_MS = 60_001"],
    ["MANIFEST_OVERLAP_MS = 60_000", "MANIFEST_OVERLAP_MS = 59_999"],
    ["name.election !== history.election", "false"],
    ["!equalBytes(entrySignature(signing.key, context, stored.value), stored.signature)", "false"],
    [`if (stored.kind === "statement")`, `if (stored.kind !== "vote " && stored.kind.length > 9)`],
    ["sequence: stored.sequence + index", "sequence: stored.sequence"],
    ["statement.records !== sequence", "false"],
    ["device === undefined ||\n", "device === undefined || false &&\n"],
    ["partitionOf(voterKey, history.partitions) !== stored.partition", "false"],
    ["index.manifest.version === content.manifestVersion", "true"],
    [
      "index.manifest.version === content.manifestVersion",
      "index.manifest.version >= content.manifestVersion",
    ],
    [
      `signing.isRevoked ? "gateway_revoked" : device.isRevoked ? "device_revoked" : waits`,
      `device.isRevoked ? "device_revoked" : signing.isRevoked ? "gateway_revoked" : waits`,
    ],
    [
      `signing.isRevoked ? "gateway_revoked" : device.isRevoked ? "device_revoked" : waits`,
      `waits ?? (signing.isRevoked ? "gateway_revoked" : device.isRevoked ? "device_revoked" : undefined)`,
    ],
    [`timed.isHeldMode ? "mode" : timed.held`, `timed.held ?? (timed.isHeldMode ? "mode" : undefined)`],
    [`timed.isHeldMode ? "mode" : timed.held`, "timed.held"],
    ["heldModes?.includes(record.mode) ?? false", "heldModes !== undefined"],
    [`signing.isRevoked ? "gateway_revoked" : `, ""],
    [`device.isRevoked ? "device_revoked" : `, ""],
    ["aheadMs > MAX_CLOCK_SKEW_MS", "aheadMs >= MAX_CLOCK_SKEW_MS"],
    ["aheadMs > MAX_CLOCK_SKEW_MS", "false"],
    ["isAhead ? Math.max(0, appendedAtMs) : acceptedAtMs", "acceptedAtMs"],
    ["const dated = isAhead ?", "const dated = false ?"],
    [
      "checkTime(manifest.index, record, atMs)?.reason ?? checkPlace(manifest, record, gateway, deviceStation)",
      "checkPlace(manifest, record, gateway, deviceStation) ?? checkTime(manifest.index, record, atMs)?.reason",
    ],
    ["const legal = inForce.find(", "const legal = inForce.slice(0, 1).find("],
    ["if (placed === undefined) return", "if (false) return"],
    ["  if (isAhead) {", "  if (false) {"],
    [`if (superseded !== undefined) return`, "if (false) return"],
    ["manifests[current]!.effectiveAtMs > atMs", "manifests[current]!.effectiveAtMs >= atMs"],
    ["endsMs(first - 1) > atMs - MANIFEST_OVERLAP_MS", "false"],
    ["endsMs(first - 1) > atMs - MANIFEST_OVERLAP_MS", "endsMs(first - 1) >= atMs - MANIFEST_OVERLAP_MS"],
    ["endsMs(last) < atMs + MANIFEST_OVERLAP_MS", "false"],
    ["endsMs(last) < atMs + MANIFEST_OVERLAP_MS", "endsMs(last) <= atMs + MANIFEST_OVERLAP_MS"],
    ["if (deviceStation !== record.station)", "if (false)"],
    ["index.gateways.get(gateway)?.has(record.station) ?", "true ?"],
    [
      "const view = history.at(stored.partition, stored.offset);",
      "const view = history.at(stored.partition, 1e9);",
    ],
    [`if (certified) return reject("after_certification", timed.record);\n`, ""],
    [`if (inactive === "cancelled") return reject("not_open", timed.record);\n`, ""],
    [
      `  if (certified) return reject("after_certification", timed.record);
  if (inactive === "cancelled") return reject("not_open", timed.record);\n`,
      `  if (inactive === "cancelled") return reject("not_open", timed.record);
  if (certified) return reject("after_certification", timed.record);\n`,
    ],
    ["view.manifests.slice(0, view.manifests.indexOf(manifest))", "[]"],
  ],
  "marks.ts": [
    ["index.closesAtMs < castAtMs", "index.closesAtMs <= castAtMs"],
    ["if (isExtended) marks.push", "if (false) marks.push"],
    ["left < allowed; left++", "left < allowed - chosen; left++"],
    ["if (chosen === 0) marks.push", "if (false) marks.push"],
  ],
  "record.ts": [
    ["version !== RECORD_VERSION || ", ""],
    ["signature.length !== KEY_BYTES", "false"],
    ["sequence > MAX_SEQUENCE", "false"],
    ["sequence < 1", "sequence < 0"],
    [`bytes === STATEMENT_BYTES ? 1`, "bytes >= STATEMENT_BYTES ? 1"],
    ["!Number.isInteger(records) || ", ""],
    ["acceptedAtMs > MAX_INSTANT_MS) return", "false) return"],
    ["view.getUint8(0) !== CREDENTIAL_VOTER_ID || ", ""],
    [" || view.getUint8(1) !== SCHEME_HMAC_SHA256", ""],
    ["voteLength > bytes.length - RECORD_OVERHEAD_BYTES", "false"],
    ["if (bytes[at] !== 0) return undefined", ""],
    [`statement: "pollwire/2 statement"`, `statement: "pollwire/2 record"`],
    ["    sequenceBytes(head.sequence),\n", ""],
    ["    head.senderKey,\n", ""],
  ],
  "proof.ts": [
    ["lengthPrefixed(PROOF_DOMAIN, election, name)", "lengthPrefixed(PROOF_DOMAIN, name)"],
    ["equalBytes(proofOf(key, election, name, vote), proof)", "true"],
  ],
  "vote.ts": [
    ["MAX_CLOCK_SKEW_MS = 300_000", "MAX_CLOCK_SKEW_MS = 300_001"],
    ["MAX_CLOCK_SKEW_MS = 300_000", "MAX_CLOCK_SKEW_MS = 299_999"],
    ["atMs < election.opensAtMs || ", "atMs <= election.opensAtMs || "],
    ["atMs < election.opensAtMs || ", ""],
    ["atMs > election.acceptsUntilMs", "atMs >= election.acceptsUntilMs"],
    ["castAtMs < election.opensAtMs", "castAtMs <= election.opensAtMs"],
    ["castAtMs > election.closesAtMs", "castAtMs >= election.closesAtMs"],
    ["castAtMs > atMs + MAX_CLOCK_SKEW_MS", "false"],
    ["atMs <= closesAtMs", "atMs < closesAtMs"],
    ["&& atMs <= closesAtMs", ""],
    [`paused === "all" || `, ""],
    ["|| paused.has(station)", ""],
    [`if (inactive !== undefined) return`, `if (inactive === "cancelled") return`],
    ["contestsHere.has(id) ?", "true ?"],
    ["if (!contest.candidates.has(candidate))", "if (false)"],
    ["if (picked.has(candidate))", "if (false)"],
    ["picked.size > contest.votesAllowed", "picked.size >= contest.votesAllowed && contest.votesAllowed > 1"],
  ],
  "json.ts": [["countColons(text) !== countKeys(value)", "false"]],
  "tally.ts": [
    [`if (entry === undefined) return "unknown_voter"`, `if (entry === undefined) return undefined`],
    ["entry.station === record.station ?", "true ?"],
    ["if (entry.station !== null) return", "if (entry.station !== null && entry.region === region) return"],
    ["return entry.region === region ?", "return true ?"],
    ["if (entry.revision > revision) continue", ""],
    ["struckRevision <= revision && atMs >= struckAtMs!", "struckRevision <= revision"],
    ["struckRevision <= revision && atMs >= struckAtMs!", "atMs > struckAtMs!"],
    ["const isStruck = struckRevision !== null && ", "const isStruck = false && "],
    ["const again = first.voteId === record.voteId", "const again = true"],
    ["altered: again && first.contents !== contentsOf(record)", "altered: false"],
    [
      `  if (refusal !== undefined) return { outcome: { fate: "rejected", reason: refusal }, altered: false };\n`,
      `  if (refusal !== undefined && judgement.fate !== "held") {
    return { outcome: { fate: "rejected", reason: refusal }, altered: false };
  }\n`,
    ],
    ["participations.set(record.voterKey,", "new Map().set(record.voterKey,"],
    [`add(count.outcomes, outcomeName(before), -1);`, ""],
    [
      `decided === "readmit" ? rejected : { fate: "held", reason: held.reason }`,
      `{ fate: "held", reason: held.reason }`,
    ],
    [`if (decided === "reject") {`, "if (false) {"],
  ],
};

const { vectors: { log } } = await readVectors();
const entries = log.entries.map(storedEntry);
const FILES = new URL("..", import.meta.url);

/** Counts the vectors' log with a copy of the code in which one rule is another; what became of each record. */
async function countWith(file?: string, original = "", mutation = ""): Promise<string> {
  return await withDirectory(async (directory) => {
    for (const folder of ["shared", "shared/log", "tests"]) {
      await Deno.mkdir(`${directory}/${folder}`);
      for await (const { name, isFile } of Deno.readDir(new URL(folder, FILES))) {
        if (!isFile || !name.endsWith(".ts") || name.endsWith("_test.ts")) continue;
        if (folder === "tests" && name !== "kept_history.ts") continue;
        const text = await Deno.readTextFile(new URL(`${folder}/${name}`, FILES));
        const changed = folder === "shared" && name === file ? text.replace(original, () => mutation) : text;
        await Deno.writeTextFile(`${directory}/${folder}/${name}`, changed);
      }
    }
    const module: { countLog: typeof countLog; keptHistory: typeof keptHistory } = await import(
      `file://${directory}/tests/kept_history.ts`
    );
    const history = module.keptHistory({
      election: log.election,
      partitions: log.partitions,
      voteBytes: log.voteBytes,
      pseudonymKey: fromHex(log.pseudonymKey),
      aggregator: sealingKeyPair(MASTER, log.election),
    }, log.changes);
    const { count, fates } = module.countLog(history, log.changes, entries);
    const records = [...fates].map(([position, { judgement, counted, decided }]) => [
      position,
      outcomeName(counted.outcome),
      counted.altered,
      "sequence" in judgement && judgement.sequence,
      "clockAheadMs" in judgement && judgement.clockAheadMs,
      decided && outcomeName(decided.outcome),
    ]);
    return JSON.stringify([
      records.toSorted(),
      [...count.outcomes].toSorted(),
      [...count.turnout].toSorted(),
      [...count.votes].toSorted(),
    ]);
  });
}

/** What the code comes to as it is. */
const right = await countWith();

Deno.test("a copy of the code in which nothing was changed comes to what the vectors say", async () => {
  const [records, outcomes, turnout] = JSON.parse(right);
  const expected = log.entries.flatMap(({ partition, offset, expected }) =>
    expected.map((record, index) => [
      `${partition}/${offset}/${index}`,
      record.outcome,
      record.altered ?? false,
      record.sequence ?? false,
      record.clockAheadMs ?? false,
      record.decided ?? null,
    ])
  );
  assert.deepEqual(records, expected.toSorted());
  assert.deepEqual(Object.fromEntries(outcomes), log.count.outcomes);
  assert.deepEqual(Object.fromEntries(turnout), log.count.turnout);
});

for (const [file, mutants] of Object.entries(MUTANTS)) {
  for (const [original, mutation] of mutants) {
    const [before, after] = [original, mutation].map((text) => text.trim().replaceAll(/\s+/g, " "));
    Deno.test(`the vectors find ${before} changed to ${after || "nothing"} in shared/${file}`, async () => {
      const text = await Deno.readTextFile(new URL(`shared/${file}`, FILES));
      assert.equal(text.split(original).length, 2, "the rule stands there once");
      const found = await countWith(file, original, mutation).catch((error) => error);
      assert.ok(!(found instanceof SyntaxError), `the change is no program: ${found}`);
      assert.notEqual(found, right);
    });
  }
}
