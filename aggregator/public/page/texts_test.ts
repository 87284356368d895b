import assert from "assert";
import { HELD_REASONS, REJECTION_REASONS } from "../../../shared/outcome.ts";
import { LANGUAGES, texts as first, useLanguage } from "./texts.js";
import { storyOf } from "./story.js";
import * as module from "./texts.js";

Deno.test.sanitizer({ ops: true, resources: true });

/** Every text by its path, with the number of arguments of those that take some. */
function shapeOf(value: any, path = ""): string[] {
  if (typeof value === "function") return [`${path}(${value.length})`];
  if (typeof value === "object") {
    return Object.entries(value).flatMap(([key, each]) => shapeOf(each, `${path}.${key}`));
  }
  return [path];
}

Deno.test("every language has every text", () => {
  for (const texts of Object.values(LANGUAGES)) {
    assert.deepEqual(shapeOf(texts).sort(), shapeOf(LANGUAGES.en).sort(), texts.code);
    for (const [name, text] of Object.entries(texts)) assert.notEqual(text, "", `${texts.code} ${name}`);
  }
});

Deno.test("useLanguage() takes the one that is wanted, else the reader's, else English", () => {
  assert.equal(first.code, "en");
  assert.equal(useLanguage("de"), "de");
  assert.equal(module.texts.code, "de");
  assert.equal(useLanguage(undefined, ["fr-FR", "de-AT", "en"]), "de");
  assert.equal(useLanguage("constructor", ["fr"]), "en");
});

Deno.test("a story is a sentence in every language, names isolated", () => {
  const rows = [{ id: "a", name: "Gottlieb", votes: 1_046 }, { id: "b", name: "בוייר", votes: 698 }];
  const leads: any = storyOf(rows, 1, 1_030);
  assert.equal(
    LANGUAGES.en.story.leads(leads),
    "\u2068Gottlieb\u2069 leads \u2068בוייר\u2069 by 348 votes (20.0 points).",
  );
  const marked: any = storyOf([rows[0]!, { ...rows[1]!, withdrawn: true }], 1, 1_030);
  assert.match(LANGUAGES.en.story.leads(marked), /leads \u2068בוייר\u2069 \(withdrawn\) by/);
  assert.match(LANGUAGES.de.story.leads(marked), /vor \u2068בוייר\u2069 \(zurückgezogen\) mit/);
  assert.equal(LANGUAGES.en.because.leads(leads), "More votes than that can still come: 1,030.");
  assert.equal(
    LANGUAGES.de.story.leads(leads),
    "\u2068Gottlieb\u2069 führt vor \u2068בוייר\u2069 mit 348 Stimmen (20,0 Punkte).",
  );
  const tied: any = storyOf(rows.map((row) => ({ ...row, votes: 1 })), 1, 2);
  assert.equal(
    LANGUAGES.en.story.tied(tied),
    "\u2068Gottlieb\u2069 and \u2068בוייר\u2069 are tied with 1 vote each.",
  );
  for (const { story, because } of Object.values(LANGUAGES)) {
    const decided: any = storyOf(rows, 1, 0);
    assert.match(story.decided(decided), /Gottlieb/);
    assert.match(because.decided(decided), /\.$/);
  }
});

Deno.test("a share of nothing is a dash", () => {
  for (const { share } of Object.values(LANGUAGES)) {
    assert.equal(share(undefined), "–");
    assert.match(share(0.345), /^34[.,]5\s?%$/);
  }
});

Deno.test("texts name every outcome that there is", () => {
  for (const { outcomeOf } of Object.values(LANGUAGES)) {
    for (const reason of Object.keys(REJECTION_REASONS)) {
      assert.notEqual(outcomeOf({ fate: "rejected", reason }), reason.replaceAll("_", " "), reason);
    }
    for (const reason of Object.keys(HELD_REASONS)) {
      assert.match(outcomeOf({ fate: "held", reason }), /^(Held|Zurückgestellt): /, reason);
    }
  }
  assert.equal(LANGUAGES.en.outcomeOf({ fate: "counted", reason: "" }), "Counted");
  assert.equal(LANGUAGES.en.outcomeOf({ fate: "statement", reason: "" }), "Gateways' statements");
});
