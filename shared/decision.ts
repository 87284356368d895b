/**
 * Officials' decisions about held records. A decision is part of the history: for each partition it stores the offset
 * that was next to read when it was made, so that a recount repeats it at the same point.
 *
 * @module
 */
import { z } from "zod";
import { hexKeySchema, idSchema, instantSchema } from "./election.ts";
import type { Position } from "./history.ts";
import { HELD_REASONS, type HeldReason } from "./outcome.ts";

/**
 * Official acts: admit or reject held records, defer the decision, admit records after all that a decision rejected, or waive a
 * sender key's statement.
 */
export const DECISION_ACTIONS = ["admit", "reject", "defer", "readmit", "waive"] as const;
export type DecisionAction = (typeof DECISION_ACTIONS)[number];

/** Maximum positions in one decision. */
export const MAX_DECISION_POSITIONS = 10_000;

const heldReasons = Object.keys(HELD_REASONS) as [HeldReason, ...HeldReason[]];

/** Held records by their positions. */
export const positionsSchema = z.array(
  z.string().regex(/^\d{1,4}\/\d{1,15}\/\d{1,2}$/, "must be partition/offset/index, like 3/1205/0"),
).min(1).max(MAX_DECISION_POSITIONS);

/** Other properties by which held records can be selected. */
export const SELECTOR_FIELDS = {
  reason: z.enum(heldReasons, { error: `must be one of ${heldReasons.join(", ")}` }).optional(),
  gateway: idSchema.optional(),
  senderKey: hexKeySchema.optional(),
  /** Records whose vote was accepted from this time on, and before `until`. */
  from: instantSchema.optional(),
  until: instantSchema.optional(),
};

/** Whether a selector has any field. */
export function selectsSome(selector: object): boolean {
  return Object.values(selector).some((value) => value !== undefined);
}

/** Selects held records: by position, or all that match every given field. For a waiver: one key, or all of a gateway. */
export const selectorSchema = z.strictObject({ positions: positionsSchema.optional(), ...SELECTOR_FIELDS })
  .refine(
    selectsSome,
    "must say which records are meant: positions, reason, gateway, senderKey, from or until",
  );
export type DecisionSelector = z.infer<typeof selectorSchema>;

/** A decision. `positions[p]`: the next offset to read of partition p. */
export type Decision = Readonly<{
  revision: number;
  action: DecisionAction;
  selector: DecisionSelector;
  positions: readonly number[];
}>;

/** The properties of a held record that a selector uses. `senderKey` is hex. */
export type HeldRecord =
  & Position
  & Readonly<{ reason: HeldReason; gateway: string; senderKey: string; acceptedAtMs: number }>;

/** Writes a position: `partition/offset/index`. */
export function formatPosition({ partition, offset, index }: Position): string {
  return `${partition}/${offset}/${index}`;
}

/** Makes a function that says whether a held record is selected. */
export function selects(selector: DecisionSelector): (held: HeldRecord) => boolean {
  const { reason, gateway, senderKey } = selector;
  const positions = selector.positions && new Set(selector.positions);
  const fromMs = selector.from === undefined ? -Infinity : Date.parse(selector.from);
  const untilMs = selector.until === undefined ? Infinity : Date.parse(selector.until);
  return (held) =>
    (positions === undefined || positions.has(formatPosition(held))) &&
    (reason === undefined || reason === held.reason) &&
    (gateway === undefined || gateway === held.gateway) &&
    (senderKey === undefined || senderKey === held.senderKey) &&
    held.acceptedAtMs >= fromMs && held.acceptedAtMs < untilMs;
}
