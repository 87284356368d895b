/**
 * Tables of answers as CSV (RFC 4180), for spreadsheets.
 *
 * @module
 */

/** A row of an answer: numbers, texts, and marks that are there or not. */
type Row = Readonly<Record<string, string | number | true | null | undefined>>;

/** The media type, and a name to save the file under. */
export function csvHeaders(name: string): Record<string, string> {
  return {
    "content-type": "text/csv; charset=utf-8",
    "content-disposition": `attachment; filename="${name}.csv"`,
  };
}

/** Writes rows; their keys are the titles, a mark's when some row has it. Without rows there is nothing to name. */
export function toCsv(rows: readonly Row[]): string {
  const titles = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [titles, ...rows.map((row) => titles.map((title) => row[title] ?? null))];
  return lines.map((cells) => cells.map(cellOf).join(",")).join("\r\n") + "\r\n";
}

/** Spreadsheets run a text that begins like a formula: an apostrophe before it keeps it a text. */
function cellOf(value: string | number | true | null): string {
  if (value === null) return "";
  if (typeof value !== "string") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
