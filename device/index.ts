/**
 * What the npm package `pollwire-device` has: the client for makers of devices, and what signs votes without it.
 *
 * @module
 */
export { createDeviceClient } from "./client.ts";
export { memoryStore } from "./store.ts";
export { PROOF_SCHEME, proofOf } from "../shared/proof.ts";
export { signRequest } from "../shared/signature.ts";

/** The version of `docs/wire-format.md` that is spoken. */
export const WIRE_FORMAT = 2;
