/**
 * A feed of changes (Atom, RFC 4287): in each contest, who leads when that changes, and the final release. It is made of
 * released votes by the minute, and so says nothing that the results do not.
 *
 * @module
 */
import type { ElectionNames } from "../registry/election_names.ts";
import type { Results, ResultsRow } from "../results/schemas.ts";

/** Maximum entries of one feed, the newest first. */
const MAX_ENTRIES = 100;

/** Something that changed. `minute`: when it was released. */
export type Change = Readonly<
  { contest: string; minute: string; leaders: string[]; votes: number; ahead: number }
>;

/** The moments at which others led a contest than before; several candidates where they are tied. Oldest first. */
export function leadChanges(rows: readonly ResultsRow<"time">[]): Change[] {
  return [...Map.groupBy(rows, ({ contest }) => contest)].flatMap(([contest, ofContest]) => {
    const totals = new Map<string, number>();
    let before = "";
    return [...Map.groupBy(ofContest, ({ minute }) => minute)].flatMap(([minute, changed]) => {
      for (const { candidate, total } of changed) totals.set(candidate, total);
      const ranked = [...totals].sort(([, a], [, b]) => b - a);
      const votes = ranked[0]?.[1] ?? 0;
      const leaders = ranked.filter(([, count]) => count === votes).map(([candidate]) => candidate).sort();
      if (votes === 0 || leaders.join() === before) return [];
      before = leaders.join();
      const ahead = votes - (ranked[leaders.length]?.[1] ?? 0);
      return [{ contest, minute, leaders, votes, ahead: leaders.length > 1 ? 0 : ahead }];
    });
  }).sort((a, b) => a.minute < b.minute ? -1 : a.minute > b.minute ? 1 : 0);
}

/**
 * Writes the feed.
 *
 * @param origin Where the page is, without a path: `https://results.example`.
 * @param results `results?by=time`.
 */
export function writeFeed(
  { index: { manifest }, contests }: ElectionNames,
  results: Extract<Results, { by: "time" }>,
  origin: string,
): string {
  const { election, name } = manifest;
  const page = `${origin}/?election=${election}`;
  const entries = leadChanges(results.rows).map(({ contest, minute, leaders, votes, ahead }) => {
    const { name: title, candidates } = contests.get(contest)!;
    const nameOf = (id: string) => {
      const { name, withdrawn } = candidates.find((each) => each.id === id) ?? { name: id };
      return withdrawn ? `${name} (withdrawn)` : name;
    };
    const names = leaders.map(nameOf).join(", ");
    const said = leaders.length > 1
      ? `${names} are tied with ${votes} votes each`
      : `${names} leads with ${votes} votes, ${ahead} ahead`;
    return entryOf(`${contest}:${minute}:${leaders.join("+")}`, minute, `${title}: ${said}`, contest);
  });
  if (results.final && results.releasedAt !== null) {
    entries.push(entryOf("final", results.releasedAt, `${name}: the final release has been made`));
  }
  function entryOf(id: string, at: string, title: string, contest?: string): string {
    const link = contest === undefined ? page : `${page}&contest=${contest}`;
    return `  <entry>
    <id>${escapeXml(`urn:pollwire:change:${election}:${id}`)}</id>
    <updated>${instantOf(at)}</updated>
    <title>${escapeXml(title)}</title>
    <link href="${escapeXml(link)}"/>
  </entry>`;
  }
  return `<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
  <id>urn:pollwire:changes:${election}</id>
  <title>${escapeXml(name)}</title>
  <author><name>Pollwire</name></author>
  <link href="${escapeXml(page)}"/>
  <link rel="self" href="${escapeXml(`${origin}/v1/elections/${election}/changes`)}"/>
  <updated>${results.releasedAt ?? manifest.opensAt}</updated>
${entries.slice(-MAX_ENTRIES).reverse().join("\n")}
</feed>
`;
}

/** A minute as an instant. */
function instantOf(at: string): string {
  return new Date(at).toISOString();
}

/** Text as it stands in an element or an attribute. Characters that XML has no way to write are left out. */
function escapeXml(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "")
    .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
