/**
 * A ZIP archive without compression: the same bytes for the same files (APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.16).
 *
 * @module
 */
import { crc32 } from "node:zlib";

/** 1980-01-01, the earliest date that the format has. */
const DATE = 0x21;

/** Packs texts by their paths. */
export function zip(files: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const [path, text] of Object.entries(files)) {
    const name = new TextEncoder().encode(path);
    const data = new TextEncoder().encode(text);
    // Version needed, flags (names are UTF-8), method, time, date, checksum, sizes, lengths of name and extra field.
    const described = header(26, (view) => {
      view.setUint16(0, 20, true);
      view.setUint16(2, 0x800, true);
      view.setUint16(8, DATE, true);
      view.setUint32(10, crc32(data), true);
      view.setUint32(14, data.length, true);
      view.setUint32(18, data.length, true);
      view.setUint16(22, name.length, true);
    });
    const start = header(4, (view) => view.setUint32(0, 0x04034b50, true));
    parts.push(start, described, name, data);
    directory.push(
      header(6, (view) => {
        view.setUint32(0, 0x02014b50, true);
        view.setUint16(4, 20, true);
      }),
      described,
      // Lengths and attributes that are 0, then where the file starts.
      header(14, (view) => view.setUint32(10, offset, true)),
      name,
    );
    offset += start.length + described.length + name.length + data.length;
  }
  const directoryBytes = directory.reduce((sum, { length }) => sum + length, 0);
  const count = Object.keys(files).length;
  const end = header(22, (view) => {
    view.setUint32(0, 0x06054b50, true);
    view.setUint16(8, count, true);
    view.setUint16(10, count, true);
    view.setUint32(12, directoryBytes, true);
    view.setUint32(16, offset, true);
  });
  return joined([...parts, ...directory, end]);
}

function header(bytes: number, write: (view: DataView) => void): Uint8Array {
  const header = new Uint8Array(bytes);
  write(new DataView(header.buffer));
  return header;
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
