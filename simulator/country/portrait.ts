/**
 * Draws people as small SVG images: a head, hair, clothes, sometimes a beard or glasses. Nobody's likeness.
 *
 * Attributes are in single quotes, and no comma is used: the text needs no quoting in CSV.
 *
 * @module
 */
import type { Random } from "../random.ts";
import type { Voter } from "../voting/roll.ts";

/** What a portrait shows of a person. `age` is in years. */
export type Sitter = Readonly<{ gender: Voter["gender"]; age: number }>;

const SKINS = ["#f6d7c3", "#eec1a2", "#dba37d", "#c08258", "#94603c", "#6b432b"];
const HAIRS = ["#1f1a17", "#3b2a20", "#6a4a30", "#9a6a3a", "#c79a55", "#8c3b22"];
/** How many of them go with the darker half of the skins: the first. */
const DARK_HAIRS = 3;
const GREYS = ["#9c9a97", "#c9c7c3", "#e6e4df"];
const CLOTHES = ["#2f4858", "#7a3e48", "#3d5a45", "#5b4a78", "#8a5a2b", "#44546a", "#a3543f", "#5f6b3c"];
const BACKDROPS = ["#dfe8ee", "#efe6dc", "#e3ecdf", "#ece3ee", "#f1ead2", "#dde9e8"];
const LIPS = ["#a8524c", "#8f4a44", "#b8655c"];

/** Hair that is seen behind the head, for styles that have any; then what is seen in front. */
const STYLES: Readonly<Record<"short" | "parted" | "receding" | "curly" | "long" | "bob" | "bun", Style>> = {
  short: { front: "M20 29q-3-18 12-18t12 18q-2-9-6-11-6 2-12 0-4 2-6 11z" },
  parted: { front: "M20 30q-4-19 12-19t12 19q-1-9-5-12-7 3-15 1-3 4-4 11z" },
  receding: { front: "M20 30q-3-9 1-13 1 5 1 6-1 3-2 7zm24 0q3-9-1-13-1 5-1 6 1 3 2 7z" },
  curly: {
    front:
      "M19 30q-4-5 0-9-2-6 4-7 2-5 7-3 5-3 8 1 6 0 5 6 5 4 2 12-2-3-3-8-4 0-6-3-4 3-8 1-4 2-5 4-2 3-4 6z",
  },
  long: {
    back: "M18 30q-2-21 14-21t14 21l2 22q-16 5-32 0z",
    front: "M20 30q-2-18 12-18t12 18q-2-8-7-12-5 6-14 6-2 2-3 6z",
  },
  bob: {
    back: "M18 30q-2-21 14-21t14 21q2 8 0 13-14 3-28 0-2-5 0-13z",
    front: "M20 31q-2-19 12-19t12 19q-1-7-3-9-9 1-18 0-2 3-3 9z",
  },
  bun: {
    back: "M26 10a6 6 0 1 1 12 0 6 6 0 1 1-12 0z",
    front: "M20 30q-3-18 12-18t12 18q-3-10-12-11-9 1-12 11z",
  },
};
type Style = Readonly<{ back?: string; front: string }>;
const WOMENS = ["long", "long", "bob", "bun", "curly", "parted"] as const;
const MENS = ["short", "short", "parted", "curly", "receding"] as const;
const ANY = ["short", "parted", "curly", "bob", "long"] as const;

const BEARD = "M20.5 29q0 14 11.5 15 11.5-1 11.5-15-2 5-5 5.5-3-2-6.5-2t-6.5 2q-3-.5-5-5.5z";
const MOUTH = "M28 37.5q4 3 8 0";
const GLASSES = "M23.5 28.5a3.7 3.7 0 1 0 7.4 0a3.7 3.7 0 1 0-7.4 0zm9.6 0a3.7 3.7 0 1 0 7.4 0" +
  "a3.7 3.7 0 1 0-7.4 0zm-2.2 0h2.2";

/** Draws a voter: some 900 characters. */
export function drawVoter(random: Random, sitter: Sitter): string {
  const cloth = random.pick(CLOTHES);
  const backdrop = random.pick(BACKDROPS);
  const clothes = `<path fill='${cloth}' d='M7 64q2-16 25-17 23 1 25 17z'/>`;
  return drawing(backdrop, "", clothes, drawHead(random, sitter));
}

/**
 * Draws a candidate before the party's colour, in a jacket with a pin.
 *
 * @param colour The party's, `#rrggbb`; grey for those without one.
 */
export function drawCandidate(random: Random, sitter: Sitter, colour = "#7a7f87"): string {
  const jacket = random.pick(["#27323f", "#3a3036", "#2d3a34", "#40434a"]);
  const clothes = `<path fill='${jacket}' d='M5 64q2-16 27-17 25 1 27 17z'/>` +
    `<path fill='#fbfaf7' d='M25 47.5l7 16.5 7-16.5q-7 4-14 0z'/>` +
    `<path fill='${colour}' d='M30.5 51h3l1.5 13h-6z'/><circle cx='46' cy='56' r='1.8' fill='${colour}'/>`;
  const halo = `<circle cx='32' cy='30' r='27' fill='#fff' opacity='.25'/>`;
  return drawing(colour, halo, clothes, drawHead(random, sitter));
}

function drawing(
  backdrop: string,
  halo: string,
  clothes: string,
  head: Readonly<{ back: string; face: string }>,
): string {
  return `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 64 64'><path fill='${backdrop}' d='M0 0h64v64H0z'/>` +
    `${halo}${head.back}${clothes}${head.face}</svg>`;
}

function drawHead(random: Random, { gender, age }: Sitter): { back: string; face: string } {
  const tone = random.below(SKINS.length);
  const skin = SKINS[tone];
  const young = HAIRS[random.below(tone < 3 ? HAIRS.length : DARK_HAIRS)];
  // Nobody is grey before 30, everybody at 100.
  const hair = 30 + random.next() * 70 < age ? random.pick(GREYS) : young;
  const styles = gender === "female" ? WOMENS : gender === "male" ? MENS : ANY;
  const { back, front } = STYLES[random.pick<keyof typeof STYLES>(styles)];
  const lips = random.pick(LIPS);
  const beard = random.next() < 0.3 && gender === "male";
  const glasses = random.next() < 0.15 + age / 300;
  const width = 11 + random.below(4) / 2;
  const ink = `fill='none' stroke='#2b2320' stroke-linecap='round'`;
  const face =
    `<path fill='${skin}' d='M27 39h10v9q-5 5-10 0z'/><path opacity='.12' d='M27 43q5 4 10 0v2q-5 4-10 0z'/>` +
    `<ellipse cx='32' cy='29' rx='${width}' ry='14' fill='${skin}'/>` +
    (beard ? `<path fill='${hair}' d='${BEARD}'/>` : "") +
    `<path fill='${hair}' d='${front}'/><path fill='#2b2320' d='M26 28.5a1.2 1.2 0 1 0 2.4 0a1.2 1.2 0 1 0-2.4 0z` +
    `m9.6 0a1.2 1.2 0 1 0 2.4 0a1.2 1.2 0 1 0-2.4 0z'/>` +
    `<path ${ink} opacity='.7' d='M25 25.5q2-1.5 4.5 0m5 0q2.5-1.5 4.5 0'/>` +
    `<path fill='none' stroke='${lips}' stroke-width='1.4' stroke-linecap='round' d='${MOUTH}'/>` +
    (glasses ? `<path ${ink} stroke-width='.7' d='${GLASSES}'/>` : "");
  return { back: back === undefined ? "" : `<path fill='${hair}' d='${back}'/>`, face };
}
