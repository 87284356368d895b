import assert from "assert";
import fc from "fast-check";
import { UsageError } from "./command.ts";
import { openCsv, readCsv, readText } from "./csv.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

async function withFile<T>(content: Uint8Array | string, work: (path: string) => Promise<T>): Promise<T> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    return await work(path);
  } finally {
    await Deno.remove(path);
  }
}

/** The rows of a file as `[line, ...cells]`, and its notes. */
async function read(content: Uint8Array | string): Promise<{ rows: unknown[][]; notes: readonly string[] }> {
  return await withFile(content, async (path) => {
    const { notes, rows } = await openCsv(path);
    return { notes, rows: (await Array.fromAsync(rows)).map(({ line, cells }) => [line, ...cells]) };
  });
}

async function refuses(content: Uint8Array | string, message: RegExp): Promise<void> {
  await assert.rejects(read(content), (error) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

const utf16 = (text: string) =>
  Uint8Array.from([0xff, 0xfe, ...[...text].flatMap((c) => [c.charCodeAt(0) & 0xff, c.charCodeAt(0) >> 8])]);

Deno.test(
  "openCsv() tells the line on which each row begins, over quotes, empty lines and a mark",
  strict,
  async () => {
    const { rows, notes } = await read('\ufeffa,b\r\n"1,5","x ""y"""\r\n\r\n"two\r\nlines",\rlast,\n');
    assert.deepEqual(rows, [[1, "a", "b"], [2, "1,5", 'x "y"'], [4, "two\nlines", ""], [6, "last", ""]]);
    assert.deepEqual(notes, []);
  },
);

for (const [separator, name] of [[";", "semicolon"], ["\t", "tab"], ["|", "bar"]]) {
  Deno.test(`openCsv() finds that the separator is a ${name}`, strict, async () => {
    const { rows, notes } = await read(["a", '"b,c"'].join(separator) + `\n1${separator}2,5\n`);
    assert.deepEqual(rows, [[1, "a", "b,c"], [2, "1", "2,5"]]);
    assert.deepEqual(notes, [`the separator is a ${name}`]);
  });
}

Deno.test("openCsv() takes the separator that a spreadsheet names", strict, async () => {
  assert.deepEqual((await read("sep=;\na;b\n1;2\n")).rows, [[2, "a", "b"], [3, "1", "2"]]);
});

Deno.test("openCsv() reads UTF-16, Latin-1 and MacRoman, and says so", strict, async () => {
  const expected = [[1, "a", "b"], [2, "José", "1"]];
  const bytes = (e: number) =>
    Uint8Array.from([...new TextEncoder().encode("a,b\nJos?,1\n")].map((b) => b === 0x3f ? e : b));
  for (
    const [content, note] of [
      [utf16("a,b\nJosé,1\n"), /UTF-16/],
      [bytes(0xe9), /Latin-1/],
      [bytes(0x8e), /MacRoman/],
    ] as const
  ) {
    const { rows, notes } = await read(content);
    assert.deepEqual(rows, expected);
    assert.match(notes[0]!, note);
  }
});

Deno.test("openCsv() keeps U+FFFD of a file that is UTF-8", strict, async () => {
  assert.deepEqual(await read("a\nQUILL\ufffdADA José\n"), {
    rows: [[1, "a"], [2, "QUILL\ufffdADA José"]],
    notes: [],
  });
});

Deno.test("openCsv() says on which line a quote begins that is not closed", strict, async () => {
  const before = "a,b\n" + "1,2\n".repeat(5_000);
  await refuses(`${before}"open,1\nx,2\n`, /, line 5002: it begins a quote that is not closed up to the end/);
  await refuses(
    `${before}\n"open,1\nx,"2"\n`,
    /, line 5003: it begins a quote that is not closed where its cell/,
  );
  await refuses(
    `${before}"open,1\n${"x,2\n".repeat(50_000)}`,
    /, line 5002: it has more than 100000 characters/,
  );
  await refuses(`${before}Bob "B" Smith,1\n`, /, line 5002: it has a quote in the middle of a cell/);
});

for (
  const [text, isCutOff] of [["a,b\n1,2\n", false], ["a,b\n1,2", true], ['a,b\n1,"2"', false], [
    "a,b\n1,",
    true,
  ]] as const
) {
  Deno.test(
    `openCsv() tells ${isCutOff ? "that" : "whether"} ${JSON.stringify(text)} ends in a cell`,
    strict,
    async () => {
      const rows = await withFile(text, (path) => Array.fromAsync(readCsv(path)));
      assert.deepEqual(rows.map((row) => row.isCutOff), [false, isCutOff]);
    },
  );
}

Deno.test("openCsv() refuses UTF-16 that was cut off, and a file that is not there", strict, async () => {
  await refuses(utf16("a,b\n1,2\n").subarray(0, -1), /not UTF-16LE to the end, or it was cut off/);
  await assert.rejects(
    Array.fromAsync(readCsv("/nowhere.csv")),
    /Cannot read \/nowhere.csv: .*no such file/i,
  );
});

Deno.test("openCsv() closes the file when its reader has had enough", strict, async () => {
  await withFile("a,b\n".repeat(100_000), async (path) => {
    for await (const row of readCsv(path)) if (row.line === 3) break;
  });
});

Deno.test("readText() reads text of any encoding that is known", strict, async () => {
  assert.deepEqual(await withFile('{"a":"José"}', readText), { text: '{"a":"José"}', notes: [] });
  const { text, notes } = await withFile(utf16("José\r\n"), readText);
  assert.equal(text, "José\n");
  assert.equal(notes.length, 1);
});

Deno.test("openCsv() reads back any table, with any separator, quotes and line breaks", strict, async () => {
  const cell = fc.string({ unit: fc.constantFrom(..."ab é\"',;\t|\n漢".split("")), maxLength: 8 });
  const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(table, fc.constantFrom(",", ";", "\t", "|"), async (cells, separator) => {
      const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
      const text = cells.map((row) => row.map(quoted).join(separator) + "\n").join("");
      const { rows } = await read(text);
      assert.deepEqual(rows.map(([, ...row]) => row), cells);
    }),
    { numRuns: 60 },
  );
});
