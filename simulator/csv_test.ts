import assert from "assert";
import { UsageError } from "../cli/command.ts";
import { type CsvRow, readCsv } from "./csv.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

async function read(bytes: Uint8Array | string, encoding?: "utf8" | "latin1"): Promise<CsvRow[]> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
    return await Array.fromAsync(readCsv(path, encoding));
  } finally {
    await Deno.remove(path);
  }
}

Deno.test(
  "readCsv() tells the line of each row, over quotes, empty lines and a byte order mark",
  strict,
  async () => {
    assert.deepEqual(await read('\ufeffa,b\r\n"1,5","x ""y"""\r\n\r\n"two\nlines",\r\nlast'), [
      { line: 1, cells: ["a", "b"] },
      { line: 2, cells: ["1,5", 'x "y"'] },
      { line: 5, cells: ["two\nlines", ""] },
      { line: 6, cells: ["last"] },
    ]);
  },
);

Deno.test("readCsv() reads Latin-1 when asked to", strict, async () => {
  assert.deepEqual(await read(Uint8Array.of(0x4a, 0x6f, 0x73, 0xe9), "latin1"), [{
    line: 1,
    cells: ["José"],
  }]);
});

Deno.test("readCsv() says where a file is broken, and that one is not there", strict, async () => {
  await assert.rejects(
    read('a,b\n"open,1\n'),
    (error) => error instanceof UsageError && /quote/i.test(error.message),
  );
  await assert.rejects(read(`a\n"${"x".repeat(200_000)}"\n`), UsageError);
  await assert.rejects(Array.fromAsync(readCsv("/nowhere.csv")), /Cannot read \/nowhere.csv: .*no such file/);
});

Deno.test("readCsv() closes the file when its reader has had enough", strict, async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, "a,b\n".repeat(100_000));
  for await (const row of readCsv(path)) if (row.line === 3) break;
  await Deno.remove(path);
});
