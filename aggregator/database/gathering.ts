/**
 * Questions that come one by one, asked together: one statement for all that came within some milliseconds. Each asker waits
 * for it, so what it was told is in the database when it goes on.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";

/** Limits of a {@link Gathering}. */
export type GatheringLimits = Readonly<{
  /** How long the first of a batch waits for others, in milliseconds. */
  waitMs: number;
  /** Questions of one batch, at most; further ones begin the next. */
  maxQuestions: number;
}>;

/** What came since the last batch began. */
type Batch<Question, Answer> = { questions: Question[]; answers: Promise<readonly Answer[]> };

/** Gathers questions and asks them together. */
export class Gathering<Question, Answer> {
  readonly #askAll: (questions: readonly Question[]) => Promise<readonly Answer[]>;
  readonly #limits: GatheringLimits;
  #open: Batch<Question, Answer> | undefined;

  /**
   * @param askAll Answers a batch, in its order. When it throws, all askers of the batch get the error.
   * @param limits See {@link GatheringLimits}.
   */
  constructor(
    askAll: (questions: readonly Question[]) => Promise<readonly Answer[]>,
    limits: GatheringLimits,
  ) {
    this.#askAll = askAll;
    this.#limits = limits;
  }

  /** Asks one question. */
  async ask(question: Question): Promise<Answer> {
    const batch = this.#open ?? this.#begin();
    const at = batch.questions.push(question) - 1;
    if (batch.questions.length >= this.#limits.maxQuestions) this.#open = undefined;
    const answers = await batch.answers;
    if (answers.length !== batch.questions.length) {
      throw new Error(`Cannot use ${answers.length} answers to ${batch.questions.length} questions`);
    }
    return answers[at]!;
  }

  #begin(): Batch<Question, Answer> {
    const questions: Question[] = [];
    const batch = { questions, answers: this.#answer(questions) };
    this.#open = batch;
    return batch;
  }

  async #answer(questions: readonly Question[]): Promise<readonly Answer[]> {
    await delay(this.#limits.waitMs);
    if (this.#open?.questions === questions) this.#open = undefined;
    return await this.#askAll(questions);
  }
}
