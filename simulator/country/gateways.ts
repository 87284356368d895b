/**
 * Which gateway serves which stations in a simulated election, made up or replayed.
 *
 * @module
 */
import type { ElectionDefinition } from "../../shared/election.ts";

/**
 * Gives stations to gateways in turn. Each gateway is the first of every so many stations, and the fallback of
 * those whose first is the one before it. One gateway alone has no fallback.
 */
export function gatewaysFor(stations: readonly string[], gateways: number): ElectionDefinition["gateways"] {
  return Array.from({ length: gateways }, (_, g) => ({
    id: `gateway-${g + 1}`,
    stations: stations.filter((_, i) => i % gateways === g),
    fallbackFor: gateways === 1 ? [] : stations.filter((_, i) => (i + 1) % gateways === g),
  }));
}
