/**
 * Where made-up places lie: inside the country, each region by itself, its stations around it.
 *
 * @module
 */
import type { Faker } from "@faker-js/faker";
import { type Random, seededRandom } from "../random.ts";
import { type Locale, seededFaker } from "./locales.ts";

/** A point on the map, in degrees of WGS 84. */
export type Point = Readonly<{ latitude: number; longitude: number }>;

/** A region as the map knows it. `state` is what an address in it names above the town. */
export type MappedRegion = Point & Readonly<{ name: string; state: string }>;

/** Maximum distance of a station from its region's middle, in degrees of latitude: some 9 km. */
const STATION_REACH = 0.08;
/** How many names are drawn for a region that has none of its own, before it is numbered. */
const NAME_DRAWS = 20;

/** Each country's name, and a rectangle well inside it, in degrees. */
const COUNTRIES: Readonly<
  Record<string, readonly [name: string, south: number, west: number, north: number, east: number]>
> = {
  AM: ["Armenia", 40.0, 44.2, 40.8, 44.9],
  AT: ["Austria", 47.2, 13.2, 48.2, 15.9],
  AU: ["Australia", -35.5, 143, -31.5, 149.5],
  AZ: ["Azerbaijan", 40.0, 46.8, 40.8, 48.5],
  BD: ["Bangladesh", 23.2, 89.2, 24.8, 90.8],
  BE: ["Belgium", 50.2, 4.95, 50.6, 5.7],
  BR: ["Brazil", -20, -52, -10, -44],
  CA: ["Canada", 50.5, -113, 53.5, -102.5],
  CH: ["Switzerland", 46.7, 7.2, 47.3, 8.6],
  CN: ["China", 27, 107, 36, 117],
  CZ: ["Czechia", 49.2, 13.8, 50.2, 17],
  DE: ["Germany", 49.5, 8.5, 52.5, 11.8],
  DK: ["Denmark", 55.3, 8.9, 56.7, 9.6],
  EG: ["Egypt", 26, 28, 29.5, 32],
  ES: ["Spain", 38.5, -5.8, 42, -1.5],
  FI: ["Finland", 61.5, 23.2, 65, 28.2],
  FR: ["France", 45, 0.2, 49, 5],
  GB: ["United Kingdom", 51.5, -2.2, 53.3, -0.3],
  GE: ["Georgia", 41.9, 42.2, 42.4, 45],
  GH: ["Ghana", 6.2, -2.4, 9.8, -0.4],
  GR: ["Greece", 39.2, 21.6, 40.2, 22.3],
  HK: ["Hong Kong", 22.35, 113.98, 22.48, 114.18],
  HR: ["Croatia", 45.5, 15.8, 46, 17.2],
  HU: ["Hungary", 46.4, 17.4, 47.5, 20.6],
  ID: ["Indonesia", -7.4, 107.2, -6.9, 111.5],
  IE: ["Ireland", 52.4, -8.6, 53.8, -7],
  IL: ["Israel", 31.4, 34.7, 32, 34.95],
  IN: ["India", 17, 76, 26, 80],
  IQ: ["Iraq", 35.4, 44, 36.4, 45.2],
  IR: ["Iran", 31, 50.5, 35.5, 58.5],
  IT: ["Italy", 44.6, 7.8, 45.5, 11.8],
  JP: ["Japan", 36, 138.3, 37.2, 139.9],
  KR: ["South Korea", 35.5, 127, 37.3, 128.9],
  LU: ["Luxembourg", 49.55, 6, 49.95, 6.3],
  LV: ["Latvia", 56.5, 24.6, 57.3, 26.8],
  MD: ["Moldova", 46.6, 28.4, 48, 29],
  MK: ["North Macedonia", 41.3, 21, 41.9, 22.6],
  MN: ["Mongolia", 45, 98, 49, 112],
  MV: ["Maldives", 3.9, 73.4, 4.3, 73.6],
  MX: ["Mexico", 19.2, -103.5, 24.5, -99.5],
  NG: ["Nigeria", 7, 4, 11.5, 10],
  NL: ["Netherlands", 51.9, 5, 52.3, 6.2],
  NO: ["Norway", 60.2, 8.2, 62.5, 11.2],
  NP: ["Nepal", 27.6, 83.5, 28.4, 85.8],
  PK: ["Pakistan", 28.5, 69, 33, 72.5],
  PL: ["Poland", 50.4, 16.8, 53.6, 21.8],
  PT: ["Portugal", 38.2, -8.3, 41.5, -7.2],
  RO: ["Romania", 44.6, 23, 46.8, 27.2],
  RS: ["Serbia", 43.4, 20.3, 44.6, 21.6],
  RU: ["Russia", 52, 35, 58, 50],
  SE: ["Sweden", 57.5, 13, 60.2, 16],
  SI: ["Slovenia", 45.8, 14.3, 46.3, 15.4],
  SK: ["Slovakia", 48.65, 18, 49.1, 21.2],
  SN: ["Senegal", 14.1, -15.8, 15.6, -13.8],
  TH: ["Thailand", 14.2, 99.8, 17.8, 102.2],
  TR: ["Türkiye", 37.6, 29, 40.2, 38],
  TW: ["Taiwan", 23.4, 120.5, 24.7, 121],
  UA: ["Ukraine", 48, 26, 51, 35],
  US: ["United States", 35, -100, 42, -85],
  UZ: ["Uzbekistan", 39, 64.5, 40.8, 66.6],
  VN: ["Vietnam", 11.6, 107.6, 14, 108.6],
  ZA: ["South Africa", -29.5, 22, -27.2, 26.8],
};

/** Counties of the United Kingdom with their country, and about where their middle is. */
const BRITISH_COUNTIES:
  readonly (readonly [name: string, state: string, latitude: number, longitude: number])[] = [
    ["Aberdeenshire", "Scotland", 57.2, -2.6],
    ["Angus", "Scotland", 56.75, -2.9],
    ["Bedfordshire", "England", 52.08, -0.46],
    ["Berkshire", "England", 51.43, -0.95],
    ["Buckinghamshire", "England", 51.8, -0.8],
    ["Cambridgeshire", "England", 52.35, 0.02],
    ["Cheshire", "England", 53.18, -2.55],
    ["Clwyd", "Wales", 53.1, -3.4],
    ["Cornwall", "England", 50.4, -4.8],
    ["County Antrim", "Northern Ireland", 54.8, -6.25],
    ["County Armagh", "Northern Ireland", 54.33, -6.6],
    ["County Down", "Northern Ireland", 54.35, -6],
    ["County Durham", "England", 54.7, -1.75],
    ["County Fermanagh", "Northern Ireland", 54.37, -7.6],
    ["County Londonderry", "Northern Ireland", 54.92, -6.85],
    ["County Tyrone", "Northern Ireland", 54.6, -7.2],
    ["Cumbria", "England", 54.6, -2.85],
    ["Derbyshire", "England", 53.12, -1.6],
    ["Devon", "England", 50.75, -3.75],
    ["Dorset", "England", 50.8, -2.35],
    ["Dumfries and Galloway", "Scotland", 55.1, -3.95],
    ["Dyfed", "Wales", 52, -4.1],
    ["East Sussex", "England", 50.95, 0.25],
    ["Essex", "England", 51.8, 0.55],
    ["Fife", "Scotland", 56.23, -3.15],
    ["Gloucestershire", "England", 51.85, -2.1],
    ["Greater London", "England", 51.5, -0.12],
    ["Greater Manchester", "England", 53.5, -2.25],
    ["Gwent", "Wales", 51.75, -3],
    ["Gwynedd", "Wales", 52.85, -3.85],
    ["Hampshire", "England", 51.1, -1.3],
    ["Herefordshire", "England", 52.1, -2.75],
    ["Hertfordshire", "England", 51.82, -0.22],
    ["Inverness-shire", "Scotland", 57.15, -4.7],
    ["Isle of Wight", "England", 50.68, -1.3],
    ["Kent", "England", 51.22, 0.75],
    ["Lanarkshire", "Scotland", 55.65, -3.8],
    ["Lancashire", "England", 53.85, -2.6],
    ["Leicestershire", "England", 52.65, -1.15],
    ["Lincolnshire", "England", 53.1, -0.25],
    ["Merseyside", "England", 53.42, -2.9],
    ["Norfolk", "England", 52.65, 0.95],
    ["North Yorkshire", "England", 54.15, -1.4],
    ["Northamptonshire", "England", 52.3, -0.87],
    ["Northumberland", "England", 55.2, -2],
    ["Nottinghamshire", "England", 53.1, -1],
    ["Oxfordshire", "England", 51.78, -1.3],
    ["Perthshire", "Scotland", 56.6, -3.9],
    ["Powys", "Wales", 52.35, -3.4],
    ["Shropshire", "England", 52.65, -2.75],
    ["Somerset", "England", 51.1, -2.9],
    ["South Glamorgan", "Wales", 51.48, -3.3],
    ["South Yorkshire", "England", 53.5, -1.3],
    ["Staffordshire", "England", 52.85, -2.05],
    ["Stirlingshire", "Scotland", 56.1, -4.1],
    ["Suffolk", "England", 52.2, 1],
    ["Surrey", "England", 51.25, -0.45],
    ["Tyne and Wear", "England", 54.97, -1.6],
    ["Warwickshire", "England", 52.3, -1.55],
    ["West Lothian", "Scotland", 55.9, -3.55],
    ["West Midlands", "England", 52.5, -1.9],
    ["West Sussex", "England", 50.95, -0.45],
    ["West Yorkshire", "England", 53.75, -1.7],
    ["Wiltshire", "England", 51.3, -1.95],
    ["Worcestershire", "England", 52.2, -2.2],
  ];

/**
 * Draws a country's regions: for en_GB counties where they are, else the locale's own names at points inside the
 * country. The first are the same however many there are.
 */
export function drawRegions(locale: Locale, seed: number, n: number): MappedRegion[] {
  const { name, country } = locale;
  const random = seededRandom(seed, "regions");
  const faker = seededFaker(locale, seed, "regions");
  const counties = name === "en_GB" ? shuffled(BRITISH_COUNTIES, random) : [];
  const taken = new Set<string>();
  return Array.from({ length: n }, (_, i) => {
    const county = counties[i];
    if (county !== undefined) {
      const [name, state, latitude, longitude] = county;
      taken.add(name);
      return { name, state, latitude, longitude };
    }
    const drawn = freeName(taken, () => regionName(faker));
    return { name: drawn, state: drawn, ...pointInside(country, random) };
  });
}

/** A country's English name. */
export function countryName(code: string): string {
  return COUNTRIES[code]![0];
}

/** A point around another. */
export function pointAround({ latitude, longitude }: Point, random: Random): Point {
  const angle = 2 * Math.PI * random.next();
  const reach = STATION_REACH * Math.sqrt(random.next());
  return rounded({
    latitude: latitude + reach * Math.sin(angle),
    // A degree of longitude is the shorter the nearer to a pole.
    longitude: longitude + reach * Math.cos(angle) / Math.cos(latitude * Math.PI / 180),
  });
}

function pointInside(country: string, random: Random): Point {
  const [, south, west, north, east] = COUNTRIES[country]!;
  return rounded({
    latitude: south + (north - south) * random.next(),
    longitude: west + (east - west) * random.next(),
  });
}

/** To some 10 m. */
function rounded({ latitude, longitude }: Point): Point {
  const round = (degrees: number) => Math.round(degrees * 10_000) / 10_000;
  return { latitude: round(latitude), longitude: round(longitude) };
}

/** What a locale calls its regions: counties or states, where it knows neither the names of towns. */
function regionName(faker: Faker): string {
  const { county, state } = faker.rawDefinitions.location ?? {};
  if (isList(county)) return faker.location.county();
  return isList(state) ? faker.location.state() : faker.location.city();
}

function isList(names: unknown): boolean {
  return Array.isArray(names) && names.length > 0;
}

/** A name that was not taken yet, and is now. */
export function freeName(taken: Set<string>, draw: () => string): string {
  let name = draw();
  for (let n = 1; taken.has(name) && n < NAME_DRAWS; n++) name = draw();
  const plain = name;
  for (let n = 2; taken.has(name); n++) name = `${plain} ${n}`;
  taken.add(name);
  return name;
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [copy[i], copy[j]] = [copy[j]!, copy[i]!];
  }
  return copy;
}
