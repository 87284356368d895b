/**
 * Records of one partition with their judgements: what an entry of the log amounts to before it is counted.
 *
 * @module
 */
import type { ElectionHistory } from "../../shared/history.ts";
import { judge, type Judgement } from "../../shared/judge.ts";
import type { StoredRecord } from "../../shared/log/vote_log.ts";
import { type Layout, layoutOf } from "./layouts.ts";

/**
 * One record of an entry. `keepsDetails`: whether its position is listed if it is rejected. `layout`: of its votes' array;
 * acceptable and held ones have it.
 */
export type JudgedRecord = Readonly<{
  offset: number;
  index: number;
  appendedAtMs: number;
  senderKey: Uint8Array;
  judgement: Judgement;
  keepsDetails: boolean;
  layout?: Layout;
}>;

/** Maximum records that no gateway signed whose details are kept, for each partition and reason. */
export const MAX_FORGERY_DETAILS = 1_000;

/** Judges entries, in their order. `keepsDetails` is true: see {@link boundDetails}. */
export function judgeEntries(entries: readonly StoredRecord[], history: ElectionHistory): JudgedRecord[] {
  const records: JudgedRecord[] = [];
  for (const entry of entries) {
    const { offset, appendedAtMs, senderKey } = entry;
    const { manifests } = history.at(entry.partition, offset);
    judge(entry, history).forEach((judgement, index) => {
      const layout = "marks" in judgement ? layoutOf(judgement.marks, manifests) : undefined;
      records.push({ offset, index, appendedAtMs, senderKey, judgement, keepsDetails: true, layout });
    });
  }
  return records;
}

/**
 * Bounds the details of forgeries: a record that a gateway signed is always listed, since its receipt must be answered.
 *
 * @param kept How many are listed so far, by reason; it is counted on.
 */
export function boundDetails(records: readonly JudgedRecord[], kept: Map<string, number>): JudgedRecord[] {
  return records.map((record) => {
    const { judgement } = record;
    if (judgement.fate !== "rejected" || judgement.gateway !== undefined) return record;
    const before = kept.get(judgement.reason) ?? 0;
    if (before >= MAX_FORGERY_DETAILS) return { ...record, keepsDetails: false };
    kept.set(judgement.reason, before + 1);
    return record;
  });
}
