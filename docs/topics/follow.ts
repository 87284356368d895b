// Follows the topic tallies-by-candidate, and prints who has how many votes. Candidates are told apart by id: names may be the same.
//
//   kafka-console-consumer.sh --bootstrap-server … --topic tallies-by-candidate --from-beginning \
//     --property print.key=true --timeout-ms 10000 | deno run docs/topics/follow.ts
//
// Works with any client: a message is a key, a tab, and a row as JSON, or "null" for a key that is gone.

type Tally = { election: string; contest: string; candidate: string; votes: number; revision: number };

const newest = new Map<string, Tally>();

function take(line: string): void {
  const tab = line.indexOf("\t");
  const [key, value] = [line.slice(0, tab), line.slice(tab + 1)];
  if (value === "null") newest.delete(key);
  else newest.set(key, JSON.parse(value));
}

let rest = "";
for await (const piece of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + piece).split("\n");
  rest = lines.pop()!;
  lines.filter((line) => line !== "").forEach(take);
}
for (const [key, { candidate, votes }] of [...newest].sort(([a], [b]) => a < b ? -1 : 1)) {
  // Sums over all ballots of a contest stand under names that no candidate can have.
  if (!candidate.startsWith("#")) console.log(`${key} ${votes}`);
}
