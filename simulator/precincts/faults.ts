/**
 * What is wrong with a file, line by line: gathered, and told in one message.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";

/** Maximum faults that one message names. */
const FAULTS_NAMED = 5;

/** Gathers what is wrong with a file. */
export class Faults {
  readonly #path: string;
  readonly #named: string[] = [];
  #count = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** @param text What is wrong, and what would be right. */
  add(line: number, text: string): void {
    this.#count++;
    if (this.#named.length < FAULTS_NAMED) this.#named.push(`\n  line ${line}: ${text}`);
  }

  /** @throws {UsageError} when anything is wrong. `advice` stands behind the list. */
  refuse(advice = ""): void {
    if (this.#count === 0) return;
    const more = this.#count - this.#named.length;
    throw new UsageError(
      `Cannot read ${this.#path}:${this.#named.join("")}${more > 0 ? `\n  and ${more} more` : ""}` +
        (advice === "" ? "" : `\n${advice}`),
    );
  }
}

/** Joins names for a message, up to a maximum: `a, b and 3 more`. */
export function listOf(names: readonly string[], most = 8): string {
  if (names.length <= most) return names.join(", ");
  return `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
}
