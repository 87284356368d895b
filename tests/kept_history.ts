/**
 * Kept history out of a list of changes, as docs/vectors.json has it, and the count of a log by it: no database, no
 * cache, each change at its positions.
 *
 * @module
 */
import { z } from "zod";
import { fromHex } from "../shared/bytes.ts";
import { formatPosition, type HeldRecord, selectorSchema, selects } from "../shared/decision.ts";
import { idSchema, indexElection, instantSchema, manifestSchema } from "../shared/election.ts";
import type { EffectiveManifest, ElectionHistory, HistoryKey, HistoryView } from "../shared/history.ts";
import { judge, type Judgement } from "../shared/judge.ts";
import { type KeyPair, recordKey } from "../shared/keys.ts";
import type { StoredRecord } from "../shared/log/vote_log.ts";
import {
  type Count,
  countDecision,
  type Counted,
  countRecord,
  emptyCount,
  type Participations,
  type RollEntry,
} from "../shared/tally.ts";

const hexKeySchema = z.string().regex(/^[0-9a-f]{64}$/);
const versionSchema = z.int().min(1);

/** What changes: one change is one revision, the first is revision 1. */
const changeShapes = [
  z.strictObject({ kind: z.literal("manifest"), effectiveAt: instantSchema, manifest: manifestSchema }),
  z.strictObject({
    kind: z.literal("gateway_key"),
    gateway: idSchema,
    version: versionSchema,
    key: hexKeySchema,
  }),
  z.strictObject({ kind: z.literal("gateway_revoked"), gateway: idSchema, version: versionSchema }),
  z.strictObject({
    kind: z.literal("device_key"),
    device: idSchema,
    version: versionSchema,
    station: idSchema,
    key: hexKeySchema,
  }),
  z.strictObject({ kind: z.literal("device_revoked"), device: idSchema, version: versionSchema }),
  z.strictObject({
    kind: z.literal("roll"),
    add: z.array(z.strictObject({
      voterKey: hexKeySchema,
      region: idSchema,
      station: idSchema.nullable(),
      ageGroup: z.string(),
      gender: z.string(),
    })),
    strike: z.array(z.strictObject({ voterKey: hexKeySchema, at: instantSchema })),
  }),
  z.strictObject({
    kind: z.literal("decision"),
    action: z.enum(["admit", "reject", "defer", "readmit"]),
    selector: selectorSchema,
  }),
] as const;

/** A change, and the first offset of each partition to which it applies. */
export const changeSchema = z.strictObject({
  from: z.array(z.int().min(0)),
  change: z.discriminatedUnion("kind", changeShapes),
});
export type KeptChange = z.infer<typeof changeSchema>;

/** What an election's history stands on, besides its changes. */
export type HistoryBasis = Readonly<{
  election: string;
  partitions: number;
  voteBytes: number;
  pseudonymKey: Uint8Array;
  aggregator: KeyPair;
}>;

/** The history that a list of changes amounts to. */
export function keptHistory(basis: HistoryBasis, changes: readonly KeptChange[]): ElectionHistory {
  const { election, aggregator } = basis;
  const views = new Map<number, HistoryView>();
  return {
    ...basis,
    at(partition, offset) {
      const revision = changes.findLastIndex(({ from }) => (from[partition] ?? 0) <= offset) + 1;
      let view = views.get(revision);
      if (view === undefined) views.set(revision, view = viewOf(revision, changes.slice(0, revision)));
      return view;
    },
    sealingKey(senderKey) {
      try {
        return recordKey(aggregator.privateKey, senderKey, election, senderKey, aggregator.publicKey);
      } catch {
        return undefined;
      }
    },
  };
}

function viewOf(revision: number, changes: readonly KeptChange[]): HistoryView {
  const manifests: EffectiveManifest[] = [];
  const gateways = new Map<string, HistoryKey>();
  const devices = new Map<string, HistoryKey & { station: string }>();
  const revoke = <Key extends HistoryKey>(keys: Map<string, Key>, name: string) =>
    keys.set(name, { ...keys.get(name)!, isRevoked: true });
  for (const { change } of changes) {
    if (change.kind === "manifest") {
      const { effectiveAt, manifest } = change;
      manifests.push({ effectiveAtMs: Date.parse(effectiveAt), index: indexElection(manifest) });
    } else if (change.kind === "gateway_key") {
      gateways.set(`${change.gateway}.${change.version}`, { key: fromHex(change.key), isRevoked: false });
    } else if (change.kind === "gateway_revoked") revoke(gateways, `${change.gateway}.${change.version}`);
    else if (change.kind === "device_key") {
      const { device, version, station, key } = change;
      devices.set(`${device}.${version}`, { key: fromHex(key), station, isRevoked: false });
    } else if (change.kind === "device_revoked") revoke(devices, `${change.device}.${change.version}`);
  }
  return {
    revision,
    manifests,
    gatewayKey: ({ id, version }) => gateways.get(`${id}.${version}`),
    deviceKey: (device, version) => devices.get(`${device}.${version}`),
  };
}

/** The roll that a list of changes amounts to. */
export function keptRoll(changes: readonly KeptChange[]): RollEntry[] {
  const entries: RollEntry[] = [];
  changes.forEach(({ change }, index) => {
    if (change.kind !== "roll") return;
    for (const { voterKey, at } of change.strike) {
      const open = entries.findLastIndex((each) => each.voterKey === voterKey);
      entries[open] = { ...entries[open], struckRevision: index + 1, struckAtMs: Date.parse(at) };
    }
    for (const entry of change.add) {
      entries.push({ ...entry, revision: index + 1, struckRevision: null, struckAtMs: null });
    }
  });
  return entries;
}

/** What became of one record. `decided` is what a decision made of a held one. */
export type Fated = Readonly<{ judgement: Judgement; counted: Counted; decided?: Counted }>;

/** Counts a log: entries of a partition in order, decisions at their positions. Keys are `partition/offset/index`. */
export function countLog(
  history: ElectionHistory,
  changes: readonly KeptChange[],
  log: readonly StoredRecord[],
): { count: Count; fates: Map<string, Fated> } {
  const entries = Map.groupBy(keptRoll(changes), ({ voterKey }) => voterKey);
  const roll = (voterKey: string) => entries.get(voterKey) ?? [];
  const count = emptyCount();
  const fates = new Map<string, Fated>();
  for (let partition = 0; partition < history.partitions; partition++) {
    const participations: Participations = new Map();
    const held: { record: HeldRecord; judgement: Judgement & { fate: "held" } }[] = [];
    const rejected: typeof held = [];
    const decisions = changes.flatMap(({ from, change }) =>
      change.kind === "decision" ? [{ from: from[partition], change }] : []
    );
    const decideUpTo = (offset: number) => {
      while (decisions.length > 0 && decisions[0].from <= offset) {
        const { action, selector } = decisions.shift()!.change;
        if (action === "defer") continue;
        const isMeant = selects(selector);
        const from = action === "readmit" ? rejected : held;
        const meant = from.filter(({ record }) => isMeant(record))
          .sort(({ record: a }, { record: b }) => a.offset - b.offset || a.index - b.index);
        for (const each of meant) {
          const { record, judgement } = each;
          from.splice(from.indexOf(each), 1);
          if (action === "reject") rejected.push(each);
          const decided = countDecision(count, participations, judgement, action, roll);
          const position = formatPosition(record);
          fates.set(position, { ...fates.get(position)!, decided });
        }
      }
    };
    for (const entry of log.filter((each) => each.partition === partition)) {
      const { offset } = entry;
      decideUpTo(offset);
      judge(entry, history).forEach((judgement, index) => {
        const place = { partition, offset, index };
        const counted = countRecord(count, participations, judgement, roll);
        fates.set(formatPosition(place), { judgement, counted });
        if (counted.outcome.fate !== "held" || judgement.fate !== "held") return;
        const { reason, gateway, record: { acceptedAt } } = judgement;
        const senderKey = entry.senderKey.toHex();
        const acceptedAtMs = Date.parse(acceptedAt);
        held.push({ record: { ...place, reason, gateway, senderKey, acceptedAtMs }, judgement });
      });
    }
    decideUpTo(Infinity);
  }
  return { count, fates };
}
