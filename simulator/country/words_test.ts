import assert from "assert";
import { BRITISH, loadLocale } from "./locales.ts";
import { drawAddresses, drawNames } from "./words.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("drawNames() puts the family name where the locale's generator puts it", async () => {
  for (const name of ["en_GB", "de", "es", "hu", "ja", "ko", "vi", "zh_CN", "zh_TW"]) {
    const locale = await loadLocale(name);
    const ours = drawNames(locale, 1).fullName("GIVEN", "FAMILY");
    locale.faker.seed(1);
    const theirs = Array.from(
      { length: 50 },
      () => locale.faker.person.fullName({ firstName: "GIVEN", lastName: "FAMILY" }),
    );
    assert.ok(theirs.some((each) => each.includes(ours)), `${name}: ${ours}, ${theirs[0]}`);
  }
});

Deno.test("drawNames() gives women and men names of their own, and spells them for mail", () => {
  const { given, family } = drawNames(BRITISH, 1);
  const women = new Set(given.female.map(({ text }) => text));
  const shared = given.male.filter(({ text }) => women.has(text)).length;
  assert.ok(women.size > 100 && shared < given.male.length / 4, `${women.size}, ${shared}`);
  for (const { mail } of [...given.any, ...family]) assert.match(mail, /^[a-z0-9][a-z0-9-]*$/);
});

Deno.test("drawAddresses() takes the numbers out of streets", async () => {
  const british = drawAddresses(BRITISH, 1).streets;
  assert.ok(british.every(({ before, after }) => before === "" && /^ \S/.test(after)));
  const german = drawAddresses(await loadLocale("de"), 1).streets;
  assert.ok(german.some(({ before }) => /\S $/.test(before)));
});
