/**
 * The simulated programs of a run, and what stands between them.
 *
 * @module
 */
import type { Network } from "./network.ts";
import type { SimAggregator } from "./sim_aggregator.ts";
import type { SimServer } from "./sim_database.ts";
import type { SimDevice } from "./sim_device.ts";
import type { SimGateway } from "./sim_gateway.ts";
import type { SimLog } from "./sim_log.ts";

/** Everything that a fault can befall. */
export type Cast = Readonly<{
  gateways: readonly SimGateway[];
  aggregators: readonly SimAggregator[];
  devices: readonly SimDevice[];
  network: Network;
  log: SimLog;
  server: SimServer;
  /** Pairs of programs that speak to each other. */
  links: readonly (readonly [string, string])[];
}>;
