/**
 * Shows the progress of long work: a bar on a terminal, plain lines elsewhere. All on standard error, so that standard
 * output has results only.
 *
 * @module
 */
import process from "node:process";
import { progress as bar } from "@clack/prompts";

/** Minimum time between two plain lines, in milliseconds. */
const LINE_EVERY_MS = 2_000;
/** Minimum time between two updates of the bar's text, in milliseconds. */
const BAR_EVERY_MS = 100;
/** Width of the bar without its text, and the minimum width of a terminal for both. */
const BAR_COLUMNS = 20;
const LEAST_COLUMNS = 60;
/** The rate is measured over this time, in milliseconds. */
const RATE_OVER_MS = 5_000;

/** Running work. After `done` or `fail` nothing more is shown. */
export type Progress = Readonly<{
  /** Adds finished units. */
  advance(units: number): void;
  /** Prints a line above the progress. */
  note(message: string): void;
  done(message: string): void;
  fail(message: string): void;
}>;

/** Where and how to show it. Default: standard error, and the machine's clock. */
export type ProgressOutput = Readonly<{
  terminal?: boolean;
  write?: (line: string) => void;
  now?: () => number;
}>;

/**
 * Starts to show the progress of work.
 *
 * @param work What it is, and how many units it has, at least 0; `unit` is their name, like `votes`.
 */
export function progress(
  work: Readonly<{ label: string; total: number; unit?: string }>,
  output: ProgressOutput = {},
): Progress {
  const { terminal = isWideTerminal(), write = (line) => console.error(line), now = performanceNow } = output;
  const meter = rateMeter(now);
  let done = 0;
  const status = () => `${work.label}: ${describe(done, work.total, work.unit, meter.perSecond())}`;
  return terminal ? onTerminal() : asLines();

  function onTerminal(): Progress {
    const shown = bar({
      max: Math.max(1, work.total),
      size: BAR_COLUMNS,
      output: process.stderr,
      withGuide: false,
    });
    let unshown = 0;
    let shownAt = now();
    let noted = "";
    const text = () => noted === "" ? status() : `${status()}; ${noted}`;
    shown.start(text());
    return {
      advance(units) {
        done += units;
        unshown += units;
        meter.add(units);
        if (now() - shownAt < BAR_EVERY_MS) return;
        shown.advance(unshown, text());
        [unshown, shownAt] = [0, now()];
      },
      note: (message) => {
        noted = message;
      },
      done: (message) => shown.stop(message),
      fail: (message) => shown.error(message),
    };
  }

  function asLines(): Progress {
    let lineAt = now();
    return {
      advance(units) {
        done += units;
        meter.add(units);
        if (now() - lineAt < LINE_EVERY_MS) return;
        lineAt = now();
        write(status());
      },
      note: write,
      done: write,
      fail: write,
    };
  }
}

function isWideTerminal(): boolean {
  return Deno.stderr.isTerminal() && (process.stderr.columns ?? 0) >= LEAST_COLUMNS;
}

function performanceNow(): number {
  return performance.now();
}

function describe(done: number, total: number, unit: string | undefined, perSecond: number): string {
  const of = `${done.toLocaleString("en")} of ${total.toLocaleString("en")}${
    unit === undefined ? "" : ` ${unit}`
  }`;
  if (perSecond <= 0) return of;
  const left = Math.max(0, total - done) / perSecond;
  const rate = perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString("en");
  return `${of} (${percent(done, total)}), ${rate}/s, ${duration(left)} left`;
}

function percent(done: number, total: number): string {
  return total === 0 ? "100 %" : `${Math.floor(100 * Math.min(1, done / total))} %`;
}

/**
 * Formats a duration: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 4 min`.
 *
 * @param seconds At least 0.
 */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes} min ${whole % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Units per second over the last few seconds, from one sample per second. */
function rateMeter(now: () => number) {
  let done = 0;
  let lastMs = now();
  const marks = [{ atMs: lastMs, done: 0 }];
  return {
    add(units: number) {
      done += units;
      const atMs = now();
      if (atMs - lastMs < 1_000) return;
      lastMs = atMs;
      marks.push({ atMs, done });
      while (marks.length > 2 && marks[1]!.atMs <= atMs - RATE_OVER_MS) marks.shift();
    },
    perSecond(): number {
      const [oldest] = marks;
      if (oldest === undefined) return 0;
      const spanMs = now() - oldest.atMs;
      return spanMs > 0 ? (1_000 * (done - oldest.done)) / spanMs : 0;
    },
  };
}
