import assert from "assert";
import fc from "fast-check";
import { withDirectory } from "../../tests/directory.ts";
import { keepLedger, type LedgerEntry, LedgerProcess, readLedger, type SentEntry } from "./ledger.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

function sent(n: number): SentEntry {
  return {
    entry: "sent",
    voteId: `vote-${n}`,
    voterId: `voter-${n}`,
    kind: "first",
    station: "s",
    mode: "early",
    selections: ["p/a"],
  };
}

async function withFile(work: (path: string) => Promise<void>): Promise<void> {
  await withDirectory(async (dir) => {
    await work(`${dir}/ledger.ndjson`);
  });
}

/** Text as a stream, cut wherever `cuts` says. */
function stream(text: string, cuts: readonly number[]): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return ReadableStream.from([0, ...at].map((from, i) => bytes.slice(from, at[i] ?? bytes.length)));
}

Deno.test(
  "keepLedger() writes entries and not marks, and answers marks, wherever the stream is cut",
  strict,
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3), { maxLength: 8 }),
        fc.array(fc.nat(2_000), { maxLength: 6 }),
        async (sizes, cuts) => {
          await withFile(async (path) => {
            let n = 0;
            const entries: LedgerEntry[] = [];
            let text = "";
            sizes.forEach((size, mark) => {
              for (let i = 0; i < size; i++) {
                entries.push(sent(n++));
                text += `${JSON.stringify(entries.at(-1))}\n`;
              }
              text += `#${mark + 1}\n`;
            });
            const marks: number[] = [];
            await keepLedger(path, stream(text, cuts), (mark) => marks.push(mark));
            assert.deepEqual(await Array.fromAsync(readLedger(path)), entries);
            assert.equal(marks.at(-1), sizes.length === 0 ? undefined : sizes.length);
          });
        },
      ),
      { numRuns: 40 },
    );
  },
);

Deno.test("keepLedger() has written everything before a mark by the time it answers it", strict, async () => {
  await withFile(async (path) => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const sizes: number[] = [];
    const keeping = keepLedger(path, readable, () => sizes.push(Deno.statSync(path).size));
    await writer.write(new TextEncoder().encode(`${JSON.stringify(sent(1))}\n#1\n`));
    await writer.write(new TextEncoder().encode(`${JSON.stringify(sent(2))}\n`));
    await writer.write(new TextEncoder().encode(`#2\n`));
    await writer.close();
    await keeping;
    const line = JSON.stringify(sent(1)).length + 1;
    assert.deepEqual(sizes, [line, 2 * line]);
  });
});

Deno.test("readLedger() passes over a torn last line, and no other", strict, async () => {
  await withFile(async (path) => {
    const whole = `${JSON.stringify(sent(1))}\n${JSON.stringify(sent(2))}\n`;
    for (let cut = 1; cut < 40; cut++) {
      await Deno.writeTextFile(path, whole.slice(0, -cut));
      assert.deepEqual(await Array.fromAsync(readLedger(path)), cut === 1 ? [sent(1), sent(2)] : [sent(1)]);
    }
    await Deno.writeTextFile(path, `{"entry":"sent"\n${whole}`);
    await assert.rejects(Array.fromAsync(readLedger(path)), /ledger.ndjson: line 1 is not an entry/);
  });
});

Deno.test(
  "LedgerProcess writes durably, many writers at once, and goes on where it left off",
  strict,
  async () => {
    await withFile(async (path) => {
      for (const round of [0, 1]) {
        const ledger = LedgerProcess.start(path);
        await Promise.all(Array.from({ length: 50 }, (_, i) => ledger.write([sent(round * 50 + i)])));
        assert.equal(
          (await Array.fromAsync(readLedger(path))).length,
          (round + 1) * 50,
          "before it is closed",
        );
        await ledger.close();
      }
    });
  },
);

Deno.test("LedgerProcess refuses to go on when its process was killed", strict, async () => {
  await withFile(async (path) => {
    const ledger = LedgerProcess.start(path);
    await ledger.write([sent(1)]);
    Deno.kill(ledger.pid, "SIGKILL");
    await assert.rejects(async () => {
      for (;;) await ledger.write([sent(2)]);
    }, /ledger's process failed/);
    await assert.rejects(ledger.close(), /ledger's process failed/);
    assert.deepEqual((await Array.fromAsync(readLedger(path)))[0], sent(1));
  });
});
