/**
 * Who votes and who stays away, by a documented likelihood; and in what order those come who vote.
 *
 * A voter's likelihood is a logistic function of a sum (a logit model): that of the share asked for, what the voter's age
 * adds or takes, the region's lean, and a little for gender. By age it rises from the youngest to those about 70, and
 * falls among the very old, as surveys after elections find. Regions' leans are drawn from the seed, and are 0 on average
 * over the regions. So about the share asked for comes in the whole country, more or less of each group.
 *
 * @module
 */
import { normal, seededRandom } from "../random.ts";
import type { Voter } from "../voting/roll.ts";
import type { Country } from "./country.ts";
import { REGISTERED_BY } from "./profile.ts";

/** Share of the voters on a roll who come, when nothing else is asked for. */
export const DEFAULT_TURNOUT = 0.7;

/** What decides whether a voter votes. */
export type Comer = Pick<Voter, "id" | "region" | "birthDate" | "gender">;

/** What an age in years adds to the logit; in between, what lies on the line. Next to a likelihood of 0.7, 0.5 is 0.1. */
const AGE_LEANS: readonly (readonly [age: number, lean: number])[] = [
  [18, -0.75],
  [30, -0.35],
  [50, 0.15],
  [70, 0.6],
  [80, 0.45],
  [95, -0.3],
];
/** What being a woman adds, and being a man takes. */
const GENDER_LEAN = 0.05;
/** Standard deviation of the regions' leans. */
const REGION_SPREAD = 0.25;

/** Standard deviation of the logarithm of the power by which a region's voters come earlier or later in the day. */
const TEMPO_SPREAD = 0.12;
/** Into how many parts the voters of a day are divided: who comes in which is drawn. At most {@link AWAY}. */
const DAY_PARTS = 96;
/** In place of a part, for those who stay away. */
const AWAY = 255;

/** How many more may stay away than the share says, and how many deviations of chance: see {@link rollFor}. */
const MORE_AWAY = { factor: 1.2, deviations: 5 } as const;

/**
 * Says of any voter whether they come. It depends on the seed, the share, the regions and the voter, and on nothing
 * else: not on the day either, so the age is that at the end of registration.
 *
 * @param share Of the voters, who come: above 0, and at 1 everybody does.
 * @param regions Ids of all regions.
 */
export function voterTurnout(
  seed: number,
  share: number,
  regions: readonly string[],
): (voter: Comer) => boolean {
  const drawn = regions.map((region) => REGION_SPREAD * normal(seededRandom(seed, "turnout of", region)));
  const mean = drawn.reduce((sum, lean) => sum + lean, 0) / drawn.length;
  const leans = new Map(regions.map((region, i) => [region, drawn[i]! - mean]));
  // Infinity for 1: nothing leans against it.
  const base = Math.log(share / (1 - share));
  return ({ id, region, birthDate, gender }) => {
    const ofGender = gender === "female" ? GENDER_LEAN : gender === "male" ? -GENDER_LEAN : 0;
    const logit = base + ageLean(birthDate) + (leans.get(region) ?? 0) + ofGender;
    return seededRandom(seed, "turnout", id).next() < 1 / (1 + Math.exp(-logit));
  };
}

/** The lean of a voter's age in years; 0 when the birth date is not known. */
function ageLean(birthDate: string): number {
  if (birthDate === "") return 0;
  const age = Number(REGISTERED_BY.slice(0, 4)) - Number(birthDate.slice(0, 4));
  const next = AGE_LEANS.findIndex(([upTo]) => age < upTo);
  if (next === -1) return AGE_LEANS.at(-1)![1];
  if (next === 0) return AGE_LEANS[0]![1];
  const [[from, before], [to, after]] = [AGE_LEANS[next - 1]!, AGE_LEANS[next]!];
  return before + (after - before) * (age - from) / (to - from);
}

/** Those of a country who come. */
export type Comers = Readonly<{
  total: number;
  /** In the order in which they come, made one at a time; the same each time. */
  voters(): Generator<Voter>;
}>;

/**
 * Has a country's voters come, or stay away. Stations and regions are mixed all day, and some regions' voters come rather
 * earlier, others' later. A byte a voter is held.
 */
export function comersOf(
  { definition, size, voter }: Pick<Country, "definition" | "size" | "voter">,
  seed: number,
  share: number,
): Comers {
  const regions = definition.regions.map(({ id }) => id);
  const comes = voterTurnout(seed, share, regions);
  const tempos = new Map(
    regions.map((id) => [id, Math.exp(TEMPO_SPREAD * normal(seededRandom(seed, "tempo", id)))]),
  );
  const parts = new Uint8Array(size.voters).fill(AWAY);
  let total = 0;
  for (let index = 0; index < size.voters; index++) {
    const who = voter(index);
    if (!comes(who)) continue;
    // A power leaves the day's beginning and end where they are.
    const time = seededRandom(seed, "time", index).next() ** tempos.get(who.region)!;
    parts[index] = Math.floor(DAY_PARTS * time);
    total++;
  }
  function* voters() {
    for (let part = 0; part < DAY_PARTS; part++) {
      for (let at = parts.indexOf(part); at !== -1; at = parts.indexOf(part, at + 1)) yield voter(at);
    }
  }
  return { total, voters };
}

/**
 * How many voters a roll needs so that at least `comers` of them come: with some to spare, because regions differ in size and
 * lean, and because of chance.
 */
export function rollFor(comers: number, share: number): number {
  const away = comers * (1 - share) / share;
  return comers + Math.ceil(MORE_AWAY.factor * away + MORE_AWAY.deviations * Math.sqrt(away));
}
