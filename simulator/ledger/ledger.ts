/**
 * The ledger: what was sent and what was answered, kept by a process of its own, so that no crash of what is tested,
 * nor of what casts the votes, can make it forget. A file of JSON lines, only ever appended to.
 *
 * A vote's `sent` entry is on the disk before the vote leaves. The process reads entries from standard input; a line
 * `#<n>` asks it to make durable all that came before, and is written back to standard output once it is.
 *
 * @module
 */
import { z } from "zod";
import { VOTING_MODES } from "../../shared/mode.ts";
import { VOTE_KINDS } from "../bad/kinds.ts";
import { joined, linesOf } from "../lines.ts";

/**
 * Which vote of which voter. The voter stands in every entry, so that a ledger can be judged a part of the voters
 * at a time.
 */
const ofVote = {
  /** The vote's id; of a vote sent under another's id, or under none, an id of its own in the ledger. */
  voteId: z.string(),
  voterId: z.string(),
};

const sentSchema = z.strictObject({
  entry: z.literal("sent"),
  ...ofVote,
  /** What kind of vote it is, and so what must become of it. */
  kind: z.enum(VOTE_KINDS),
  station: z.string(),
  mode: z.enum(VOTING_MODES),
  /** Each is `contest/candidate`. */
  selections: z.array(z.string()),
});

const entrySchema = z.discriminatedUnion("entry", [
  sentSchema,
  /**
   * The same vote was sent again: to see that it is not counted twice; because no answer came; or because
   * one gateway's record of it was held or rejected, which proves nothing.
   */
  z.strictObject({
    entry: z.literal("again"),
    ...ofVote,
    why: z.enum(["asked", "pending", "held", "rejected"]),
  }),
  z.strictObject({ entry: z.literal("acknowledged"), ...ofVote, gateway: z.string(), voterKey: z.string() }),
  /** `reason`: the last part of the problem's type. */
  z.strictObject({ entry: z.literal("refused"), ...ofVote, reason: z.string(), detail: z.string() }),
  /** `reason`: what a gateway refused it for, while another did not say. */
  z.strictObject({
    entry: z.literal("undelivered"),
    ...ofVote,
    detail: z.string(),
    reason: z.string().optional(),
  }),
  z.strictObject({
    entry: z.literal("outcome"),
    ...ofVote,
    outcome: z.string(),
    reason: z.string().optional(),
  }),
]);

/** A line of the ledger. */
export type LedgerEntry = z.infer<typeof entrySchema>;
export type SentEntry = z.infer<typeof sentSchema>;

const NEWLINE = 10;
const HASH = 35;

/**
 * Reads a ledger. A last line that was cut short by a crash is passed over; any other line that is none is an error.
 *
 * @throws naming the line.
 */
export async function* readLedger(path: string): AsyncGenerator<LedgerEntry> {
  let number = 0;
  for await (const { line, ended } of linesOf((await Deno.open(path)).readable)) {
    number++;
    const entry = parseEntry(new TextDecoder().decode(line));
    if (entry !== undefined) yield entry;
    else if (ended) throw new Error(`Cannot read the ledger ${path}: line ${number} is not an entry`);
  }
}

function parseEntry(line: string): LedgerEntry | undefined {
  try {
    return entrySchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

/**
 * Keeps a ledger until `input` ends: the whole of the ledger's process. Everything that has come in by the time of a
 * write goes to the disk with one sync (group commit), and the newest mark among it answers for the older ones.
 *
 * @param acknowledge Called with the number of the newest mark that is durable.
 */
export async function keepLedger(
  path: string,
  input: ReadableStream<Uint8Array>,
  acknowledge: (mark: number) => void,
): Promise<void> {
  using file = await Deno.open(path, { create: true, append: true });
  let rest = new Uint8Array(0);
  for await (const chunk of input) {
    const bytes = rest.length === 0 ? chunk : joined(rest, chunk);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    rest = bytes.slice(end);
    const { entries, mark } = withoutMarks(bytes.subarray(0, end));
    for (const part of entries) await writeAll(file, part);
    if (mark === undefined) continue;
    await file.syncData();
    acknowledge(mark);
  }
  await file.syncData();
}

/** Splits whole lines into runs of entries and the newest mark. */
function withoutMarks(bytes: Uint8Array): { entries: Uint8Array[]; mark?: number } {
  const entries: Uint8Array[] = [];
  let mark: number | undefined;
  let from = 0;
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(NEWLINE, at) + 1;
    if (bytes[at] === HASH) {
      if (at > from) entries.push(bytes.subarray(from, at));
      mark = Number(new TextDecoder().decode(bytes.subarray(at + 1, end - 1)));
      from = end;
    }
    at = end;
  }
  if (bytes.length > from) entries.push(bytes.subarray(from));
  return { entries, mark };
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
}

/** A ledger in a process of its own. */
export class LedgerProcess {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<number, () => void>();
  readonly #ended: Promise<void>;
  #failure: Error | undefined;
  #marks = 0;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    this.#ended = this.#readMarks().catch((error) => this.#fail(error));
  }

  /**
   * Starts a ledger's process.
   *
   * @param path The ledger's file; appended to when it is there.
   */
  static start(path: string): LedgerProcess {
    const main = new URL("../main.ts", import.meta.url).pathname;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", main, "ledger", path],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      // It ends when its input does, and not with the terminal.
      detached: true,
    }).spawn();
    return new LedgerProcess(child);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Writes entries; resolves once they are on the disk. Rejects when the ledger's process is gone. */
  async write(entries: readonly LedgerEntry[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const mark = ++this.#marks;
    const lines = entries.map((entry) => JSON.stringify(entry)).join("\n");
    const durable = new Promise<void>((resolve) => this.#waiting.set(mark, resolve));
    this.#writer.write(new TextEncoder().encode(`${lines}\n#${mark}\n`)).catch((error) => this.#fail(error));
    await durable;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #readMarks(): Promise<void> {
    for await (const { line } of linesOf(this.#child.stdout)) {
      const durable = Number(new TextDecoder().decode(line).slice(1));
      for (const [mark, resolve] of this.#waiting) {
        if (mark > durable) break;
        this.#waiting.delete(mark);
        resolve();
      }
    }
    if (this.#waiting.size > 0) throw new Error("it ended before it had written everything");
  }

  #fail(error: unknown): void {
    this.#failure ??= new Error(`The ledger's process failed: ${(error as Error).message}`);
    for (const resolve of this.#waiting.values()) resolve();
    this.#waiting.clear();
  }

  /** Ends the process, all written. */
  async close(): Promise<void> {
    await this.#writer.close().catch((error) => this.#fail(error));
    await this.#ended;
    const { code } = await this.#child.status;
    if (code !== 0) this.#fail(new Error(`it ended with code ${code}`));
    if (this.#failure !== undefined) throw this.#failure;
  }
}
