import assert from "assert";
import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { toCsv } from "./csv.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("toCsv() is read back as it was, whatever names hold", () => {
  const rows = fc.array(
    fc.record({ name: fc.string({ unit: "binary" }).map((text) => `n${text}`), votes: fc.integer() }),
    { minLength: 1 },
  );
  fc.assert(fc.property(rows, (all) => {
    const read = parse(toCsv(all), { columns: true, record_delimiter: "\r\n" });
    assert.deepEqual(
      read.map((row) => ({ ...row as object })),
      all.map(({ name, votes }) => ({ name, votes: String(votes) })),
    );
  }));
});

Deno.test("toCsv() keeps formulas from being run, and null empty", () => {
  assert.equal(
    toCsv([{ name: '=HYPERLINK("x")', party: null, votes: -3 }, { name: "@a", party: "red", votes: 2 }]),
    `name,party,votes\r\n"'=HYPERLINK(""x"")",,-3\r\n'@a,red,2\r\n`,
  );
  assert.equal(toCsv([]), "\r\n");
});
