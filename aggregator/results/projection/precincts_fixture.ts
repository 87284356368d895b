/**
 * Precincts of a real election, to measure projections on: Rhode Island 2020, president, where its file is there, and a
 * made-up election of the same shape where it is not.
 *
 * @module
 */
import { randomFrom, shuffled } from "./random.ts";
import { type ReportedStation, sum } from "./stations.ts";

/** OpenElections' file, beside a checkout. */
const FILE = "shared/data/20201103__ri__general__president__precinct.csv";
/** Folders above this one in which `shared/` may stand. */
const ABOVE = ["../../../../", "../../../../../"];

/** Mean turnout, and by how much towns and precincts differ from it. The file has no roll; the seed makes one. */
const TURNOUT = { mean: 0.66, towns: 0.05, precincts: 0.05, least: 0.3, most: 0.95 };

/** All stations of an election, with their votes. */
export type MeasuredElection = Readonly<
  { name: string; candidates: string[]; stations: ReportedStation[]; isReal: boolean }
>;

/** Reads the election from its file, or makes one up. */
export async function readPrecincts(seed = 7): Promise<MeasuredElection> {
  for (const above of ABOVE) {
    const text = await Deno.readTextFile(new URL(above + FILE, import.meta.url)).catch(() => undefined);
    if (text !== undefined) return rhodeIsland(text, seed);
  }
  return madeUp(seed);
}

/** `office,district,candidate,party,precinct,votes,absentee_votes`; towns are regions. */
function rhodeIsland(text: string, seed: number): MeasuredElection {
  const votes = new Map<string, number[]>();
  const candidates: string[] = [];
  for (const line of text.trim().split("\n").slice(1)) {
    const [, candidate, precinct, count] = line.match(
      /^President,,("(?:[^"]|"")*"|[^,]*),[^,]*,([^,]*),(\d*),/,
    )! as unknown as [string, string, string, string];
    if (!candidates.includes(candidate)) candidates.push(candidate);
    let row = votes.get(precinct);
    if (row === undefined) votes.set(precinct, row = []);
    row[candidates.indexOf(candidate)] = Number(count);
  }
  const townOf = (precinct: string) =>
    precinct.startsWith("Federal") ? "Federal" : precinct.replace(/ (\d{4}|Limited( \d)?|Presidential)$/, "");
  const stations = [...votes].map(([precinct, votes]) => ({ region: townOf(precinct), votes }));
  return {
    name: "Rhode Island 2020, president",
    candidates,
    stations: withRolls(stations, seed),
    isReal: true,
  };
}

/** 504 precincts in 40 towns, whose sizes and shares differ about as Rhode Island's do. */
function madeUp(seed: number): MeasuredElection {
  const random = randomFrom(seed + 1);
  const normal = normalFrom(random);
  const stations = Array.from({ length: 40 }, (_, town) => {
    const precincts = Math.max(2, Math.round(12.6 * Math.exp(0.7 * normal()) * 0.8));
    const lean = normal() * 0.11;
    return Array.from({ length: precincts }, () => {
      const voters = Math.max(20, Math.round(1_000 * Math.exp(0.4 * normal())));
      const first = Math.min(0.95, Math.max(0.05, 0.58 + lean + normal() * 0.05));
      const third = Math.max(0, 0.02 + normal() * 0.005);
      const votes = [1 - first - third, first, third].map((share) => Math.max(0, Math.round(voters * share)));
      return { region: `Town ${town}`, votes };
    });
  }).flat();
  return {
    name: "a made-up election",
    candidates: ["A", "B", "C"],
    stations: withRolls(stations, seed),
    isReal: false,
  };
}

function withRolls(
  stations: readonly { region: string; votes: number[] }[],
  seed: number,
): ReportedStation[] {
  const normal = normalFrom(randomFrom(seed));
  const towns = new Map<string, number>();
  return stations.map(({ region, votes }) => {
    let town = towns.get(region);
    if (town === undefined) towns.set(region, town = normal() * TURNOUT.towns);
    const wished = TURNOUT.mean + town + normal() * TURNOUT.precincts;
    const turnout = Math.min(TURNOUT.most, Math.max(TURNOUT.least, wished));
    return { region, votes, roll: Math.max(1, Math.round(sum(votes) / turnout)) };
  });
}

function normalFrom(random: () => number): () => number {
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** How stations report: each at random, or whole regions one after the other, and within a region at random. */
export type OrderKind = "random" | "towns";

/** The stations after so much of the roll has reported; the others without their votes. */
export function reportedUpTo(
  stations: readonly ReportedStation[],
  kind: OrderKind,
  share: number,
  seed: number,
) {
  const random = randomFrom(seed);
  const order = kind === "random"
    ? shuffled(stations, random)
    : shuffled([...Map.groupBy(stations, ({ region }) => region).values()], random)
      .flatMap((town) => shuffled(town, random));
  const wanted = share * sum(stations.map(({ roll }) => roll));
  let roll = 0;
  return order.map(({ votes, ...station }, order) => {
    const isIn = roll < wanted;
    roll += station.roll;
    return isIn ? { ...station, order, votes } : station;
  });
}
