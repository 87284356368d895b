/**
 * A signed vote, and what became of sending it to the gateways.
 *
 * @module
 */
import type { Problem } from "../shared/problem.ts";
import type { Receipt } from "../shared/receipt.ts";
import type { SignedVote } from "../shared/proof.ts";

/** A signed vote. Every sending has the same text, proof and id. */
export type CastVote = Readonly<{ voteId: string }> & Readonly<SignedVote>;

/** A gateway's receipt for a vote on its disk. `gateway` is the address that sent it. */
export type Taken = Readonly<{ receipt: Receipt; gateway: string }>;

/** The result of delivering one vote to the gateways. */
export type Delivery =
  | Readonly<{ fate: "acknowledged" }> & Taken
  /** Refused by every gateway, and none of them can have it on its disk. */
  | Readonly<{ fate: "refused"; problem: Problem }>
  /** A gateway may have it, or may take it later. `problem`: why a gateway refused it, if one did. */
  | Readonly<{ fate: "undelivered"; detail: string; problem?: Problem }>;
