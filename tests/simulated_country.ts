/**
 * A small country, made up, with an election in it.
 *
 * @module
 */
import {
  type Country,
  type CountrySize,
  type ElectionFrame,
  simulateCountry,
} from "../simulator/country/country.ts";

/** When the election is, and under which name. */
export const TEST_FRAME: ElectionFrame = {
  election: "sim",
  opensAt: "2026-11-03T07:00:00.000Z",
  closesAt: "2026-11-03T20:00:00.000Z",
  acceptsUntil: "2026-11-04T20:00:00.000Z",
};

const SIZE: CountrySize = {
  voters: 500,
  contests: 1,
  candidates: 3,
  parties: 2,
  regions: 2,
  stations: 5,
  devicesPerStation: 2,
  gateways: 2,
};

/** 500 voters at five stations in two regions, one contest of three candidates; the same each time. */
export function testCountry(): Country {
  return simulateCountry(1, SIZE, TEST_FRAME);
}
