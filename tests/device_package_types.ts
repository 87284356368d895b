/**
 * Holds the types of the npm package for makers of devices to those of the client. Nothing runs: `deno check` fails when they differ.
 *
 * @module
 */
import type * as Client from "../device/client.ts";
import type { Delivery } from "../device/delivery.ts";
import type * as Entry from "../device/index.ts";
import type * as Shipped from "../device/package.d.ts";
import type { ReceiptAnswer } from "../device/receipts.ts";
import type { KeptVote, VoteStore } from "../device/store.ts";

/** `true` when each may stand for the other. */
type Same<A, B> = [A] extends [B] ? [B] extends [A] ? true : false : false;
/** Public members alone: the client's class has private ones, and two that are not for its users. */
type PublicClient = Omit<Client.DeviceClient, "restore">;

/** Each must be `true`. */
export const SAME: readonly [
  Same<Shipped.ClientIdentity, Client.ClientIdentity>,
  Same<Shipped.Ballot, Client.Ballot>,
  Same<Shipped.Trouble, Client.Trouble>,
  Same<Shipped.ClientOptions, Client.ClientOptions>,
  Same<Required<Shipped.ClientOptions>["limits"], Required<Client.ClientOptions>["limits"]>,
  Same<keyof Shipped.ClientOptions, keyof Client.ClientOptions>,
  Same<Shipped.Delivery, Delivery>,
  Same<Shipped.ReceiptAnswer, ReceiptAnswer>,
  Same<keyof Shipped.ReceiptAnswer, keyof ReceiptAnswer>,
  Same<Shipped.KeptVote, KeptVote>,
  Same<Shipped.VoteStore, VoteStore>,
  Same<Shipped.DeviceClient, PublicClient>,
  Same<keyof Shipped.DeviceClient, keyof PublicClient>,
  Same<typeof Shipped.proofOf, typeof Entry.proofOf>,
  Same<typeof Shipped.signRequest, typeof Entry.signRequest>,
  Same<typeof Shipped.WIRE_FORMAT, typeof Entry.WIRE_FORMAT>,
  Same<typeof Shipped.PROOF_SCHEME, typeof Entry.PROOF_SCHEME>,
  Same<keyof typeof Shipped, keyof typeof Entry>,
] = [
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
];
