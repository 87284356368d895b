/**
 * Reads the metrics that gateways and aggregator serve, in Prometheus' text format.
 *
 * @module
 */

/** One value of a metric. */
export type Sample = Readonly<{ name: string; labels: Readonly<Record<string, string>>; value: number }>;

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Reads samples; comments, and lines that are none, are passed over. */
export function parseMetrics(text: string): Sample[] {
  return text.split("\n").flatMap((line) => {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (name === undefined || Number.isNaN(Number(value))) return [];
    const found = [...labels.matchAll(LABEL)].map(([, label, text]) => [label, unescape(text!)]);
    return [{ name, labels: Object.fromEntries(found), value: Number(value) }];
  });
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, (_, escaped) => escaped === "n" ? "\n" : escaped);
}

/** The sum of a metric's samples that have these labels; 0 when there is none. */
export function sumOf(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const wanted = Object.entries(labels);
  return samples
    .filter((sample) => sample.name === name && wanted.every(([key, value]) => sample.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}
