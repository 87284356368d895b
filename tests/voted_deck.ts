/**
 * A rehearsal's deck, voted without devices and gateways: sealed, counted and published.
 *
 * @module
 */
import { type Deck, votersOfLine } from "../aggregator/office/rehearsal/deck.ts";
import { publish } from "../aggregator/results/publish.ts";
import type { BallotBox } from "./ballot_box.ts";
import { NOON_MS } from "./fixture.ts";

/** Votes what gateways would take of a deck, counts it and makes the final release. */
export async function voteInBox(box: BallotBox, { ballots }: Deck): Promise<void> {
  const gateways = new Set<string>();
  for (const isAgain of [false, true]) {
    for (const [i, line] of ballots.entries()) {
      if (line.expect === "refused" || (line.again !== undefined) !== isAgain) continue;
      const { station, mode, device, choices } = line;
      const gateway = station.startsWith("n-") ? "g-1" : "g-2";
      gateways.add(gateway);
      const selections = Object.entries(choices).flatMap(([contest, of]) =>
        of.map((candidate) => ({ contest, candidate }))
      );
      for (const voter of votersOfLine(line, i + 1)) {
        await box.cast(voter, { station, mode, device, selections }, gateway);
      }
    }
  }
  await box.log.append([...gateways].map((gateway) => ({ ...box.state(gateway), partition: 0 })));
  await box.count(100);
  const { manifest } = box.history.newest;
  const regions = new Map(manifest.stations.map(({ id, region }) => [id, region]));
  await publish(box.db, {
    election: box.election,
    threshold: manifest.releaseThreshold,
    beforeFinal: true,
    final: true,
    caughtUp: true,
    regionOf: (station: string) => regions.get(station),
    all: true,
  }, new Date(NOON_MS + 3_600_000));
}
