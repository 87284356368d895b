import assert from "assert";
import fc from "fast-check";
import { idSchema } from "../shared/election.ts";
import { slug, Slugs } from "./slug.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

Deno.test("slug() spells names as identifiers", strict, () => {
  assert.equal(slug("Barrington 0101"), "barrington-0101");
  assert.equal(slug("Ste. Geneviève #1S"), "ste-genevieve-1s");
  assert.equal(slug(`Roque "Rocky" De La Fuente`), "roque-rocky-de-la-fuente");
  assert.equal(slug("O'Brien—Straße"), "obrien-strasse");
  assert.equal(slug("???"), "unnamed");
});

Deno.test("slug() spells Cyrillic and Greek letters", strict, () => {
  assert.equal(slug("Оксана Дуб"), "oksana-dub");
  assert.equal(slug("Київ, Щастя"), "kiiv-shchastia");
  assert.equal(slug("Ελένη Δούκα"), "eleni-doyka");
});

Deno.test("slug() keeps names two whose letters it cannot spell", strict, () => {
  const names = ["王小明", "王小红", "第1区", "第1號", "दिल्ली", "דנה", "علي", "ᏣᎳᎩ", "Ward 北", "Ward 南"];
  assert.equal(new Set(names.map((name) => slug(name))).size, names.length);
  assert.match(slug("王小明"), /^name-[0-9a-f]{8}$/);
  assert.match(slug("Ward 北", 16), /^ward-[0-9a-f]{8}$/);
});

Deno.test("slug() is the same for both Unicode forms of a name", strict, () => {
  assert.equal(slug("José Йов"), slug("Jose\u0301 И\u0306ов"));
});

Deno.test("slug() keeps two long names two", strict, () => {
  const a = slug("x".repeat(80) + "1", 40);
  const b = slug("x".repeat(80) + "2", 40);
  assert.ok(a !== b && a.length <= 40 && b.length <= 40);
});

Deno.test("Slugs give every name an identifier of its own, whatever the names", strict, () => {
  const name = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 90 }),
    fc.constantFrom("a", "A", "a-2", "", "x".repeat(70)),
  );
  fc.assert(
    fc.property(fc.array(name, { maxLength: 40 }), fc.integer({ min: 16, max: 64 }), (names, longest) => {
      const slugs = new Slugs(longest);
      const ids = names.map((each) => slugs.take(each));
      assert.equal(new Set(ids).size, ids.length);
      for (const id of ids) assert.ok(idSchema.safeParse(id).success && id.length <= longest, id);
    }),
  );
});
