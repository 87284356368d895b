import assert from "assert";
import { InvalidArgumentError } from "commander";
import { BAD_KINDS } from "./kinds.ts";
import { mixOf, parseBad } from "./mix.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const candidates = [{ id: "a", name: "A" }, { id: "b", name: "B" }];
const region = "r";
const environment = {
  definition: {
    contests: [{ id: "p", name: "P", votesAllowed: 1, candidates }],
    stations: [{ id: "s", name: "S", region }, { id: "t", name: "T", region }],
  },
  revoked: true,
  kills: false,
};

Deno.test("parseBad() takes one share for all, or a share a kind", () => {
  assert.deepEqual(parseBad("0.1"), { every: 0.1 });
  assert.deepEqual(parseBad("forged=0.5, double=1"), { some: new Map([["forged", 0.5], ["double", 1]]) });
});

Deno.test("parseBad() says what would be right", () => {
  for (
    const [text, message] of [
      ["1.1", /from 0 to 1/],
      ["much", /from 0 to 1/],
      ["-1", /from 0 to 1/],
      ["forged=2", /from 0 to 1/],
      ["forged=", /from 0 to 1/],
      ["first=0.1", /no kind first; there are double, /],
      ["forged=0.1,0.2", /no kind 0\.2/],
      ["forged=0.1,forged=0.2", /forged is given twice/],
    ] as const
  ) {
    assert.throws(() => parseBad(text), (error) => {
      assert.ok(error instanceof InvalidArgumentError, text);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("mixOf() gives every kind its share", () => {
  const { mix, leftOut } = mixOf({ every: 0.1 }, environment);
  assert.deepEqual([...mix.keys()], BAD_KINDS);
  assert.deepEqual([new Set(mix.values()), leftOut.size], [new Set([0.1]), 0]);
  const split = mixOf({ every: 0.1 }, environment, (share, kinds) => share / kinds).mix;
  assert.ok(Math.abs([...split.values()].reduce((a, b) => a + b, 0) - 0.1) < 1e-9);
});

Deno.test("mixOf() leaves out what cannot be shown, and says why, if it was asked for", () => {
  const small = {
    contests: [{ ...environment.definition.contests[0]!, votesAllowed: 2 }],
    stations: [{ id: "s", name: "S", region }],
  };
  const { mix, leftOut } = mixOf({ every: 0.1 }, { definition: small, revoked: false, kills: true });
  assert.deepEqual([...leftOut.keys()].sort(), [
    "other-device",
    "other-station",
    "overvote",
    "reused-id",
    "revoked-device",
  ]);
  assert.equal(mix.size + leftOut.size, BAD_KINDS.length);
  const few = mixOf({ some: new Map([["reused-id", 0.1], ["stale", 0.2], ["early", 0]]) }, {
    ...environment,
    kills: true,
  });
  assert.deepEqual([...few.mix], [["stale", 0.2]]);
  assert.deepEqual([...few.leftOut.keys()], ["reused-id"]);
  assert.equal(mixOf({ every: 0 }, { ...environment, kills: true }).leftOut.size, 0);
});
