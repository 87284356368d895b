/**
 * Detects the encoding of a text file by its bytes. A byte order mark decides; without one, valid UTF-8 is UTF-8. Other
 * bytes are Windows-1252 (which includes Latin-1) or MacRoman: in the right one, words have small letters beside small
 * letters and capitals beside capitals.
 *
 * @module
 */

/** Supported encodings, by their names in the Encoding Standard. */
export type Encoding = "utf-8" | "utf-16le" | "utf-16be" | "windows-1252" | "macintosh";

/** A detected encoding. `notes` say what a user should know, and what is uncertain. */
export type FoundEncoding = Readonly<{ encoding: Encoding; notes: readonly string[] }>;

/** The text has no supported encoding. `message` says why, and what would be right. */
export class UnknownEncoding extends Error {
  override name = "UnknownEncoding";
}

/** Minimum difference of the two scores for a certain result. */
const CERTAIN_MARGIN = 3;
/** Maximum share of characters above 127 that are adjacent, in a language with Latin letters. */
const MAX_SIDE_BY_SIDE = 0.5;
/** Minimum characters above 127 for which the share is meaningful. */
const MIN_HIGH_BYTES = 4;
/** Maximum bytes of an excerpt in a note, on either side. */
const EXCERPT_BYTES = 12;
const SAVE_AS_UTF8 = "save it as UTF-8";

/**
 * Reads a file's bytes once, and detects their encoding.
 *
 * @throws {UnknownEncoding} when they have no supported encoding, or two.
 */
export async function detectEncoding(pieces: AsyncIterable<Uint8Array>): Promise<FoundEncoding> {
  const detector = new Detector();
  for await (const piece of pieces) detector.add(piece);
  return detector.finish();
}

class Detector {
  #start = new Uint8Array(0);
  readonly #utf8 = new Utf8Check();
  readonly #windows = new Reading("windows-1252");
  readonly #mac = new Reading("macintosh");
  #line = 1;
  #nulBytes = 0;
  #highBytes = 0;
  #sideBySide = 0;
  /** The last two bytes: a byte is scored once its right neighbour is known. */
  #before = 0x0a;
  #last = 0x0a;
  #lastLine = 1;
  #recent: number[] = [];
  #excerpt: number[] | undefined;
  #excerptLine = 0;

  add(piece: Uint8Array): void {
    if (this.#start.length < 4) this.#start = Uint8Array.from([...this.#start, ...piece.subarray(0, 4)]);
    for (const byte of piece) {
      this.#utf8.add(byte, this.#line);
      if (byte === 0) this.#nulBytes++;
      if (this.#last >= 0x80) this.#score(byte);
      this.#collect(byte);
      this.#before = this.#last;
      this.#last = byte;
      this.#lastLine = this.#line;
      if (byte === 0x0a) this.#line++;
    }
  }

  /** Scores the last byte, whose neighbours are known now. */
  #score(next: number): void {
    this.#highBytes++;
    if (this.#before >= 0x80 || next >= 0x80) this.#sideBySide++;
    this.#windows.add(this.#before, this.#last, next);
    this.#mac.add(this.#before, this.#last, next);
  }

  /** Keeps the word around the first byte above 127. */
  #collect(byte: number): void {
    if (this.#excerpt !== undefined) {
      if (this.#excerpt.length < 2 * EXCERPT_BYTES) this.#excerpt.push(byte);
      return;
    }
    this.#recent.push(byte);
    if (this.#recent.length > EXCERPT_BYTES) this.#recent.shift();
    if (byte < 0x80) return;
    this.#excerpt = this.#recent;
    this.#excerptLine = this.#line;
  }

  finish(): FoundEncoding {
    if (this.#last >= 0x80) this.#score(0x0a);
    const marked = this.#byMark();
    if (marked !== undefined) return marked;
    if (this.#nulBytes > this.#utf8.bytes / 5) {
      throw new UnknownEncoding(
        `it looks like UTF-16 without a byte order mark; ${SAVE_AS_UTF8}, or as UTF-16 with one`,
      );
    }
    const invalid = this.#utf8.finish(this.#lastLine);
    if (invalid === undefined) return { encoding: "utf-8", notes: [] };
    if (invalid.cutOff && this.#utf8.longCharacters > 0) {
      throw new UnknownEncoding(
        `line ${invalid.line}: the file ends in the middle of a character: it was cut off`,
      );
    }
    if (this.#utf8.longCharacters > 0) {
      throw new UnknownEncoding(
        `line ${invalid.line}: the byte 0x${hex(invalid.byte)} is not UTF-8, and other lines are; ` +
          `${SAVE_AS_UTF8} as a whole`,
      );
    }
    return this.#ofOneByte();
  }

  #byMark(): FoundEncoding | undefined {
    const [a, b, c, d] = this.#start;
    if (a === 0xff && b === 0xfe && c === 0 && d === 0) {
      throw new UnknownEncoding(`it is UTF-32; ${SAVE_AS_UTF8}`);
    }
    const bits16 = a === 0xff && b === 0xfe ? "utf-16le" : a === 0xfe && b === 0xff ? "utf-16be" : undefined;
    return bits16 && { encoding: bits16, notes: [`the file is read as UTF-16, as its byte order mark says`] };
  }

  #ofOneByte(): FoundEncoding {
    if (this.#highBytes >= MIN_HIGH_BYTES && this.#sideBySide > MAX_SIDE_BY_SIDE * this.#highBytes) {
      throw new UnknownEncoding(
        `it is not UTF-8, and its words are neither Windows-1252 nor MacRoman: ` +
          `${this.#sideBySide} of ${this.#highBytes} bytes above 127 stand side by side; ${SAVE_AS_UTF8}`,
      );
    }
    const windows = this.#windows.score;
    const mac = this.#mac.score;
    if (windows === -Infinity && mac === -Infinity) {
      throw new UnknownEncoding(`it is not UTF-8, Windows-1252 or MacRoman; ${SAVE_AS_UTF8}`);
    }
    const [best, other] = windows >= mac
      ? ["windows-1252", "macintosh"] as const
      : ["macintosh", "windows-1252"] as const;
    const name = best === "macintosh" ? "MacRoman" : this.#windows.isLatin1 ? "Latin-1" : "Windows-1252";
    const certain = Math.abs(windows - mac) >= CERTAIN_MARGIN && Math.max(windows, mac) > 0;
    const here = `line ${this.#excerptLine}: ${this.#excerptAs(best)}`;
    const doubt = certain
      ? ""
      : `. This is uncertain: as ${best === "macintosh" ? "Windows-1252" : "MacRoman"} it would be ${
        this.#excerptAs(other)
      }. If that is right, ${SAVE_AS_UTF8}`;
    return { encoding: best, notes: [`the file is not UTF-8; read as ${name} (${here})${doubt}`] };
  }

  #excerptAs(encoding: Encoding): string {
    const bytes = this.#excerpt ?? [];
    const first = bytes.findIndex((byte) => byte >= 0x80);
    const isWord = (byte: number) =>
      byte >= 0x80 || byte === 0x27 || /[a-z0-9-]/i.test(String.fromCharCode(byte));
    let [from, until] = [first, first];
    while (from > 0 && isWord(bytes[from - 1]!)) from--;
    while (until < bytes.length && isWord(bytes[until]!)) until++;
    return `“${new TextDecoder(encoding).decode(Uint8Array.from(bytes.slice(from, until)))}”`;
  }
}

/** Checks bytes against UTF-8 (RFC 3629), and stores the first invalid one. */
class Utf8Check {
  bytes = 0;
  /** Characters of more than one byte. */
  longCharacters = 0;
  #wanted = 0;
  #low = 0x80;
  #high = 0xbf;
  #invalid: { line: number; byte: number; cutOff: boolean } | undefined;
  #lead = 0;

  add(byte: number, line: number): void {
    this.bytes++;
    if (this.#wanted > 0) {
      if (byte >= this.#low && byte <= this.#high) {
        [this.#low, this.#high] = [0x80, 0xbf];
        if (--this.#wanted === 0) this.longCharacters++;
        return;
      }
      this.#invalid ??= { line, byte: this.#lead, cutOff: false };
      this.#wanted = 0;
    }
    if (byte < 0x80) return;
    this.#lead = byte;
    [this.#low, this.#high] = [0x80, 0xbf];
    if (byte >= 0xc2 && byte <= 0xdf) this.#wanted = 1;
    else if (byte >= 0xe0 && byte <= 0xef) this.#wanted = 2;
    else if (byte >= 0xf0 && byte <= 0xf4) this.#wanted = 3;
    else this.#invalid ??= { line, byte, cutOff: false };
    if (byte === 0xe0) this.#low = 0xa0;
    if (byte === 0xed) this.#high = 0x9f;
    if (byte === 0xf0) this.#low = 0x90;
    if (byte === 0xf4) this.#high = 0x8f;
  }

  /** The first invalid byte; `undefined` for valid UTF-8. */
  finish(line: number): { line: number; byte: number; cutOff: boolean } | undefined {
    if (this.#invalid === undefined && this.#wanted > 0) return { line, byte: this.#lead, cutOff: true };
    return this.#invalid;
  }
}

type Kind = "capital" | "small" | "digit" | "edge" | "apostrophe" | "dash" | "sign" | "none";

/** Scores how plausible a text is in a single-byte encoding. */
class Reading {
  score = 0;
  /** Whether no byte is a control character of Latin-1. */
  isLatin1 = true;
  readonly #kinds: readonly Kind[];

  constructor(encoding: "windows-1252" | "macintosh") {
    const decoder = new TextDecoder(encoding);
    this.#kinds = Array.from({ length: 256 }, (_, byte) => kindOf(decoder.decode(Uint8Array.of(byte))));
  }

  add(before: number, byte: number, next: number): void {
    if (byte < 0xa0) this.isLatin1 = false;
    const [left, kind, right] = [this.#kinds[before]!, this.#kinds[byte]!, this.#kinds[next]!];
    this.score += plausibility(left, kind, right);
  }
}

function kindOf(character: string): Kind {
  // Windows-1252 has no character for five bytes; decoders map them to C1 controls.
  if (/[\u0080-\u009f]/.test(character)) return "none";
  if (/[ªºƒˆı\ufb01\ufb02]/.test(character)) return "sign";
  if (/\p{Lu}/u.test(character)) return "capital";
  if (/\p{Ll}/u.test(character)) return "small";
  if (/\p{N}/u.test(character) && character < "\u0080") return "digit";
  if (/[’'`]/.test(character)) return "apostrophe";
  if (/[–—]/.test(character)) return "dash";
  return character < "\u0080" || character === "\u00a0" || /[“”‘]/.test(character) ? "edge" : "sign";
}

function plausibility(left: Kind, kind: Kind, right: Kind): number {
  const isLetter = (each: Kind) => each === "capital" || each === "small";
  const inside = isLetter(left) && isLetter(right);
  switch (kind) {
    case "none":
      return -Infinity;
    case "small":
      if (left === "small" && right === "capital") return -2;
      // Few words begin with a small letter above 127.
      if (left !== "small" && left !== "capital" && right === "small") return 1;
      if (left === "small" || right === "small") return 2;
      return isLetter(left) || isLetter(right) ? -2 : 0;
    case "capital":
      if (left === "small") return -2;
      if (left === "capital" && right === "small") return -1;
      return isLetter(left) || isLetter(right) ? 2 : 0;
    case "apostrophe":
      return left === "capital" ? 1 : 0;
    case "dash":
      return inside ? -1 : 1;
    case "edge":
      return inside ? -2 : 1;
    case "sign":
      return inside ? -2 : left === "digit" ? 1 : -1;
    case "digit":
      return 0;
  }
}

function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, "0");
}
