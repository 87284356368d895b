/**
 * An election's manifest: the definition that gateways get, versioned and signed. Every version is kept.
 *
 * @module
 */
import { accreditationSchema } from "./accreditation.ts";
import sodium from "libsodium-wrappers-sumo";
import { z } from "zod";
import { fromHex, utf8 } from "./bytes.ts";
import { VOTING_MODES } from "./mode.ts";
import { nameFault } from "./names.ts";
import { isRehearsal, rehearsedBy } from "./rehearsal.ts";

/** Identifiers of elections, contests, candidates, parties, regions, stations, devices and gateways. */
/** The form of {@link idSchema}. */
export const ID = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;
export const idSchema = z.string().regex(
  ID,
  "must be 1 to 64 of a-z, 0-9 and -, and neither begin nor end with -",
);

const INSTANT = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

/** A point in time: UTC, milliseconds, `2026-11-03T07:00:00.000Z`. */
export const instantSchema = z.string().regex(
  INSTANT,
  "must be a UTC time with milliseconds, like 2026-11-03T07:00:00.000Z",
).refine(isOfRealDay, "must be a day that exists");

/** February 30 is another day when it is read. */
function isOfRealDay(instant: string): boolean {
  return new Date(instant).getUTCDate() === Number(instant.slice(8, 10));
}

/** Whether a text is an {@link instantSchema}. */
export function isInstant(text: string): boolean {
  return INSTANT.test(text) && isOfRealDay(text);
}

/** The last millisecond that {@link instantSchema} can write: the end of the year 9999. */
export const MAX_INSTANT_MS = 253_402_300_799_999;

/** Text that every database can store. */
const textSchema = (maxChars: number) =>
  z.string().min(1).max(maxChars)
    .refine((text) => text.isWellFormed() && !text.includes("\0"), "must be text without NUL characters");
const nameSchema = textSchema(200);
/** The form of {@link hexKeySchema}. */
export const HEX_KEY = /^[0-9a-f]{64}$/;
/** A key or another 32 bytes, in hex. */
export const hexKeySchema = z.string().regex(HEX_KEY, "must be 32 bytes in lower-case hex");
const keyNameSchema = z.string().regex(
  /^[a-z0-9-]{1,64}\.[1-9][0-9]{0,5}$/,
  "must be a device and a key version, like station-12-a.1",
);

/** Bounds of an election: what the memory of a gateway and the size of a record allow. */
export const ELECTION_LIMITS = {
  contests: 500,
  candidatesPerContest: 500,
  parties: 5_000,
  regions: 50_000,
  stations: 250_000,
  devices: 500_000,
  gateways: 2_000,
  partitions: 1_024,
  voteBytes: 16_384,
  manifestVersion: 999_999,
} as const;

/** A limit of a list, and the message for a longer one. */
function atMost(max: number, what: string): [max: number, message: string] {
  return [max, `has more ${what} than the limit, which is ${max}`];
}

/** How long an election's records are kept unless its definition says otherwise, in days: 22 months (52 USC 20701). */
export const DEFAULT_RETENTION_DAYS = 670;
/** A hundred years. */
const MAX_RETENTION_DAYS = 36_500;

/** Bounds of what the election office alone keeps of a candidate, in characters. */
export const CANDIDATE_LIMITS = { biographyChars: 5_000, platformChars: 5_000, photoChars: 32_768 } as const;

export const candidateSchema = z.strictObject({
  id: idSchema,
  name: nameSchema,
  party: idSchema.optional(),
  /** Withdrew when ballots were fixed: votes for this candidate are counted, and marked wherever they are shown. */
  withdrawn: z.literal(true).optional(),
});

const partySchema = z.strictObject({
  id: idSchema,
  name: nameSchema,
  colour: z.string().regex(/^#[0-9a-f]{6}$/).optional(),
  /** As of a candidate. */
  withdrawn: z.literal(true).optional(),
});

export const contestSchema = z.strictObject({
  id: idSchema,
  name: nameSchema,
  /** Choices that a ballot may make. */
  votesAllowed: z.int().min(1).max(100),
  /** How many are elected; as many as `votesAllowed` when left out. */
  seats: z.int().min(1).max(100).optional(),
  candidates: z.array(candidateSchema).min(1).max(
    ...atMost(ELECTION_LIMITS.candidatesPerContest, "candidates"),
  ),
});

const regionSchema = z.strictObject({ id: idSchema, name: nameSchema });

export const stationSchema = z.strictObject({
  id: idSchema,
  name: nameSchema,
  region: idSchema,
  /** The contests this station votes on; all of the election's when left out. */
  contests: z.array(idSchema).optional(),
});

export const gatewaySchema = z.strictObject({
  id: idSchema,
  /** Stations whose devices ask this gateway first. */
  stations: z.array(idSchema),
  /** Stations whose devices ask it when their own gateway does not answer. */
  fallbackFor: z.array(idSchema),
});

const definitionShape = {
  election: idSchema,
  name: nameSchema,
  opensAt: instantSchema,
  /** The last moment at which a vote may be cast. */
  closesAt: instantSchema,
  /** The last moment at which a gateway accepts a vote that was cast in time. */
  acceptsUntil: instantSchema,
  partitions: z.int().min(1).max(ELECTION_LIMITS.partitions),
  /** k: the minimum number of newly published voters in a release. It may rise, and never falls. */
  releaseThreshold: z.int().min(1).max(1_000_000),
  /** Whether results may be shown before the final release. */
  resultsBeforeClosing: z.boolean(),
  /** Modes whose votes are held until officials decide about each, like provisional ones; none when left out. */
  heldModes: z.array(z.enum(VOTING_MODES)).min(1)
    .refine((modes) => new Set(modes).size === modes.length, "must name each mode once")
    .refine((modes) => modes.length < VOTING_MODES.length, "must leave a mode whose votes count at once")
    .optional(),
  /** Whether final shares may be projected while results come in; no when left out. */
  projection: z.boolean().optional(),
  parties: z.array(partySchema),
  contests: z.array(contestSchema).min(1).max(...atMost(ELECTION_LIMITS.contests, "contests")),
  regions: z.array(regionSchema).min(1),
  stations: z.array(stationSchema).min(1).max(...atMost(ELECTION_LIMITS.stations, "stations")),
  gateways: z.array(gatewaySchema).min(1).max(...atMost(ELECTION_LIMITS.gateways, "gateways")),
};

/** Coordinates in degrees of WGS 84; either both or neither. */
const placeShape = {
  latitude: z.number().min(-90).max(90).optional(),
  longitude: z.number().min(-180).max(180).optional(),
};
const COORDINATES_GO_TOGETHER = "latitude and longitude go together: give both, or neither";

/** Voters on a station's own list, so that a projection can weigh stations. Stays with the office, as coordinates do. */
const registeredShape = { registered: z.int().min(1).max(10_000_000).optional() };

function hasWholePlace({ latitude, longitude }: { latitude?: number; longitude?: number }): boolean {
  return (latitude === undefined) === (longitude === undefined);
}

/** A candidate as the office writes it: `photo` is an SVG image's text. Nobody is withdrawn by a definition. */
export const definedCandidateSchema = candidateSchema.omit({ withdrawn: true }).extend({
  biography: textSchema(CANDIDATE_LIMITS.biographyChars).optional(),
  platform: textSchema(CANDIDATE_LIMITS.platformChars).optional(),
  photo: textSchema(CANDIDATE_LIMITS.photoChars).regex(
    /^\s*<svg[\s>][\s\S]*<\/svg>\s*$/,
    "must be the text of an SVG image, from <svg to </svg>",
  ).optional(),
});

/** A contest as the office writes it. */
const definedContestSchema = contestSchema.extend({
  /** Nobody stands against its candidates: it is on no ballot, and they are elected. */
  uncontested: z.literal(true).optional(),
  candidates: z.array(definedCandidateSchema).min(1).max(
    ...atMost(ELECTION_LIMITS.candidatesPerContest, "candidates"),
  ),
});
type DefinedContest = z.infer<typeof definedContestSchema>;

/** A party as the office writes it. */
export const definedPartySchema = partySchema.omit({ withdrawn: true });

/** When results are published: as they come, once voting is over, or when officials release them. */
export const PUBLISHING = ["live", "at_closing", "manual"] as const;

/** What the election office writes. The aggregator adds version, record size and keys to make the manifest. */
export const definitionSchema = z.strictObject({
  ...definitionShape,
  partitions: definitionShape.partitions.default(12),
  releaseThreshold: definitionShape.releaseThreshold.default(10),
  publish: z.enum(PUBLISHING).optional(),
  /** The same as `live` or `at_closing`: how definitions said it before there was `publish`. */
  resultsBeforeClosing: definitionShape.resultsBeforeClosing.optional(),
  // Manifests are not held to the limits of parties and regions: those of earlier versions must stay readable.
  parties: z.array(definedPartySchema).max(...atMost(ELECTION_LIMITS.parties, "parties")).default([]),
  contests: z.array(definedContestSchema).min(1).max(...atMost(ELECTION_LIMITS.contests, "contests")),
  regions: z.array(regionSchema.extend(placeShape).refine(hasWholePlace, COORDINATES_GO_TOGETHER))
    .min(1).max(...atMost(ELECTION_LIMITS.regions, "regions")),
  stations: z.array(
    stationSchema.extend({ ...placeShape, ...registeredShape }).refine(
      hasWholePlace,
      COORDINATES_GO_TOGETHER,
    ),
  )
    .min(1).max(...atMost(ELECTION_LIMITS.stations, "stations")),
  /** Polling-station machines; one a station, `<station>-a`, when left out. */
  devices: z.array(z.strictObject({ id: idSchema, station: idSchema })).max(
    ...atMost(ELECTION_LIMITS.devices, "devices"),
  ).optional(),
  /** What voters must bring to come on the roll; nothing when left out. */
  accreditation: accreditationSchema.optional(),
  /** The time zone of its hours, where they were written as local times. */
  timeZone: z.string().max(100).optional(),
  /** How many days log, keys and profiles are kept after certification or cancelling. */
  retentionDays: z.int().min(0).max(MAX_RETENTION_DAYS).optional(),
}).superRefine(checkReferences).superRefine(checkNames).superRefine(checkUncontested).superRefine(
  refuseRehearsal,
).superRefine(checkPublishing).transform(readPublishing);

/** See {@link manifestSchema}. */
export const manifestSchema = z.strictObject({
  ...definitionShape,
  version: z.int().min(1).max(ELECTION_LIMITS.manifestVersion),
  /** Maximum bytes of a vote's text. Every record is padded to it, because lengths reveal choices. */
  voteBytes: z.int().min(1).max(ELECTION_LIMITS.voteBytes),
  /** The aggregator's X25519 public key, in hex. */
  sealingKey: hexKeySchema,
  /** Revoked device keys, as `device.version`. */
  denied: z.array(keyNameSchema),
  /** Where officials have paused voting; nowhere when left out. */
  paused: z.union([z.literal("all"), z.array(idSchema).min(1)]).optional(),
  /** Officials have certified the results: what comes on the log from here on is not counted. */
  certified: z.literal(true).optional(),
  /** Officials have released results that were certified: they count on, and certify again. */
  reopened: z.literal(true).optional(),
  /** No votes are taken: officials have not scheduled the election yet, or have cancelled it. */
  inactive: z.enum(["draft", "cancelled"]).optional(),
  /** Its votes are test votes: the election that it rehearses. */
  rehearsalOf: idSchema.optional(),
  /** Nothing of the results is published until officials release them. */
  withheld: z.literal(true).optional(),
  /** Contests that are on no ballot, because their candidates are elected without a vote. Nothing that counts reads them. */
  uncontested: z.array(contestSchema).min(1).optional(),
}).superRefine(checkReferences);

export type ElectionDefinition = z.infer<typeof definitionSchema>;
export type Manifest = z.infer<typeof manifestSchema>;
export type Contest = z.infer<typeof contestSchema>;
export type Station = z.infer<typeof stationSchema>;

/**
 * The part of a definition that goes into the manifest. Biographies, platforms, photos and coordinates stay with the
 * office: no gateway needs them, and each fetches the whole manifest when it changes. Devices are sent with their keys.
 */
export function manifestPart(
  { devices: _, accreditation: __, retentionDays: ___, timeZone: ____, publish, ...definition }:
    ElectionDefinition,
): Omit<Manifest, "version" | "voteBytes" | "sealingKey" | "denied"> {
  const contestPart = ({ uncontested: _, ...contest }: DefinedContest): Contest => ({
    ...contest,
    candidates: contest.candidates.map(({ biography: _, platform: __, photo: ___, ...rest }) => rest),
  });
  const uncontested = definition.contests.filter((contest) => contest.uncontested).map(contestPart);
  return {
    ...definition,
    contests: onBallots(definition).map(contestPart),
    // Left out where there are none: gateways of earlier versions take the manifest as before.
    ...uncontested.length > 0 && { uncontested },
    ...publish === "manual" && { withheld: true as const },
    regions: definition.regions.map(withoutPlace),
    stations: definition.stations.map(withoutPlace),
  };
}

/** The contests of a definition that voters vote on. */
export function onBallots({ contests }: Readonly<{ contests: DefinedContest[] }>): DefinedContest[] {
  return contests.filter(({ uncontested }) => !uncontested);
}

function withoutPlace<Place extends { latitude?: number; longitude?: number; registered?: number }>(
  { latitude: _, longitude: __, registered: ___, ...rest }: Place,
): Omit<Place, "latitude" | "longitude" | "registered"> {
  return rest;
}

/**
 * Reports names that must not be shown. Only definitions are checked: manifests of earlier versions must stay readable.
 */
function checkNames(
  { name, parties, contests, regions, stations }: Omit<References, "gateways"> & { name: string },
  ctx: z.RefinementCtx,
) {
  const check = (name: string, path: (string | number)[]) => {
    const fault = nameFault(name);
    if (fault !== undefined) ctx.addIssue({ code: "custom", path: [...path, "name"], message: fault });
  };
  check(name, []);
  parties.forEach(({ name }, i) => check(name, ["parties", i]));
  contests.forEach(({ name, candidates }, i) => {
    check(name, ["contests", i]);
    candidates.forEach((candidate, j) => check(candidate.name, ["contests", i, "candidates", j]));
  });
  regions.forEach(({ name }, i) => check(name, ["regions", i]));
  stations.forEach(({ name }, i) => check(name, ["stations", i]));
}

/** Reports what cannot be decided without a vote, and ballots that have it all the same. */
function checkUncontested(
  { contests, stations }: Readonly<{ contests: DefinedContest[]; stations: Station[] }>,
  ctx: z.RefinementCtx,
) {
  const complain = (path: (string | number)[], message: string) =>
    ctx.addIssue({ code: "custom", path, message });
  if (contests.length > 0 && contests.every(({ uncontested }) => uncontested)) {
    complain(["contests"], "all contests are uncontested: there is nothing to vote on");
  }
  const offBallot = new Set<string>();
  contests.forEach(({ id, seats, votesAllowed, candidates, uncontested }, i) => {
    if (!uncontested) return;
    offBallot.add(id);
    const elected = seats ?? votesAllowed;
    if (candidates.length > elected) {
      complain(
        ["contests", i, "uncontested"],
        `contest ${id} has ${candidates.length} candidates for ${elected} ${
          elected === 1 ? "seat" : "seats"
        }: ` +
          "voters must decide",
      );
    }
    candidates.forEach((candidate, j) => {
      for (const field of ["biography", "platform", "photo"] as const) {
        if (candidate[field] === undefined) continue;
        complain(
          ["contests", i, "candidates", j, field],
          "is kept for candidates on ballots only, and this contest is uncontested: leave it out",
        );
      }
    });
  });
  stations.forEach((station, i) =>
    station.contests?.forEach((id, j) => {
      if (!offBallot.has(id)) return;
      complain(
        ["stations", i, "contests", j],
        `contest ${id} is uncontested, so it is on no ballot: leave it out`,
      );
    })
  );
}

type Publishing = { publish?: (typeof PUBLISHING)[number]; resultsBeforeClosing?: boolean };

/** Reports a definition that says two things. */
function checkPublishing({ publish, resultsBeforeClosing: before }: Publishing, ctx: z.RefinementCtx) {
  if (publish === undefined || before === undefined || before === (publish === "live")) return;
  ctx.addIssue({
    code: "custom",
    path: ["resultsBeforeClosing"],
    message: `${before} does not go with publish: ${publish}; leave it out`,
  });
}

/** A definition whose `publish` is said as manifests say it: `manual` alone stays. */
function readPublishing<Definition extends Publishing>({ publish, ...definition }: Definition) {
  return {
    ...definition,
    resultsBeforeClosing: definition.resultsBeforeClosing ?? publish === "live",
    ...publish === "manual" && { publish: "manual" as const },
  };
}

/** Only the office's command makes rehearsals. */
function refuseRehearsal({ election }: { election: string }, ctx: z.RefinementCtx) {
  if (!isRehearsal(election)) return;
  const message = `${election} is the id of a rehearsal: choose another`;
  ctx.addIssue({ code: "custom", path: ["election"], message });
}

type References = Pick<
  Manifest,
  "parties" | "contests" | "regions" | "stations" | "gateways" | "opensAt" | "closesAt" | "acceptsUntil"
>;

/** Reports what a schema alone cannot check: ids given twice, and ids that name nothing. */
function checkReferences(
  election: References & {
    election: string;
    devices?: { id: string; station: string }[];
    rehearsalOf?: string | undefined;
    uncontested?: Contest[] | undefined;
  },
  ctx: z.RefinementCtx,
) {
  const complain = (path: (string | number)[], message: string) =>
    ctx.addIssue({ code: "custom", path, message });
  const { election: own, rehearsalOf } = election;
  if (rehearsalOf !== undefined && rehearsalOf !== rehearsedBy(own)) {
    complain(["rehearsalOf"], `must be the election that ${own} is named after`);
  }
  const ids = (list: readonly { id: string }[], what: string): Set<string> => {
    const seen = new Set<string>();
    list.forEach(({ id }, i) => {
      if (seen.has(id)) complain([what, i, "id"], `the id ${id} is given twice`);
      seen.add(id);
    });
    return seen;
  };
  const parties = ids(election.parties, "parties");
  const regions = ids(election.regions, "regions");
  const contests = ids(election.contests, "contests");
  const stations = ids(election.stations, "stations");
  ids(election.gateways, "gateways");
  ids(election.devices ?? [], "devices");
  const known = (id: string, set: ReadonlySet<string>, path: (string | number)[], kind: string) => {
    if (!set.has(id)) complain(path, `there is no ${kind} ${id}`);
  };
  for (
    const [list, all] of [["contests", election.contests], ["uncontested", election.uncontested]] as const
  ) {
    all?.forEach((contest, i) => {
      ids(contest.candidates, `${list}.${i}.candidates`);
      contest.candidates.forEach(({ party }, j) => {
        if (party !== undefined) known(party, parties, [list, i, "candidates", j, "party"], "party");
      });
    });
  }
  ids(election.uncontested ?? [], "uncontested");
  election.uncontested?.forEach(({ id }, i) => {
    if (contests.has(id)) complain(["uncontested", i, "id"], `contest ${id} is on ballots`);
  });
  election.stations.forEach((station, i) => {
    known(station.region, regions, ["stations", i, "region"], "region");
    const votedOn = new Set<string>();
    station.contests?.forEach((id, j) => {
      known(id, contests, ["stations", i, "contests", j], "contest");
      if (votedOn.has(id)) complain(["stations", i, "contests", j], `contest ${id} is given twice`);
      votedOn.add(id);
    });
  });
  const served = new Set<string>();
  election.gateways.forEach((gateway, i) => {
    gateway.stations.forEach((id, j) => {
      known(id, stations, ["gateways", i, "stations", j], "station");
      if (served.has(id)) complain(["gateways", i, "stations", j], `station ${id} has two primary gateways`);
      served.add(id);
    });
    gateway.fallbackFor.forEach((id, j) => known(id, stations, ["gateways", i, "fallbackFor", j], "station"));
  });
  election.stations.forEach(({ id }, i) => {
    if (!served.has(id)) complain(["stations", i, "id"], `station ${id} has no gateway`);
  });
  election.devices?.forEach(({ station }, i) =>
    known(station, stations, ["devices", i, "station"], "station")
  );
  if (!(election.opensAt < election.closesAt)) complain(["closesAt"], "must be later than opensAt");
  if (!(election.closesAt <= election.acceptsUntil)) {
    complain(["acceptsUntil"], "must not be earlier than closesAt");
  }
}

/** A manifest with indexes for lookups; built once for each version. */
export type ElectionIndex = Readonly<{
  manifest: Manifest;
  opensAtMs: number;
  closesAtMs: number;
  acceptsUntilMs: number;
  /** Contest id → how many may be selected, and which. */
  contests: ReadonlyMap<string, Readonly<{ votesAllowed: number; candidates: ReadonlySet<string> }>>;
  stations: ReadonlyMap<string, Readonly<{ region: string; contests: ReadonlySet<string> }>>;
  /** Gateway id → the stations it takes votes for, as primary or fallback. */
  gateways: ReadonlyMap<string, ReadonlySet<string>>;
  denied: ReadonlySet<string>;
  /** Stations where voting is paused. */
  paused: "all" | ReadonlySet<string>;
}>;

/** The lists of a manifest, of which a new version mostly changes none. */
const LISTS = ["parties", "contests", "regions", "stations", "gateways"] as const;

/**
 * Indexes a manifest.
 *
 * @param before The index of the version before: equal lists are shared with it, so that many versions take little
 * more memory than one.
 */
export function indexElection(manifest: Manifest, before?: ElectionIndex): ElectionIndex {
  if (before === undefined) return makeIndex(manifest);
  const equal = new Set(LISTS.filter((list) => isEqualList(manifest[list], before.manifest[list])));
  const shared = { ...manifest };
  for (const list of equal) Object.assign(shared, { [list]: before.manifest[list] });
  return makeIndex(shared, {
    ...equal.has("contests") && { contests: before.contests },
    // A station without contests votes on all of the election's.
    ...equal.has("stations") && equal.has("contests") && { stations: before.stations },
    ...equal.has("gateways") && { gateways: before.gateways },
  });
}

/** Whether two lists are equal as JSON. The schema puts their fields in one order. */
function isEqualList(one: readonly object[], other: readonly object[]): boolean {
  return one.length === other.length &&
    one.every((each, i) => JSON.stringify(each) === JSON.stringify(other[i]));
}

/** @param known Parts that need not be made. */
function makeIndex(
  manifest: Manifest,
  known: Partial<Pick<ElectionIndex, "contests" | "stations" | "gateways">> = {},
): ElectionIndex {
  const all: ReadonlySet<string> = new Set(manifest.contests.map(({ id }) => id));
  // Stations with equal contests share one set.
  const sets = new Map<string, ReadonlySet<string>>();
  const setOf = (contests: readonly string[]) => {
    const key = contests.join("/");
    return sets.get(key) ?? sets.set(key, new Set(contests)).get(key)!;
  };
  return {
    manifest,
    opensAtMs: Date.parse(manifest.opensAt),
    closesAtMs: Date.parse(manifest.closesAt),
    acceptsUntilMs: Date.parse(manifest.acceptsUntil),
    contests: known.contests ?? new Map(manifest.contests.map(({ id, votesAllowed, candidates }) => [
      id,
      { votesAllowed, candidates: new Set(candidates.map((candidate) => candidate.id)) },
    ])),
    stations: known.stations ?? new Map(manifest.stations.map(({ id, region, contests }) => [
      id,
      { region, contests: contests === undefined ? all : setOf(contests) },
    ])),
    gateways: known.gateways ?? new Map(manifest.gateways.map(({ id, stations, fallbackFor }) => [
      id,
      new Set([...stations, ...fallbackFor]),
    ])),
    denied: new Set(manifest.denied),
    paused: manifest.paused === "all" ? "all" : new Set(manifest.paused),
  };
}

/** A manifest on the wire: the exact signed text, and the Ed25519 signature over it, in base64. */
export const signedManifestSchema = z.strictObject({ manifest: z.string(), signature: z.base64() });
export type SignedManifest = z.infer<typeof signedManifestSchema>;

/** Signs a manifest's text. `privateKey` is the 64 bytes of {@link manifestKeyPair}. */
export function signManifest(manifest: Manifest, privateKey: Uint8Array): SignedManifest {
  const text = JSON.stringify(manifestSchema.parse(manifest));
  return { manifest: text, signature: sodium.crypto_sign_detached(utf8(text), privateKey).toBase64() };
}

/**
 * Checks the signature over the received text, and only then parses it.
 *
 * @param publicKey In hex.
 * @throws when the signature is wrong, or the signed text is no manifest.
 */
export function openManifest(signed: SignedManifest, publicKey: string): Manifest {
  const signature = Uint8Array.fromBase64(signed.signature);
  if (
    signature.length !== 64 ||
    !sodium.crypto_sign_verify_detached(signature, utf8(signed.manifest), fromHex(publicKey))
  ) throw new Error("Cannot take the manifest: its signature is not the aggregator's");
  return manifestSchema.parse(JSON.parse(signed.manifest));
}
