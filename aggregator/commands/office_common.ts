/**
 * What the office's commands share: who asks, and files that are given as JSON.
 *
 * @module
 */
import type { Command } from "commander";
import { UsageError } from "../../cli/command.ts";
import { readText } from "../../cli/csv.ts";
import type { OfficeClient } from "../office/client.ts";

/** Who asks, where the office is, and of which election. */
export type Common = Readonly<{ as: string; url?: string; election?: string }>;

/** Where the office's API has an election. */
export function pathOf({ election }: Pick<Common, "election">): string {
  return `/v1/elections/${encodeURIComponent(election!)}`;
}

/** Works with a client who is signed in. */
export type With = (options: Common, work: (client: OfficeClient) => Promise<void>) => Promise<void>;
/** Makes a command with the options of {@link Common}. */
export type Make = (name: string, description: string) => Command;

/**
 * Reads a file of JSON.
 *
 * @param like What it should be, in an error's words.
 * @throws {UsageError} when it is not JSON.
 */
export async function readJsonFile(option: string, path: string, like: string): Promise<unknown> {
  const { text } = await readText(path);
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`${option} ${path} must be JSON, ${like}`);
  }
}
