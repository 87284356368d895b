/**
 * Who can reach whom, as a network that enforces NetworkPolicies decides it: a connection passes when the sender's egress and the
 * receiver's ingress both let it. A pod that no policy of a direction selects is open in it.
 *
 * @module
 */
import { fits, type Manifest, ofKind } from "./manifests.ts";

/** A pod in the namespace; or in another one, which its labels tell; or an address outside. */
export type Peer =
  | Readonly<{ labels: Readonly<Record<string, string>>; namespace?: Readonly<Record<string, string>> }>
  | "outside";

type Direction = "ingress" | "egress";

/** Whether a connection passes. Addresses outside are those that `0.0.0.0/0` means. */
export function reaches(manifests: readonly Manifest[], from: Peer, to: Peer, port: number): boolean {
  return lets(manifests, "egress", from, to, port) && lets(manifests, "ingress", to, from, port);
}

function lets(
  manifests: readonly Manifest[],
  direction: Direction,
  own: Peer,
  other: Peer,
  port: number,
): boolean {
  // Policies are of the namespace, and say nothing of others.
  if (own === "outside" || own.namespace !== undefined) return true;
  const type = direction === "ingress" ? "Ingress" : "Egress";
  const selecting = ofKind(manifests, "NetworkPolicy").filter(({ spec }) =>
    spec.policyTypes.includes(type) && fits(spec.podSelector, own.labels)
  );
  if (selecting.length === 0) return true;
  return selecting.some(({ spec }) =>
    (spec[direction] ?? []).some((rule: any) =>
      isPort(rule.ports, port) && isPeer(direction === "ingress" ? rule.from : rule.to, other)
    )
  );
}

function isPort(ports: { port: number; endPort?: number }[] | undefined, port: number): boolean {
  return ports === undefined ||
    ports.some((each) => each.port <= port && port <= (each.endPort ?? each.port));
}

function isPeer(peers: any[] | undefined, other: Peer): boolean {
  if (peers === undefined) return true;
  return peers.some(({ ipBlock, podSelector, namespaceSelector }) => {
    if (ipBlock !== undefined) {
      if (ipBlock.cidr !== "0.0.0.0/0") {
        throw new Error(`ipBlock ${ipBlock.cidr}: only 0.0.0.0/0 is understood here`);
      }
      // Networks differ in whether a pod's own address is in it: what is let out or in by it is taken as outside.
      return other === "outside";
    }
    if (other === "outside") return false;
    const isNamespace = namespaceSelector === undefined
      ? other.namespace === undefined
      : other.namespace !== undefined && fits(namespaceSelector, other.namespace);
    return isNamespace && (podSelector === undefined || fits(podSelector, other.labels));
  });
}
