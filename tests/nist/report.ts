/**
 * What is wrong with an election report beyond what NIST's schema checks.
 *
 * @module
 */

type Node = { [name: string]: any };

/** Every object of a document. */
function* objects(value: unknown): Generator<Node> {
  if (Array.isArray(value)) { for (const each of value) yield* objects(each); }
  else if (value !== null && typeof value === "object") {
    yield value as Node;
    for (const each of Object.values(value)) yield* objects(each);
  }
}

/** Says what is wrong: dangling ids, ids given twice, negative counts, colours, times, modes without a total, undervotes left out, sums that differ. */
export function reportFaults(report: Node): string[] {
  const faults: string[] = [];
  const ids = new Set<string>();
  for (const node of objects(report)) {
    if (node["@id"] === undefined) continue;
    if (ids.has(node["@id"])) faults.push(`id ${node["@id"]} is given twice`);
    if (!/^[A-Za-z_][A-Za-z0-9._-]*$/.test(node["@id"])) faults.push(`id ${node["@id"]} is no NCName`);
    ids.add(node["@id"]);
  }
  for (const node of objects(report)) {
    for (const [name, value] of Object.entries(node)) {
      if (/Ids?$/.test(name) && name !== "@id" && name !== "VendorApplicationId") {
        for (const id of [value].flat()) if (!ids.has(id)) faults.push(`${node["@type"]}.${name} ${id} names nothing`);
      }
      if (typeof value === "number" && value < 0) faults.push(`${node["@type"]}.${name} is ${value}`);
      if (name === "Color" && !/^[0-9a-f]{6}$/.test(value)) faults.push(`colour ${value}`);
      if (typeof value === "string" && /T\d\d:\d\d:\d\d\.\d/.test(value)) faults.push(`fractions of a second in ${value}`);
      if (name === "GeneratedDate" && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value)) faults.push(`time ${value}`);
    }
  }
  for (const election of report.Election) faults.push(...sumFaults(election));
  return faults;
}

/** Undervotes stand once at each place that has a total, and places sum to the election. */
function undervoteFaults({ "@id": id, OtherCounts, ContestSelection }: Node): string[] {
  const places = new Map<string, number>(
    OtherCounts.map((count: Node) => [count.GpUnitId, count.Undervotes]),
  );
  const faults: string[] = [];
  if (places.size !== OtherCounts.length) faults.push(`${id}: undervotes of a place stand twice`);
  for (const { VoteCounts } of ContestSelection) {
    const totals = VoteCounts.filter(({ Type }: Node) => Type === "total");
    for (const { GpUnitId } of totals) {
      if (!Number.isInteger(places.get(GpUnitId))) faults.push(`${id}: ${GpUnitId} has no undervotes`);
    }
    if (totals.length !== places.size) faults.push(`${id}: undervotes of a place that has no total`);
  }
  const whole = places.get("gp.election") ?? 0;
  const sum = [...places.values()].reduce((sum, n) => sum + n, -whole);
  if (places.size > 1 && sum !== whole) faults.push(`${id}: places have ${sum} undervotes, the election ${whole}`);
  return faults;
}

function sumFaults(election: Node): string[] {
  const faults: string[] = election.Contest.flatMap(undervoteFaults);
  const lists = [
    ["ballots", election.BallotCounts, "BallotsCast"],
    ...election.Contest.flatMap((contest: Node) =>
      contest.ContestSelection.map((selection: Node) => [selection["@id"], selection.VoteCounts, "Count"])
    ),
  ];
  for (const [what, counts, field] of lists) {
    const totals = new Map<string, number>();
    const parts = new Map<string, number>();
    for (const count of counts) {
      const sums = count.Type === "total" ? totals : parts;
      sums.set(count.GpUnitId, (sums.get(count.GpUnitId) ?? 0) + count[field]);
    }
    for (const [place, n] of parts) {
      if (totals.get(place) !== n) faults.push(`${what}: the modes of ${place} have ${n}, its total ${totals.get(place)}`);
    }
    let sum = 0;
    for (const [place, n] of totals) if (place !== "gp.election") sum += n;
    if (counts.length > 0 && totals.size > 1 && sum !== totals.get("gp.election")) {
      faults.push(`${what}: places have ${sum}, the election ${totals.get("gp.election")}`);
    }
  }
  return faults;
}
