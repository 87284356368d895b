/**
 * An aggregator in memory, as gateway g-1 sees it.
 *
 * @module
 */
import assert from "assert";
import { fromUtf8, utf8 } from "../shared/bytes.ts";
import { gatewayKey, manifestKeyPair, seal } from "../shared/keys.ts";
import { isFault, readClaim, verifyClaim } from "../shared/signature.ts";
import {
  type GatewayFile,
  revisionOf,
  type Sync,
  SYNC_PATH,
  syncKey,
  syncRequestSchema,
} from "../shared/sync.ts";
import { MASTER } from "./fixture.ts";

const ELECTION = "test-2026";

function keyOf(election: string): Uint8Array<ArrayBuffer> {
  return gatewayKey(MASTER, { election, id: "g-1", version: 1 });
}

/** What gateway g-1 is provisioned with. */
export function testGatewayFile(aggregators: string[], ...elections: string[]): GatewayFile {
  return {
    gateway: "g-1",
    aggregators,
    elections: (elections.length > 0 ? elections : [ELECTION]).map((election) => ({
      election,
      keyVersion: 1,
      key: keyOf(election).toHex(),
      manifestKey: manifestKeyPair(MASTER, election).publicKey.toHex(),
    })),
  };
}

/** What a gateway asked. `id` is the request's. */
export type Asked = { election: string; have: string | null; id: string };

/** An aggregator that answers as the real one does, but for what a test puts in its way. */
export class FakeAggregator {
  readonly texts = new Map<string, string>();
  readonly asked: Asked[] = [];
  readonly #now: () => number;
  /** Changes an answer on its way. */
  meddle: (response: Response, asked: Asked) => Response | Promise<Response> = (response) => response;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** What it answers from now on. */
  tell(sync: Sync, election = ELECTION): void {
    this.texts.set(election, JSON.stringify(sync));
  }

  /** An answer, sealed to who asked. */
  seal(text: string, { election, id }: Asked): Response {
    return new Response(seal(syncKey(keyOf(election)), utf8(text), utf8(id)));
  }

  /** Stands in for the network. */
  fetch: typeof fetch = (input, init) => this.handle(new Request(input, init));

  handle = async (request: Request): Promise<Response> => {
    assert.equal(new URL(request.url).pathname, SYNC_PATH);
    const body = new Uint8Array(await request.arrayBuffer());
    const header = (name: string) => request.headers.get(name);
    const claim = readClaim(SYNC_PATH, {
      contentType: header("content-type"),
      contentDigest: header("content-digest"),
      idempotencyKey: header("idempotency-key"),
      signatureInput: header("signature-input"),
      signature: header("signature"),
    });
    assert.ok(!isFault(claim));
    const election = claim.keyId.split("/")[0];
    assert.equal(claim.keyId, `${election}/g-1.1`);
    assert.equal(
      verifyClaim(claim, keyOf(election), body, this.#now()),
      undefined,
      "signed with its own key",
    );
    const { have } = syncRequestSchema.parse(JSON.parse(fromUtf8(body)));
    const asked = { election, have, id: claim.idempotencyKey };
    this.asked.push(asked);
    const text = this.texts.get(election);
    if (text === undefined) return await this.meddle(new Response("no such gateway", { status: 401 }), asked);
    const answer = have === revisionOf(text) ? new Response(null, { status: 204 }) : this.seal(text, asked);
    return await this.meddle(answer, asked);
  };
}
