/**
 * Which kinds of bad votes come, and beside how many voters.
 *
 * @module
 */
import { InvalidArgumentError, Option } from "commander";
import type { ElectionDefinition } from "../../shared/election.ts";
import { BAD_KINDS, type BadKind } from "./kinds.ts";

/** Kind → the share of voters beside whom such a vote comes: above 0, at most 1. */
export type BadMix = ReadonlyMap<BadKind, number>;

/** What was asked for: one share for every kind, or a share each for some kinds, whose names were typed. */
export type BadOption = Readonly<{ every: number } | { some: BadMix }>;

/** The option `--bad`. */
export function badOption(description: string): Option {
  return new Option("--bad <share>", `${description}: 0 to 1, or kind=share,…`).argParser(parseBad);
}

/** @throws {InvalidArgumentError} saying what would be right. */
export function parseBad(text: string): BadOption {
  if (!text.includes("=")) return { every: parseShare(text) };
  const some = new Map<BadKind, number>();
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    const name = (at === -1 ? part : part.slice(0, at)).trim();
    const kind = BAD_KINDS.find((each) => each === name);
    if (at === -1 || kind === undefined) {
      throw new InvalidArgumentError(
        `There is no kind ${name}; there are ${BAD_KINDS.join(", ")}.`,
      );
    }
    if (some.has(kind)) throw new InvalidArgumentError(`The kind ${kind} is given twice.`);
    some.set(kind, parseShare(part.slice(at + 1)));
  }
  return { some };
}

function parseShare(text: string): number {
  const share = /^\d(?:\.\d{1,9})?$/.test(text.trim()) ? Number(text) : NaN;
  if (!(share <= 1)) throw new InvalidArgumentError("A share is a number from 0 to 1, such as 0.1.");
  return share;
}

/** What decides which bad votes can be made in a run. */
export type Environment = Readonly<{
  definition: Pick<ElectionDefinition, "contests" | "stations">;
  /** Whether there is a device whose key was revoked. */
  revoked: boolean;
  /** Whether gateways are killed: one that was remembers no vote ids. */
  kills: boolean;
}>;

/** Kinds that cannot be shown, and why: nothing of the kind can be made there, or its fate is not certain. */
export function impossibleKinds({ definition, revoked, kills }: Environment): Map<BadKind, string> {
  const impossible = new Map<BadKind, string>();
  if (kills) impossible.set("reused-id", "a gateway that was killed remembers no vote ids");
  if (!revoked) impossible.set("revoked-device", "the election has no revoked device");
  if (definition.stations.length < 2) {
    for (const kind of ["other-station", "other-device"] as const) {
      impossible.set(kind, "the election has one station");
    }
  }
  if (!definition.contests.some(({ candidates, votesAllowed }) => votesAllowed < candidates.length)) {
    impossible.set("overvote", "every contest allows all of its candidates");
  }
  return impossible;
}

/**
 * Turns what was asked for into shares.
 *
 * @param perKind The share of one kind, from the share for every kind and the number of kinds.
 * @returns the mix, and the kinds of those asked for that are left out, with why.
 */
export function mixOf(
  asked: BadOption,
  environment: Environment,
  perKind: (share: number, kinds: number) => number = (share) => share,
): { mix: BadMix; leftOut: ReadonlyMap<BadKind, string> } {
  const impossible = impossibleKinds(environment);
  const wanted = "some" in asked ? [...asked.some.keys()] : BAD_KINDS;
  const kinds = wanted.filter((kind) => !impossible.has(kind));
  const share = (kind: BadKind) =>
    "some" in asked ? asked.some.get(kind)! : perKind(asked.every, kinds.length);
  const shares = kinds.map((kind): [BadKind, number] => [kind, share(kind)]);
  const nothing = "every" in asked && asked.every === 0;
  return {
    mix: new Map(shares.filter(([, share]) => share > 0)),
    leftOut: nothing ? new Map() : new Map([...impossible].filter(([kind]) => wanted.includes(kind))),
  };
}
