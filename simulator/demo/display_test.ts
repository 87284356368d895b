import assert from "assert";
import type { Scene } from "./board.ts";
import { makeDisplay } from "./display.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("makeDisplay() writes a plain line every five seconds, and all that is said, where there is no terminal", () => {
  const lines: string[] = [];
  let nowMs = 0;
  const display = makeDisplay({ terminal: false, write: (line) => lines.push(line), now: () => nowMs });
  const scene: Scene = { page: "", doing: "voting", elapsedS: 0, coming: 1, votingS: 1 };
  for (nowMs = 0; nowMs <= 12_000; nowMs += 1_000) {
    display.show({ ...scene, elapsedS: nowMs / 1_000 }, { gateways: [], refusals: [], memory: [] });
  }
  display.print("everybody has voted");
  display.rest();
  assert.deepEqual(lines.map((line) => line.split(",")[0]), [
    "0.0 s",
    "5.0 s",
    "10 s",
    "everybody has voted",
  ]);
});
