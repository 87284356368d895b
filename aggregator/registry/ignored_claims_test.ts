import assert from "assert";
import { Counter, Registry } from "prom-client";
import { noteIgnored } from "./ignored_claims.ts";

Deno.test("noteIgnored() counts everything, and names a gateway once a minute", async () => {
  const registry = new Registry();
  const counter = new Counter({
    name: "ignored",
    help: "-",
    labelNames: ["election", "kind"] as const,
    registers: [registry],
  });
  const lines: unknown[] = [];
  const log = { warn: (_: unknown, properties: unknown) => void lines.push(properties) };
  let nowMs = 0;
  const note = noteIgnored(counter, log as Parameters<typeof noteIgnored>[1], () => nowMs);
  note({ election: "e", id: "g-1" }, { senderKeys: 2, statements: 0 });
  note({ election: "e", id: "g-1" }, { senderKeys: 3, statements: 1 });
  note({ election: "e", id: "g-2" }, { senderKeys: 0, statements: 1 });
  nowMs = 60_000;
  note({ election: "e", id: "g-1" }, { senderKeys: 1, statements: 0 });
  assert.deepEqual(lines, [
    { election: "e", gateway: "g-1", senderKeys: 2, statements: 0 },
    { election: "e", gateway: "g-2", senderKeys: 0, statements: 1 },
    { election: "e", gateway: "g-1", senderKeys: 1, statements: 0 },
  ]);
  const { values } = await counter.get();
  assert.deepEqual(values.map(({ labels, value }) => [labels.kind, value]), [["sender_key", 6], [
    "statement",
    2,
  ]]);
});

Deno.test("noteIgnored() names no more gateways than its limit, however many there are", () => {
  const lines: unknown[] = [];
  const log = { warn: (line: unknown) => void lines.push(line) };
  const counter = { inc: () => {} } as unknown as Counter<"election" | "kind">;
  const note = noteIgnored(counter, log as Parameters<typeof noteIgnored>[1], () => 0);
  for (let i = 0; i < 150; i++) note({ election: "e", id: `g-${i}` }, { senderKeys: 1, statements: 0 });
  assert.equal(lines.length, 100);
});
