/**
 * Differences between what a run expected and what it found.
 *
 * @module
 */

/** Maximum differences that are listed; the rest are counted. */
export const MAX_DIFFERENCES_NAMED = 20;

/** Things that are not as they should be. */
export class Differences {
  readonly named: string[] = [];
  count = 0;

  add(text: string): void {
    this.count++;
    if (this.named.length < MAX_DIFFERENCES_NAMED) this.named.push(text);
  }

  /** Takes over others, of which some may not have been named. */
  addAll({ count, named }: Readonly<{ count: number; named: readonly string[] }>): void {
    for (const text of named) this.add(text);
    this.count += count - named.length;
  }
}
