import assert from "assert";
import { Counter, Gauge, Registry } from "prom-client";
import { parseMetrics, sumOf } from "./metrics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("parseMetrics() reads what prom-client writes", async () => {
  const registry = new Registry();
  const registers = [registry];
  const answers = new Counter({
    name: "votes_total",
    help: "votes",
    labelNames: ["endpoint", "answer"],
    registers,
  });
  answers.inc({ endpoint: "vote", answer: "accepted" }, 12);
  answers.inc({ endpoint: "batch", answer: "accepted" }, 3);
  answers.inc({ endpoint: "vote", answer: 'odd "one", {so}\nto \\ speak' });
  new Gauge({ name: "lag", help: "lag", registers }).set(1.5e-7);
  const samples = parseMetrics(await registry.metrics());
  assert.deepEqual(samples, [
    { name: "votes_total", labels: { endpoint: "vote", answer: "accepted" }, value: 12 },
    { name: "votes_total", labels: { endpoint: "batch", answer: "accepted" }, value: 3 },
    { name: "votes_total", labels: { endpoint: "vote", answer: 'odd "one", {so}\nto \\ speak' }, value: 1 },
    { name: "lag", labels: {}, value: 1.5e-7 },
  ]);
  assert.equal(sumOf(samples, "votes_total", { answer: "accepted" }), 15);
  assert.deepEqual([sumOf(samples, "votes_total"), sumOf(samples, "nothing")], [16, 0]);
});

Deno.test("parseMetrics() passes over what is no sample", () => {
  assert.deepEqual(parseMetrics("# HELP a b\n\n<html>\na_b\na NaN\n"), []);
});
