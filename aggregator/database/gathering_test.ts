import assert from "assert";
import { Gathering } from "./gathering.ts";

function doubling(maxQuestions = 100) {
  const batches: number[][] = [];
  const gathering = new Gathering<number, number>((questions) => {
    batches.push([...questions]);
    if (questions.includes(13)) return Promise.reject(new Error("The database is away"));
    return Promise.resolve(questions.map((question) => 2 * question));
  }, { waitMs: 1, maxQuestions });
  return { gathering, batches };
}

Deno.test("Gathering asks what comes together once, and gives each its own answer", async () => {
  const { gathering, batches } = doubling();
  assert.deepEqual(await Promise.all([3, 1, 2].map((question) => gathering.ask(question))), [6, 2, 4]);
  assert.equal(await gathering.ask(4), 8);
  assert.deepEqual(batches, [[3, 1, 2], [4]]);
});

Deno.test("Gathering begins another batch when one is full", async () => {
  const { gathering, batches } = doubling(2);
  assert.deepEqual(await Promise.all([1, 2, 3].map((question) => gathering.ask(question))), [2, 4, 6]);
  assert.deepEqual(batches, [[1, 2], [3]]);
});

Deno.test("Gathering tells all of a batch when it fails, and answers the next", async () => {
  const { gathering } = doubling();
  const settled = await Promise.allSettled([1, 13].map((question) => gathering.ask(question)));
  assert.deepEqual(settled.map(({ status }) => status), ["rejected", "rejected"]);
  assert.equal(await gathering.ask(5), 10);
});

Deno.test("Gathering refuses answers that are not as many as the questions", async () => {
  const short = new Gathering<number, number>(() => Promise.resolve([]), { waitMs: 1, maxQuestions: 9 });
  await assert.rejects(short.ask(1), /0 answers to 1 questions/);
});
