/**
 * `deno task decide`: what officials decide about held records and missing statements, with two names, until the office
 * has an interface of its own.
 *
 * @module
 */
import {
  DECISION_ACTIONS,
  type DecisionAction,
  type DecisionSelector,
  selectorSchema,
} from "../../shared/decision.ts";
import { UsageError } from "../../cli/command.ts";
import type { DecisionRequest } from "../registry/decisions.ts";

/** What was typed. Each action's option takes one or more of POSITION, reason=…, gateway=…, sender-key=…, from=…, until=…. */
export type DecideOptions = Readonly<
  & Partial<Record<DecisionAction, string[]>>
  & { election?: string; reason?: string; by?: string; approvedBy?: string }
>;

/** Fields of a selector, as they are typed. */
const FIELDS: Record<string, keyof DecisionSelector> = {
  "reason": "reason",
  "gateway": "gateway",
  "sender-key": "senderKey",
  "from": "from",
  "until": "until",
};

/** Reads the options. @throws {UsageError} naming what is wrong and what would be right. */
export function readDecideOptions(options: DecideOptions): { election: string; request: DecisionRequest } {
  const { election, reason, by, approvedBy } = options;
  if (election === undefined) throw new UsageError("Cannot decide: --election must name the election");
  if (!reason?.trim()) throw new UsageError("Cannot decide: --reason must say why");
  if (!by?.trim() || !approvedBy?.trim()) {
    throw new UsageError("Cannot decide: --by and --approved-by must name two officials");
  }
  if (by.trim().toLowerCase() === approvedBy.trim().toLowerCase()) {
    throw new UsageError(`Cannot decide: --by and --approved-by must name two officials, and both are ${by}`);
  }
  const actions = DECISION_ACTIONS.filter((action) => options[action] !== undefined);
  if (actions.length !== 1) {
    throw new UsageError("Cannot decide: give one of --admit, --reject, --defer, --readmit and --waive");
  }
  const [action] = actions as [DecisionAction];
  const selector = action === "waive" ? waiverOf(options.waive!) : selectorOf(options[action]!);
  const request = { action, selector, reason, decidedBy: by.trim(), approvedBy: approvedBy.trim() };
  // Which selector belongs to which action is checked when the decision is kept.
  return { election, request: request as DecisionRequest };
}

/** A waiver names one sender key, or all of one gateway. */
function waiverOf(words: readonly string[]): DecisionSelector {
  if (words.length !== 1) {
    throw new UsageError(
      `Cannot decide: --waive takes one sender key (64 hex digits) or one gateway, and got ${words.length}`,
    );
  }
  const [word] = words as [string];
  return parse(/^[0-9a-f]{64}$/.test(word) ? { senderKey: word } : { gateway: word });
}

function selectorOf(words: readonly string[]): DecisionSelector {
  const positions: string[] = [];
  const fields: Record<string, string> = {};
  for (const word of words) {
    const at = word.indexOf("=");
    if (at === -1) {
      positions.push(word);
      continue;
    }
    const name = word.slice(0, at);
    const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
    if (field === undefined) {
      throw new UsageError(
        `Cannot decide: ${name}= is not known; use ${Object.keys(FIELDS).join("=, ")}=, or positions`,
      );
    }
    fields[field] = word.slice(at + 1);
  }
  return parse({ ...fields, ...positions.length > 0 && { positions } });
}

function parse(selector: unknown): DecisionSelector {
  const result = selectorSchema.safeParse(selector);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw new UsageError(`Cannot decide: ${path.join(".")} ${message}`);
}
