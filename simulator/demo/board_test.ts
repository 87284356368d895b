import assert from "assert";
import { boardLines, plainLine, type Scene } from "./board.ts";
import type { Status } from "./watch.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const scene: Scene = {
  page: "http://127.0.0.1:8000",
  doing: "voting",
  elapsedS: 60,
  coming: 1_000,
  votingS: 200,
};
const status: Status = {
  gateways: [{ name: "gateway-1", taken: 1_310, refused: 12, spool: 3, perSecond: 3.14 }, {
    name: "gateway-2",
  }],
  aggregator: {
    counted: 250,
    duplicate: 2,
    rejected: 1,
    held: 3,
    balanced: true,
    lag: 4,
    perSecond: 5,
    notCounted: [{ outcome: "duplicate/double_vote", records: 2 }, {
      outcome: "rejected/unknown_voter",
      records: 1,
    }],
  },
  refusals: Array.from({ length: 8 }, (_, i) => ({ reason: `reason-${i}`, votes: 9 - i })),
  memory: [{ name: "aggregator", bytes: 210e6 }, { name: "demo", bytes: 0 }],
};

Deno.test("boardLines() has a line for each process and each kind of number", () => {
  assert.deepEqual(boardLines(scene, status), [
    "Pollwire demo   http://127.0.0.1:8000   1 min 0 s   voting   (Ctrl-C stops)",
    "",
    "  voters      ██████░░░░░░░░░░░░░░░░░░  250 of 1,000 counted (25 %)   5.0/s   2 min 20 s left",
    "  gateway-1   1,310 taken (3.1/s)   12 refused   spool 3",
    "  gateway-2   does not answer",
    "  aggregator  250 counted   2 duplicate   1 rejected   3 held   lag 4   reconciliation balances",
    "  not counted 2 duplicate/double_vote, 1 rejected/unknown_voter",
    "  refused     9 reason-0, 8 reason-1, 7 reason-2, 6 reason-3, 5 reason-4, 4 reason-5, and 2 more kinds",
    "  memory      aggregator 210 MB   demo not known",
  ]);
});

Deno.test("boardLines() says so when the aggregator is away, or its reconciliation does not balance", () => {
  const away = boardLines(scene, { ...status, aggregator: undefined }).join("\n");
  assert.match(away, /aggregator {2}does not answer/);
  assert.match(away, /░{24} {2}0 of 1,000 counted \(0 %\)/);
  const odd = boardLines(scene, { ...status, aggregator: { ...status.aggregator!, balanced: false } }).join(
    "\n",
  );
  assert.match(odd, /DOES NOT BALANCE/);
});

Deno.test("boardLines() has nothing left to wait for when everybody has voted", () => {
  const lines = boardLines(scene, { ...status, aggregator: { ...status.aggregator!, counted: 1_000 } });
  assert.match(lines[2]!, /█{24} {2}1,000 of 1,000 counted \(100 %\) {3}5\.0\/s$/);
});

Deno.test("plainLine() has it all in one line", () => {
  assert.equal(
    plainLine(scene, status),
    "1 min 0 s, voting: 250 of 1,000 voters counted (5.0/s), 2 duplicate, 1 rejected, 3 held, lag 4; " +
      "gateway-1 1,310 taken, 12 refused, spool 3; gateway-2 does not answer; 44 refused in all",
  );
  assert.match(plainLine(scene, { ...status, aggregator: undefined }), /the aggregator does not answer/);
});
