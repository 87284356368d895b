/**
 * An election's actions as a program offers them: what each takes, and why it cannot be done now.
 *
 * @module
 */
import { z } from "zod";
import { ALL_ACTIONS, PARAMETERS, WRITTEN_PARAMETERS } from "./effects.ts";
import type { ElectionState } from "./state.ts";
import { type Action, ACTIONS, type Facts, type Phase, transition } from "./transition.ts";

/** An action of the phase that an election is in. */
export type DescribedAction = Readonly<{
  action: Action;
  /** How many officials it takes. */
  officials: 1 | 2;
  /** Why it cannot be done now; `null` when it can. */
  refused: string | null;
  /** A JSON schema of its parameters. */
  parameters: Record<string, unknown>;
}>;

const schemas = new Map<Action, Record<string, unknown>>();

/** What people write of an action's parameters. */
const schemaOf = (action: Action): z.ZodType =>
  action in WRITTEN_PARAMETERS
    ? WRITTEN_PARAMETERS[action as keyof typeof WRITTEN_PARAMETERS]
    : PARAMETERS[action];

/** The parameters of an action as a JSON schema. */
function parametersOf(action: Action): Record<string, unknown> {
  const known = schemas.get(action);
  if (known !== undefined) return known;
  const { $schema: _, ...schema } = z.toJSONSchema(schemaOf(action), {
    io: "input",
    unrepresentable: "any",
  });
  schemas.set(action, schema);
  return schema;
}

/** The actions of the phase that the election is in. */
export function describeActions({ status, phase }: ElectionState, facts: Facts): DescribedAction[] {
  return ALL_ACTIONS
    .filter((action) => (ACTIONS[action].from as readonly Phase[]).includes(phase))
    .map((action) => {
      const found = transition(status, action, facts);
      const refused = "to" in found ? null : found.why;
      return { action, officials: ACTIONS[action].officials, refused, parameters: parametersOf(action) };
    });
}
