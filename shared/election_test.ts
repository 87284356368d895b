import assert from "assert";
import fc from "fast-check";
import { manifests } from "../tests/arbitraries.ts";
import {
  definitionWithFacts,
  MASTER,
  testDefinition,
  testManifest,
  uncontestedDefinition,
} from "../tests/fixture.ts";
import {
  CANDIDATE_LIMITS,
  definitionSchema,
  ELECTION_LIMITS,
  idSchema,
  indexElection,
  instantSchema,
  manifestPart,
  manifestSchema,
  MAX_INSTANT_MS,
  openManifest,
  signedManifestSchema,
  signManifest,
} from "./election.ts";
import { manifestKeyPair } from "./keys.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A definition as it might be read from a file, with anything at all in it. */
type Loose = any;

function faultsOf(schema: typeof definitionSchema | typeof manifestSchema, value: unknown): string[] {
  const issues = schema.safeParse(value).error?.issues ?? [];
  return issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

for (const id of ["a", "0", "ri-2020", "a--b", "a".repeat(64)]) {
  Deno.test(`idSchema takes ${id}`, () => assert.ok(idSchema.safeParse(id).success));
}

for (
  const id of ["", "-a", "a-", "-", "A", "a_b", "a b", "a.b", "a/b", "é", "a\n", "a".repeat(65), 1, null]
) {
  Deno.test(`idSchema refuses ${JSON.stringify(id)}`, () => assert.ok(!idSchema.safeParse(id).success));
}

Deno.test("instantSchema takes every moment that has four digits of year, as toISOString() writes it", () => {
  const dates = fc.date({
    min: new Date("0000-01-01T00:00:00.000Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(dates, (date) => assert.ok(instantSchema.safeParse(date.toISOString()).success)),
    { numRuns: 1_000 },
  );
});

Deno.test("instantSchema takes no text but a moment's one spelling", () => {
  const digits = fc.stringMatching(
    /^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\.[0-9]{3}Z$/,
  );
  fc.assert(
    fc.property(digits, (text) => {
      const date = new Date(text);
      const spelt = !Number.isNaN(date.getTime()) && date.toISOString() === text;
      assert.equal(instantSchema.safeParse(text).success, spelt);
    }),
    { numRuns: 1_000 },
  );
});

for (
  const text of [
    "2026-02-29T00:00:00.000Z",
    "2026-02-30T00:00:00.000Z",
    "2026-04-31T00:00:00.000Z",
    "2026-13-01T00:00:00.000Z",
    "2026-11-03T24:00:00.000Z",
    "2026-11-03T07:60:00.000Z",
    "2026-11-03T07:00:60.000Z",
    "2026-11-03T07:00:00Z",
    "2026-11-03T07:00:00.0000Z",
    "2026-11-03T07:00:00.000",
    "2026-11-03T07:00:00.000+00:00",
    "2026-11-03 07:00:00.000Z",
    "2026-11-03t07:00:00.000z",
    "2026-11-03",
    "+02026-11-03T07:00:00.000Z",
    "2026-11-03T07:00:00.000Z\n",
    "",
    0,
  ]
) {
  Deno.test(`instantSchema refuses ${JSON.stringify(text)}`, () => {
    assert.ok(!instantSchema.safeParse(text).success);
  });
}

Deno.test("instantSchema takes the millisecond of MAX_INSTANT_MS and no later one", () => {
  assert.ok(instantSchema.safeParse(new Date(MAX_INSTANT_MS).toISOString()).success);
  assert.ok(!instantSchema.safeParse(new Date(MAX_INSTANT_MS + 1).toISOString()).success);
});

Deno.test("instantSchema takes the leap day of a leap year", () => {
  assert.ok(instantSchema.safeParse("2028-02-29T23:59:59.999Z").success);
});

Deno.test("definitionSchema takes a whole election, and gives what is left out its default", () => {
  const { partitions: _p, releaseThreshold: _t, resultsBeforeClosing: _r, parties: _, ...rest } =
    testDefinition();
  const contests = rest.contests.map((contest) => ({
    ...contest,
    candidates: contest.candidates.map(({ id, name }) => ({ id, name })),
  }));
  const { partitions, releaseThreshold, resultsBeforeClosing, parties, devices } = definitionSchema.parse({
    ...rest,
    contests,
  });
  assert.deepEqual({ partitions, releaseThreshold, resultsBeforeClosing, parties, devices }, {
    partitions: 12,
    releaseThreshold: 10,
    resultsBeforeClosing: false,
    parties: [],
    devices: undefined,
  });
});

// What to break in a good definition, and the fault that names it.
const FAULTS: [string, (definition: Loose) => void, string][] = [
  ["a party twice", (d) => d.parties.push(d.parties[0]), "parties.2.id: the id red is given twice"],
  ["a region twice", (d) => d.regions.push(d.regions[0]), "regions.2.id: the id north is given twice"],
  ["a contest twice", (d) => d.contests.push(d.contests[0]), "contests.2.id: the id mayor is given twice"],
  [
    "a candidate twice in a contest",
    (d) => d.contests[1].candidates.push(d.contests[1].candidates[0]),
    "contests.1.candidates.3.id: the id dan is given twice",
  ],
  ["a station twice", (d) => d.stations.push(d.stations[3]), "stations.4.id: the id s-2 is given twice"],
  [
    "a gateway twice",
    (d) => d.gateways.push({ id: "g-1", stations: [], fallbackFor: [] }),
    "gateways.2.id: the id g-1 is given twice",
  ],
  [
    "a device twice",
    (d) => d.devices = [{ id: "x", station: "n-1" }, { id: "x", station: "n-2" }],
    "devices.1.id: the id x is given twice",
  ],
  [
    "a candidate of no party",
    (d) => d.contests[0].candidates[1].party = "green",
    "contests.0.candidates.1.party: there is no party green",
  ],
  [
    "a station in no region",
    (d) => d.stations[2].region = "east",
    "stations.2.region: there is no region east",
  ],
  [
    "a station that votes on no contest",
    (d) => d.stations[1].contests = ["mayor", "sheriff"],
    "stations.1.contests.1: there is no contest sheriff",
  ],
  [
    "a station that votes on a contest twice",
    (d) => d.stations[1].contests = ["mayor", "mayor"],
    "stations.1.contests.1: contest mayor is given twice",
  ],
  [
    "a gateway for no station",
    (d) => d.gateways[0].stations.push("x-9"),
    "gateways.0.stations.2: there is no station x-9",
  ],
  [
    "a fallback for no station",
    (d) => d.gateways[1].fallbackFor.push("x-9"),
    "gateways.1.fallbackFor.2: there is no station x-9",
  ],
  [
    "a station with two primary gateways",
    (d) => d.gateways[1].stations.push("n-1"),
    "gateways.1.stations.2: station n-1 has two primary gateways",
  ],
  [
    "a station with a fallback and no gateway",
    (d) => d.gateways[0].stations.pop(),
    "stations.1.id: station n-2 has no gateway",
  ],
  [
    "a device at no station",
    (d) => d.devices = [{ id: "x", station: "x-9" }],
    "devices.0.station: there is no station x-9",
  ],
  ["closing at opening", (d) => d.closesAt = d.opensAt, "closesAt: must be later than opensAt"],
  [
    "an end of acceptance before closing",
    (d) => d.acceptsUntil = "2026-11-03T20:59:59.999Z",
    "acceptsUntil: must not be earlier than closesAt",
  ],
  ["an id in capitals", (d) => d.stations[0].id = "N-1", "stations.0.id: must be 1 to 64 of"],
  ["a name that is empty", (d) => d.contests[0].name = "", "contests.0.name: "],
  ["a name that is too long", (d) => d.name = "x".repeat(201), "name: "],
  ["no votes allowed", (d) => d.contests[0].votesAllowed = 0, "contests.0.votesAllowed: "],
  ["half a vote", (d) => d.contests[0].votesAllowed = 0.5, "contests.0.votesAllowed: "],
  ["a contest without candidates", (d) => d.contests[0].candidates = [], "contests.0.candidates: "],
  ["no contests", (d) => d.contests = [], "contests: "],
  ["nothing to vote on", (d) => {
    for (const contest of d.contests) Object.assign(contest, { uncontested: true, seats: 9 });
    delete d.stations[1].contests;
  }, "contests: all contests are uncontested: there is nothing to vote on"],
  [
    "an uncontested contest with more candidates than seats",
    (d) => d.contests[1].uncontested = true,
    "contests.1.uncontested: contest council has 3 candidates for 2 seats: voters must decide",
  ],
  [
    "an uncontested contest without candidates",
    (d) => Object.assign(d.contests[1], { uncontested: true, candidates: [] }),
    "contests.1.candidates: ",
  ],
  [
    "a contest that is said to be contested",
    (d) => d.contests[1].uncontested = false,
    "contests.1.uncontested: ",
  ],
  [
    "an uncontested contest on a station's ballot",
    (d) => Object.assign(d.contests[0], { uncontested: true, seats: 3 }),
    "stations.1.contests.0: contest mayor is uncontested, so it is on no ballot: leave it out",
  ],
  [
    "a biography in an uncontested contest",
    (d) => {
      Object.assign(d.contests[1], { uncontested: true, seats: 3 });
      d.contests[1].candidates[2].biography = "Born here.";
    },
    "contests.1.candidates.2.biography: is kept for candidates on ballots only, and this contest is uncontested",
  ],
  ["no regions", (d) => d.regions = [], "regions: "],
  ["no stations", (d) => d.stations = [], "stations: "],
  ["no gateways", (d) => d.gateways = [], "gateways: "],
  ["no partitions", (d) => d.partitions = 0, "partitions: "],
  ["too many partitions", (d) => d.partitions = ELECTION_LIMITS.partitions + 1, "partitions: "],
  ["a release threshold of none", (d) => d.releaseThreshold = 0, "releaseThreshold: "],
  ["a time without milliseconds", (d) => d.opensAt = "2026-11-03T07:00:00Z", "opensAt: must be a UTC time"],
  [
    "a day that does not exist",
    (d) => d.opensAt = "2026-02-30T07:00:00.000Z",
    "opensAt: must be a day that exists",
  ],
  ["a name with a NUL", (d) => d.regions[0].name = "a\0b", "regions.0.name: must be text without NUL"],
  [
    "a candidate without a name to see",
    (d) => d.contests[0].candidates[1].name = "\u200b",
    "contests.0.candidates.1.name: U+200B is invisible at character 1",
  ],
  [
    "a candidate whose name is a space",
    (d) => d.contests[0].candidates[1].name = " ",
    "contests.0.candidates.1.name: U+0020 at character 1 and nothing to see",
  ],
  [
    "a name that turns the text behind it",
    (d) => d.stations[1].name = "Town\u202e hall",
    "stations.1.name: U+202E changes the direction of text at character 5",
  ],
  ["a contest's name with a line break", (d) => d.contests[1].name = "a\nb", "contests.1.name: U+000A"],
  ["an election without a name to see", (d) => d.name = "\u3164", "name: U+3164"],
  [
    "half a place",
    (d) => d.stations[0].latitude = 50,
    "stations.0: latitude and longitude go together",
  ],
  [
    "a place beyond the pole",
    (d) => Object.assign(d.regions[0], { latitude: 90.5, longitude: 0 }),
    "regions.0.latitude: ",
  ],
  [
    "a photo that is no image",
    (d) => d.contests[0].candidates[0].photo = "<html></html>",
    "contests.0.candidates.0.photo: must be the text of an SVG image",
  ],
  [
    "a photo past the limit",
    (d) => d.contests[0].candidates[0].photo = `<svg ${" ".repeat(CANDIDATE_LIMITS.photoChars)}></svg>`,
    "contests.0.candidates.0.photo: ",
  ],
  [
    "a biography past the limit",
    (d) => d.contests[0].candidates[0].biography = "x".repeat(CANDIDATE_LIMITS.biographyChars + 1),
    "contests.0.candidates.0.biography: ",
  ],
  ["a colour by name", (d) => d.parties[0].colour = "red", "parties.0.colour: "],
  ["an unknown field", (d) => d.stations[0].gateway = "g-1", `stations.0: Unrecognized key: "gateway"`],
  ["a manifest's field", (d) => d.version = 1, `: Unrecognized key: "version"`],
  ["nothing at all", (d) => Object.keys(d).forEach((key) => delete d[key]), "election: "],
];

for (const [what, spoil, fault] of FAULTS) {
  Deno.test(`definitionSchema refuses ${what}, and names where`, () => {
    const definition: Loose = structuredClone(testDefinition());
    assert.deepEqual(faultsOf(definitionSchema, definition), []);
    spoil(definition);
    const faults = faultsOf(definitionSchema, definition);
    assert.ok(faults.some((each) => each.startsWith(fault)), faults.join("\n"));
  });
}

for (
  const [list, limit] of [
    ["contests", ELECTION_LIMITS.contests],
    ["parties", ELECTION_LIMITS.parties],
    ["regions", ELECTION_LIMITS.regions],
    ["devices", ELECTION_LIMITS.devices],
    ["gateways", ELECTION_LIMITS.gateways],
  ] as const
) {
  Deno.test(`definitionSchema takes ${limit} ${list}, and says that one more is above the limit`, () => {
    const definition: Loose = structuredClone(testDefinition());
    const [example]: Loose[] = list === "devices" ? [{ station: "n-1" }] : definition[list];
    const more = limit - (definition[list]?.length ?? 0);
    const own = { ...example, ...list === "gateways" && { stations: [], fallbackFor: [] } };
    definition[list] = [
      ...definition[list] ?? [],
      ...Array.from({ length: more }, (_, i) => ({ ...own, id: `more-${i}` })),
    ];
    assert.deepEqual(faultsOf(definitionSchema, definition), []);
    definition[list].push({ ...own, id: "one-more" });
    assert.deepEqual(faultsOf(definitionSchema, definition), [
      `${list}: has more ${list} than the limit, which is ${limit}`,
    ]);
  });
}

Deno.test("definitionSchema takes modes to be held, and the manifest has them", () => {
  const read = (heldModes: unknown) => definitionSchema.safeParse({ ...testDefinition(), heldModes });
  const held = ["provisional", "absentee"];
  assert.deepEqual(manifestPart(read(held).data!).heldModes, held);
  assert.equal(manifestPart(read(undefined).data!).heldModes, undefined);
  const messageOf = (heldModes: unknown) => read(heldModes).error!.issues[0]!.message;
  assert.match(messageOf(["early", "early"]), /must name each mode once/);
  assert.match(messageOf(["in_person", "early", "absentee", "provisional"]), /must leave a mode/);
  assert.match(messageOf(["by_post"]), /"provisional"/);
  assert.match(messageOf([]), />=1/);
});

Deno.test("definitionSchema takes publish, and what said it before; a definition that was read is read again", () => {
  const { resultsBeforeClosing: _, ...rest } = testDefinition();
  const read = (said: unknown) => {
    const { publish, resultsBeforeClosing } = definitionSchema.parse({ ...rest, ...said as object });
    return { publish, resultsBeforeClosing };
  };
  const before = (resultsBeforeClosing: boolean) => ({ publish: undefined, resultsBeforeClosing });
  const manual = { publish: "manual", resultsBeforeClosing: false };
  for (
    const [said, found] of [
      [{}, before(false)],
      [{ publish: "live" }, before(true)],
      [{ publish: "at_closing" }, before(false)],
      [{ publish: "manual" }, manual],
      [{ resultsBeforeClosing: true }, before(true)],
      [{ publish: "live", resultsBeforeClosing: true }, before(true)],
      [manual, manual],
    ] as const
  ) {
    assert.deepEqual(read(said), found, JSON.stringify(said));
    assert.deepEqual(read(found), found);
    const { withheld } = manifestPart(definitionSchema.parse({ ...rest, ...said }));
    assert.equal(withheld, found.publish === "manual" ? true : undefined, JSON.stringify(said));
  }
  for (const publish of ["at_closing", "manual"]) {
    assert.deepEqual(faultsOf(definitionSchema, { ...rest, publish, resultsBeforeClosing: true }), [
      `resultsBeforeClosing: true does not go with publish: ${publish}; leave it out`,
    ]);
  }
});

Deno.test("definitionSchema takes the same candidate id in two contests, and acceptance that ends with voting", () => {
  const definition: Loose = structuredClone(testDefinition());
  definition.contests[1].candidates[0].id = "ann";
  definition.acceptsUntil = definition.closesAt;
  assert.deepEqual(faultsOf(definitionSchema, definition), []);
});

Deno.test("definitionSchema takes a contest with other seats than votes, fewer candidates than seats, and two candidates of one name", () => {
  const definition: Loose = structuredClone(testDefinition());
  definition.contests[0].seats = 9;
  assert.deepEqual(faultsOf(definitionSchema, definition), []);
  definition.contests[0].seats = 0;
  assert.equal(faultsOf(definitionSchema, definition).length, 1);
  delete definition.contests[0].seats;
  definition.contests[1].votesAllowed = 4;
  definition.contests[1].candidates[1].name = definition.contests[1].candidates[0].name;
  assert.deepEqual(faultsOf(definitionSchema, definition), []);
});

Deno.test("manifestSchema still reads more parties and regions than definitions may have", () => {
  const manifest: Loose = structuredClone(testManifest());
  for (const list of ["parties", "regions"] as const) {
    manifest[list].push(
      ...Array.from({ length: ELECTION_LIMITS[list] }, (_, i) => ({ id: `more-${i}`, name: "More" })),
    );
  }
  assert.deepEqual(faultsOf(manifestSchema, manifest), []);
});

Deno.test("manifestSchema still reads a name that definitions may no longer have", () => {
  const manifest: Loose = structuredClone(testManifest());
  manifest.stations[0].name = " ";
  assert.deepEqual(faultsOf(manifestSchema, manifest), []);
});

Deno.test("a manifest says that a projection is allowed, and not how many voters a station has", () => {
  const [first, ...others] = testDefinition().stations;
  const stations = [{ ...first, registered: 812 }, ...others];
  const { projection, stations: [station] } = manifestPart(testDefinition({ projection: true, stations }));
  assert.deepEqual([projection, "registered" in station], [true, false]);
  assert.ok(
    !("projection" in manifestPart(testDefinition())),
    "gateways of earlier versions take it as before",
  );
});

Deno.test("an uncontested contest is in the manifest beside those on ballots, and no index has it", () => {
  const definition = uncontestedDefinition();
  const manifest = testManifest(definition);
  assert.deepEqual(manifest.contests, testManifest().contests);
  assert.equal(manifest.voteBytes, testManifest().voteBytes, "its candidates take no room of a record");
  assert.deepEqual(manifest.uncontested, [{
    id: "clerk",
    name: "Clerks",
    votesAllowed: 1,
    seats: 2,
    candidates: [{ id: "gus", name: "Gus", party: "red" }, { id: "hal", name: "Hal" }],
  }]);
  const { contests, stations } = indexElection(manifest);
  assert.deepEqual([...contests.keys()], ["mayor", "council"]);
  assert.deepEqual([...stations.get("n-1")!.contests], ["mayor", "council"]);
  assert.ok(
    !("uncontested" in manifestPart(testDefinition())),
    "gateways of earlier versions take it as before",
  );
});

const UNCONTESTED_FAULTS: [string, (manifest: Loose) => void, string][] = [
  ["none of them", (m) => m.uncontested = [], "uncontested: "],
  ["one twice", (m) => m.uncontested.push(m.uncontested[0]), "uncontested.1.id: the id clerk is given twice"],
  ["one on ballots", (m) => m.uncontested[0].id = "mayor", "uncontested.0.id: contest mayor is on ballots"],
  [
    "a candidate of no party",
    (m) => m.uncontested[0].candidates[0].party = "green",
    "uncontested.0.candidates.0.party: there is no party green",
  ],
  [
    "a candidate twice",
    (m) => m.uncontested[0].candidates[1].id = "gus",
    "uncontested.0.candidates.1.id: the id gus is given twice",
  ],
];
for (const [what, spoil, fault] of UNCONTESTED_FAULTS) {
  Deno.test(`manifestSchema refuses uncontested contests: ${what}`, () => {
    const manifest: Loose = structuredClone(testManifest(uncontestedDefinition()));
    assert.deepEqual(faultsOf(manifestSchema, manifest), []);
    spoil(manifest);
    const faults = faultsOf(manifestSchema, manifest);
    assert.ok(faults.some((each) => each.startsWith(fault)), faults.join("\n"));
  });
}

Deno.test("manifestPart() leaves the office's own data behind", () => {
  const definition = definitionWithFacts();
  assert.notDeepEqual(definition, testDefinition());
  assert.deepEqual(manifestPart(definition), testDefinition());
  assert.deepEqual(testManifest(definition), testManifest());
});

for (
  const [what, change, fault] of [
    ["a candidate's photo", { contests: definitionWithFacts().contests }, "contests.0.candidates.0: Unrecog"],
    ["coordinates", { regions: definitionWithFacts().regions }, "regions.0: Unrecognized key"],
    ["a station in no region", { regions: [{ id: "south", name: "South" }] }, "stations.0.region: "],
    ["version 0", { version: 0 }, "version: "],
    ["a version past the limit", { version: ELECTION_LIMITS.manifestVersion + 1 }, "version: "],
    ["votes of no length", { voteBytes: 0 }, "voteBytes: "],
    ["votes past the limit", { voteBytes: ELECTION_LIMITS.voteBytes + 1 }, "voteBytes: "],
    ["format 1's size of a record", { recordBytes: 512 }, `: Unrecognized key: "recordBytes"`],
    ["a sealing key of 31 bytes", { sealingKey: "00".repeat(31) }, "sealingKey: must be 32 bytes"],
    ["a sealing key in capitals", { sealingKey: "AB".repeat(32) }, "sealingKey: must be 32 bytes"],
    [
      "a denied device without a key version",
      { denied: ["n-1-a"] },
      "denied.0: must be a device and a key version",
    ],
    ["devices", { devices: [] }, `: Unrecognized key: "devices"`],
  ] as const
) {
  Deno.test(`manifestSchema refuses ${what}, and names where`, () => {
    const faults = faultsOf(manifestSchema, { ...testManifest(), ...change });
    assert.ok(faults.some((each) => each.startsWith(fault)), faults.join("\n"));
  });
}

Deno.test("indexElection() finds contests, stations, gateways and denied keys", () => {
  const index = indexElection({ ...testManifest(), denied: ["n-1-a.1"] });
  assert.equal(index.opensAtMs, Date.UTC(2026, 10, 3, 7));
  assert.equal(index.closesAtMs, Date.UTC(2026, 10, 3, 21));
  assert.equal(index.acceptsUntilMs, Date.UTC(2026, 10, 3, 23));
  assert.deepEqual(index.contests.get("council"), {
    votesAllowed: 2,
    candidates: new Set(["dan", "eve", "fay"]),
  });
  assert.deepEqual(index.stations.get("n-1"), { region: "north", contests: new Set(["mayor", "council"]) });
  assert.deepEqual(index.stations.get("n-2"), { region: "north", contests: new Set(["mayor"]) });
  assert.deepEqual(index.gateways.get("g-1"), new Set(["n-1", "n-2", "s-1"]));
  assert.equal(index.gateways.get("g-9"), undefined);
  assert.ok(index.denied.has("n-1-a.1"));
});

Deno.test("indexElection() shares with the version before what has not changed", () => {
  const before = indexElection(testManifest());
  const again = () => structuredClone(testManifest());
  const renamed = indexElection({ ...again(), name: "Renamed", denied: ["n-1-a.1"] }, before);
  for (const part of ["contests", "stations", "gateways"] as const) assert.equal(renamed[part], before[part]);
  for (const list of ["parties", "contests", "regions", "stations", "gateways"] as const) {
    assert.equal(renamed.manifest[list], before.manifest[list]);
  }
  assert.deepEqual(renamed, indexElection({ ...again(), name: "Renamed", denied: ["n-1-a.1"] }));

  const changes: Loose[] = [
    (each: Loose) => each.contests[0].votesAllowed = 2,
    (each: Loose) => each.contests.push({ ...each.contests[0], id: "third" }),
    (each: Loose) => each.stations[0].region = "south",
    (each: Loose) => each.stations[0].contests = [],
    (each: Loose) => each.stations.reverse(),
    (each: Loose) => each.gateways[0].fallbackFor = [],
    (each: Loose) => each.parties.pop(),
    (each: Loose) => each.regions.reverse(),
  ];
  for (const change of changes) {
    const manifest: Loose = again();
    change(manifest);
    assert.deepEqual(indexElection(manifest, before), indexElection(structuredClone(manifest)), `${change}`);
  }
});

Deno.test("indexElection() gives a station with an empty list no contest", () => {
  const manifest = testManifest();
  const index = indexElection({
    ...manifest,
    stations: manifest.stations.map((station) => ({ ...station, contests: [] })),
  });
  assert.deepEqual(index.stations.get("n-1")!.contests, new Set());
});

const { privateKey, publicKey } = manifestKeyPair(MASTER, "test-2026");

Deno.test("openManifest() opens what signManifest() signed, after it travelled as JSON", () => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      const signed = signedManifestSchema.parse(
        JSON.parse(JSON.stringify(signManifest(manifest, privateKey))),
      );
      assert.deepEqual(openManifest(signed, publicKey.toHex()), JSON.parse(JSON.stringify(manifest)));
    }),
    { numRuns: 100 },
  );
});

Deno.test("openManifest() refuses a change of any character", () => {
  const signed = signManifest(testManifest(), privateKey);
  for (let at = 0; at < signed.manifest.length; at += 7) {
    const char = String.fromCharCode(signed.manifest.charCodeAt(at) ^ 1);
    const manifest = signed.manifest.slice(0, at) + char + signed.manifest.slice(at + 1);
    assert.throws(
      () => openManifest({ ...signed, manifest }, publicKey.toHex()),
      /its signature is not the aggregator's/,
    );
  }
});

Deno.test("openManifest() refuses added whitespace, which would mean the same", () => {
  const signed = signManifest(testManifest(), privateKey);
  for (const manifest of [`${signed.manifest} `, ` ${signed.manifest}`, signed.manifest.replace(",", ", ")]) {
    assert.throws(() => openManifest({ ...signed, manifest }, publicKey.toHex()), /its signature/);
  }
});

Deno.test("openManifest() refuses a flipped bit anywhere in the signature", () => {
  const signed = signManifest(testManifest(), privateKey);
  for (let bit = 0; bit < 512; bit += 3) {
    const bytes = Uint8Array.fromBase64(signed.signature);
    bytes[bit >> 3] ^= 1 << (bit & 7);
    const forged = { ...signed, signature: bytes.toBase64() };
    assert.throws(() => openManifest(forged, publicKey.toHex()), /its signature/);
  }
});

for (const signature of ["", "AAAA", new Uint8Array(63).toBase64(), new Uint8Array(65).toBase64()]) {
  Deno.test(`openManifest() refuses a signature of ${Uint8Array.fromBase64(signature).length} bytes`, () => {
    const signed = { ...signManifest(testManifest(), privateKey), signature };
    assert.throws(() => openManifest(signed, publicKey.toHex()), /its signature is not the aggregator's/);
  });
}

Deno.test("openManifest() refuses another aggregator's signature", () => {
  const other = manifestKeyPair(MASTER, "other-2026");
  const signed = signManifest(testManifest(), other.privateKey);
  assert.throws(() => openManifest(signed, publicKey.toHex()), /its signature is not the aggregator's/);
  assert.ok(openManifest(signed, other.publicKey.toHex()));
});

Deno.test("signManifest() signs nothing that is not a manifest", () => {
  const manifest = { ...testManifest(), stations: [] };
  assert.throws(() => signManifest(manifest, privateKey), /stations/);
});
