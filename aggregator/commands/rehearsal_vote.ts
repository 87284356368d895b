/**
 * Votes a test deck: real devices, by the client that makers of devices import, through the gateways' HTTP interface.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { createDeviceClient, type DeviceClient } from "../../device/client.ts";
import { memoryStore } from "../../device/store.ts";
import { type DevicesFile, parseDevicesFile } from "../../shared/devices_file.ts";
import type { Manifest } from "../../shared/election.ts";
import { isRehearsal } from "../../shared/rehearsal.ts";
import { type Deck, type DeckLine, votersOfLine } from "../office/rehearsal/deck.ts";
import { OfficeError } from "../registry/office_error.ts";

/** Ballots that a device casts at once. */
const BALLOTS_AT_ONCE = 200;
/** Devices that cast at the same time. */
const DEVICES_AT_ONCE = 20;
/** How long a device waits for the aggregator's answers when it has cast its ballots, in milliseconds. */
const SETTLE_MS = 120_000;
/** Differences that are listed. */
const MAX_LISTED = 20;

/** Reads the file of a rehearsal's devices. @throws {UsageError} when it is not one, or is that of a real election. */
export async function readRehearsalDevices(path: string): Promise<DevicesFile> {
  let file: DevicesFile;
  try {
    file = parseDevicesFile(await Deno.readTextFile(path));
  } catch (error) {
    throw new UsageError(`Cannot read the devices in ${path}: ${(error as Error).message}`);
  }
  if (!isRehearsal(file.election)) {
    throw new UsageError(
      `Cannot vote the deck with ${path}: it has keys of ${file.election}, which is no rehearsal; the deck has test votes`,
    );
  }
  return file;
}

/** Where a rehearsal's votes go. */
export type VotingPlaces = Readonly<{
  /** Gateway → its address. */
  gateways: ReadonlyMap<string, string>;
  aggregators: readonly string[];
  /** Whether devices state that they open and close. */
  statements: boolean;
}>;

/** What became of the deck at the gateways. */
export type VotedDeck = Readonly<{ acknowledged: number; refused: number; differences: readonly string[] }>;

/**
 * Votes a deck: first the voters' first votes, by all devices; when the aggregator has answered for them, the second ones. Every device
 * states before that it opens, and then that it closes.
 *
 * @param onCast Told how many more ballots were cast.
 */
export async function voteDeck(
  deck: Deck,
  file: DevicesFile,
  manifest: Pick<Manifest, "gateways">,
  { gateways, aggregators, statements }: VotingPlaces,
  onCast: (ballots: number) => void = () => {},
): Promise<VotedDeck> {
  const ending = new AbortController();
  const differences: string[] = [];
  const counts = { acknowledged: 0, refused: 0 };
  const lines = Map.groupBy(
    deck.ballots.map((line, i) => ({ line, number: i + 1 })),
    ({ line }) => line.device,
  );
  const clients = new Map<string, DeviceClient>();
  const note = (text: string) => {
    if (differences.length < MAX_LISTED) differences.push(text);
  };
  const eachDevice = async (work: (client: DeviceClient, device: string) => Promise<void>) =>
    await inTurns([...clients], DEVICES_AT_ONCE, ([device, client]) => work(client, device));
  const castAll = async (isAgain: boolean) => {
    await eachDevice(async (client, device) => {
      for (const { line, number } of lines.get(device) ?? []) {
        if ((line.again !== undefined) !== isAgain) continue;
        const { acknowledged, refused } = await castLine(client, line, number, note);
        counts.acknowledged += acknowledged;
        counts.refused += refused;
        onCast(line.count);
      }
      const left = await client.settle(AbortSignal.timeout(SETTLE_MS));
      if (left > 0) {
        note(
          `device ${device}: ${left} ballots have no answer of the aggregator after ${SETTLE_MS / 1_000} s`,
        );
      }
    });
  };
  try {
    for (const [device, own] of lines) {
      const { line: { station } } = own[0]!;
      const identity = file.devices.find((each) => each.device === device);
      if (identity === undefined) {
        note(`device ${device}: the file of devices has no keys of it`);
        continue;
      }
      if (identity.station !== station) {
        note(`device ${device}: the deck has it at ${station}, and its keys are for ${identity.station}`);
      }
      clients.set(
        device,
        await createDeviceClient({
          identity: { election: file.election, ...identity },
          gateways: gatewaysOf(identity.station, manifest, gateways),
          aggregators,
          store: memoryStore(),
          signal: ending.signal,
          limits: { askEveryMs: 500 },
        }),
      );
    }
    if (statements) await eachDevice((client, device) => state(client, device, "opening", note));
    await castAll(false);
    await castAll(true);
    if (statements) await eachDevice((client, device) => state(client, device, "closing", note));
  } finally {
    ending.abort();
  }
  return { ...counts, differences };
}

async function castLine(
  client: DeviceClient,
  line: DeckLine,
  number: number,
  note: (text: string) => void,
): Promise<{ acknowledged: number; refused: number }> {
  const { mode, choices, expect, device } = line;
  const selections = Object.entries(choices).flatMap(([contest, candidates]) =>
    candidates.map((candidate) => ({ contest, candidate }))
  );
  const voters = votersOfLine(line, number);
  const sums = { acknowledged: 0, refused: 0 };
  for (let from = 0; from < voters.length; from += BALLOTS_AT_ONCE) {
    const ballots = voters.slice(from, from + BALLOTS_AT_ONCE).map((voterId) => ({
      voterId,
      mode,
      selections,
    }));
    for (const delivery of await client.castAll(ballots)) {
      if (delivery.fate === "acknowledged") sums.acknowledged++;
      if (delivery.fate === "refused") sums.refused++;
      const isRight = delivery.fate === (expect === "refused" ? "refused" : "acknowledged");
      if (isRight) continue;
      const why = delivery.fate === "refused"
        ? ` (${delivery.problem.detail ?? delivery.problem.title})`
        : delivery.fate === "undelivered"
        ? ` (${delivery.detail})`
        : "";
      note(`line ${number}, device ${device}: expected ${expect}, and the ballot was ${delivery.fate}${why}`);
    }
  }
  return sums;
}

async function state(
  client: DeviceClient,
  device: string,
  kind: "opening" | "closing",
  note: (text: string) => void,
): Promise<void> {
  const { taken, detail } = await client.state(kind);
  if (!taken) note(`device ${device}: its ${kind} statement was not taken: ${detail}`);
}

/** A station's gateways, its primary first. */
function gatewaysOf(
  station: string,
  { gateways }: Pick<Manifest, "gateways">,
  addresses: ReadonlyMap<string, string>,
): string[] {
  const ids = [
    ...gateways.filter(({ stations }) => stations.includes(station)),
    ...gateways.filter(({ fallbackFor }) => fallbackFor.includes(station)),
  ].map(({ id }) => id);
  const missing = ids.find((id) => !addresses.has(id));
  if (missing !== undefined) {
    throw new OfficeError(
      `Cannot vote the deck: --gateway ${missing}=<address> is missing; it serves ${station}`,
    );
  }
  return ids.map((id) => addresses.get(id)!);
}

/** Does work for each item, some at a time. */
async function inTurns<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const one = async () => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, one));
}
