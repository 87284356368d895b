/**
 * An aggregator in memory, as gateway g-1 sees it.
 *
 * @module
 */
import assert from "assert";
import { fromUtf8, utf8 } from "../shared/bytes.ts";
import { gatewayKey, manifestKeyPair, parseKeyName, seal } from "../shared/keys.ts";
import { problem, problemResponse } from "../shared/problem.ts";
import { isFault, readClaim, verifyClaim } from "../shared/signature.ts";
import {
  type GatewayFile,
  revisionOf,
  type Sync,
  SYNC_PATH,
  syncKey,
  type SyncRequest,
  syncRequestSchema,
  TIME_HEADER,
} from "../shared/sync.ts";
import { MASTER } from "./fixture.ts";

const ELECTION = "test-2026";

function keyOf(election: string, version = 1): Uint8Array<ArrayBuffer> {
  return gatewayKey(MASTER, { election, id: "g-1", version });
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

/** What a gateway asked and told. `id` is the request's; `version` that of the gateway's key. */
export type Asked = SyncRequest & { election: string; id: string; version: number };

/** An aggregator that answers as the real one does, but for what a test puts in its way. */
export class FakeAggregator {
  readonly texts = new Map<string, string>();
  readonly asked: Asked[] = [];
  /** Its clock. */
  now: () => number;
  /** Changes an answer on its way. */
  meddle: (response: Response, asked: Asked) => Response | Promise<Response> = (response) => response;

  constructor(now: () => number = Date.now) {
    this.now = now;
  }

  /** What it answers from now on. */
  announce(sync: Sync, election = ELECTION): void {
    this.texts.set(election, JSON.stringify(sync));
  }

  /** An answer, sealed to who asked. */
  seal(text: string, { election, id, version }: Pick<Asked, "election" | "id" | "version">): Response {
    return new Response(seal(syncKey(keyOf(election, version)), utf8(text), utf8(id)));
  }

  /** Stands in for the network. */
  fetch: typeof fetch = (input, init) => this.handle(new Request(input, init));

  handle = async (request: Request): Promise<Response> => {
    const response = await this.#answer(request);
    const answer = new Response(response.body, response);
    answer.headers.set(TIME_HEADER, String(this.now()));
    return answer;
  };

  async #answer(request: Request): Promise<Response> {
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
    const { election, version } = parseKeyName(claim.keyId)!;
    assert.equal(claim.keyId, `${election}/g-1.${version}`);
    const fault = verifyClaim(claim, keyOf(election, version), body, this.now());
    if (fault !== undefined) {
      assert.match(fault.reason, /^signature-(stale|early)$/, "signed with its own key");
      const now = new Date(this.now()).toISOString();
      return problemResponse(problem(fault.reason, fault.detail, { now }));
    }
    const told = syncRequestSchema.parse(JSON.parse(fromUtf8(body)));
    const asked = { ...told, election, version, id: claim.idempotencyKey };
    this.asked.push(asked);
    const text = this.texts.get(election);
    if (text === undefined) return await this.meddle(new Response("no such gateway", { status: 401 }), asked);
    const answer = told.have === revisionOf(text)
      ? new Response(null, { status: 204 })
      : this.seal(text, asked);
    return await this.meddle(answer, asked);
  }
}
