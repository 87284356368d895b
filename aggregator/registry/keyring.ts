/**
 * The elections' master keys: one file each, readable by its owner only, in KEYS_DIRECTORY. Opened by the roles `count` and
 * `office`, and by commands; processes of other roles use the files of role_key_files.ts.
 *
 * @module
 */
import { fromHex, utf8 } from "../../shared/bytes.ts";
import { KEY_BYTES } from "../../shared/keys.ts";
import { OfficeError } from "./office_error.ts";

/** The master keys of an aggregator. */
export class Keyring {
  readonly directory: string;
  readonly #known = new Map<string, Uint8Array>();

  /** @param directory Holds `<election>.key`, 32 bytes in hex each. */
  constructor(directory: string) {
    this.directory = directory;
  }

  /** Whether there is a master key of that election. */
  has(election: string): boolean {
    if (this.#known.has(election)) return true;
    try {
      this.master(election);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * An election's master key, 32 bytes.
   *
   * @throws {OfficeError} naming the file when it is missing or is no key.
   */
  master(election: string): Uint8Array {
    const known = this.#known.get(election);
    if (known !== undefined) return known;
    const path = this.#path(election);
    let text: string;
    try {
      text = Deno.readTextFileSync(path).trim();
    } catch (error) {
      throw new OfficeError(
        `Cannot read the master key of election ${election} from ${path} (${(error as Error).message}); ` +
          "KEYS_DIRECTORY must name the directory that holds it",
      );
    }
    if (!/^[0-9a-f]{64}$/.test(text)) {
      throw new OfficeError(
        `Cannot use the master key in ${path}: it must be ${KEY_BYTES} bytes in lower-case hex`,
      );
    }
    const master = fromHex(text);
    this.#known.set(election, master);
    return master;
  }

  /** Makes an election's master key; the one that is there already, if there is one. */
  create(election: string): Uint8Array {
    const path = this.#path(election);
    Deno.mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    try {
      using file = Deno.openSync(path, { createNew: true, write: true, mode: 0o600 });
      const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
      file.writeSync(utf8(`${key.toHex()}\n`));
      file.syncSync(); // Before anything is sealed to it: with this key an election is lost.
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
    return this.master(election);
  }

  /** Forgets a key that was read: its file may be gone. */
  forget(election: string): void {
    this.#known.delete(election);
  }

  /** Removes an election's master key and the keys that were written of it. Idempotent. */
  destroy(election: string): void {
    this.forget(election);
    const { directory } = this;
    for (
      const path of [
        `${directory}/receipts/${election}.json`,
        `${directory}/sync/${election}.json`,
        this.#path(election),
      ]
    ) removeFile(path);
  }

  #path(election: string): string {
    return `${this.directory}/${election}.key`;
  }
}

/** Removes a file that may be gone already. */
function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
