/**
 * Shows a demo: on a terminal a board that is refreshed in place, elsewhere a plain line every few seconds.
 *
 * @module
 */
import process from "node:process";
import { createLogUpdate } from "log-update";
import { boardLines, plainLine, type Scene } from "./board.ts";
import type { Status } from "./watch.ts";

/** Minimum time between two plain lines, in milliseconds. */
const LINE_EVERY_MS = 5_000;

/** Shows a demo. */
export type Display = Readonly<{
  /** This is how it stands. */
  show(scene: Scene, status: Status): void;
  /** A line that stays. */
  print(line: string): void;
  /** Leaves what was shown last where it is. */
  rest(): void;
}>;

/** Where to show it; what is left out is standard output and its clock. */
export type DisplayOutput = Readonly<{
  terminal?: boolean;
  write?: (line: string) => void;
  now?: () => number;
}>;

/** Makes the display that fits the output. */
export function makeDisplay(output: DisplayOutput = {}): Display {
  const { terminal = Deno.stdout.isTerminal(), write = (line) => console.log(line), now = Date.now } = output;
  return terminal ? onTerminal() : asLines(write, now);
}

function onTerminal(): Display {
  // The cursor stays: a process that is killed could not bring it back.
  const update = createLogUpdate(process.stdout, { showCursor: true });
  return {
    show: (scene, status) => update(boardLines(scene, status).join("\n")),
    print: (line) => update.persist(line),
    rest: () => update.done(),
  };
}

function asLines(write: (line: string) => void, now: () => number): Display {
  let lineMs = -Infinity;
  return {
    show(scene, status) {
      if (now() - lineMs < LINE_EVERY_MS) return;
      lineMs = now();
      write(plainLine(scene, status));
    },
    print: write,
    rest() {},
  };
}
