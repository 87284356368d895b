/**
 * Changes of voters, candidates and parties, as programs beside Pollwire may follow them: one topic each, in the order in which
 * they were made. They hold no contact data, no address, no birth date, and nothing that is derived from a voter's id.
 *
 * A change comes at least once. Each has its election's `revision`, which rises with every change of any of the three topics: a
 * reader that has seen this revision of a key, or a later one, drops it.
 *
 * @module
 */
import { z } from "zod";
import { idSchema } from "./election.ts";

/** Which there are: also the names of the topics. */
export const CHANGE_TOPICS = ["voters", "candidates", "parties"] as const;
export type ChangeTopic = (typeof CHANGE_TOPICS)[number];

/** Where a candidate or party stands. */
export const CANDIDACY_STATES = ["filed", "qualified", "refused", "withdrawn"] as const;
export type CandidacyState = (typeof CANDIDACY_STATES)[number];

const head = { election: idSchema, revision: z.int().min(1), at: z.iso.datetime() };
const candidacy = { name: z.string(), status: z.enum(CANDIDACY_STATES), onBallot: z.boolean() };

/** What a message says, by topic. */
export const CHANGE_SCHEMAS = {
  voters: z.object({
    ...head,
    voterId: z.string(),
    status: z.enum(["accredited", "struck"]),
    region: idSchema,
    station: idSchema.nullable(),
  }),
  candidates: z.object({
    ...head,
    contest: idSchema,
    candidate: idSchema,
    party: idSchema.nullable(),
    ...candidacy,
  }),
  parties: z.object({ ...head, party: idSchema, ...candidacy }),
} as const;
export type VoterChange = z.infer<typeof CHANGE_SCHEMAS.voters>;

/** A message. `value` is JSON: see {@link CHANGE_SCHEMAS}. */
export type ChangeMessage = Readonly<{ key: string; value: string }>;

/** Where changes go, and where they are read. */
export interface ChangeLog {
  /** Writes messages in order, durably. After an error any of them may be there. */
  append(topic: ChangeTopic, messages: readonly ChangeMessage[]): Promise<void>;

  /**
   * Takes an election's messages of a topic away, when its records are destroyed. Other messages keep their offsets. Kafka gets a
   * message without a value for each key, and removes what was there when it compacts the topic.
   */
  erase(topic: ChangeTopic, election: string): Promise<void>;

  /**
   * Reads messages, oldest first, at most `limit` with those that were taken away, which are left out.
   *
   * @param from The first offset to read; 0 at first.
   * @returns the messages, and from where to read on: `from` when there are no more yet.
   */
  read(
    topic: ChangeTopic,
    from: number,
    limit: number,
  ): Promise<Readonly<{ messages: readonly ChangeMessage[]; next: number }>>;

  close(): Promise<void>;
}

/** The newest change of each key, from messages that may come more than once and, after a failure, out of order. */
export class NewestChanges<Change extends { revision: number }> {
  readonly #schema: z.ZodType<Change>;
  readonly #newest = new Map<string, Change>();

  constructor(schema: z.ZodType<Change>) {
    this.#schema = schema;
  }

  /** Takes messages in. Returns those that are news. */
  take(messages: readonly ChangeMessage[]): Change[] {
    return messages.flatMap(({ key, value }) => {
      const change = this.#schema.parse(JSON.parse(value));
      if ((this.#newest.get(key)?.revision ?? 0) >= change.revision) return [];
      this.#newest.set(key, change);
      return [change];
    });
  }

  values(): Change[] {
    return [...this.#newest.values()];
  }
}
