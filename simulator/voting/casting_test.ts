import assert from "assert";
import { problem, type ProblemType } from "../../shared/problem.ts";
import type { Receipt } from "../../shared/receipt.ts";
import { Device } from "../../device/device.ts";
import type { CastVote, Delivery } from "../../device/delivery.ts";
import { GatewayLink } from "../../device/gateway_link.ts";
import type { ReceiptAnswer } from "../../device/receipts.ts";
import { isProofOf } from "../../shared/proof.ts";
import { testDeviceIdentity } from "../../tests/device_fixture.ts";
import { testCountry } from "../../tests/simulated_country.ts";
import { testReceipt } from "../../tests/fixture.ts";
import { voterChoices } from "../country/choices.ts";
import type { LedgerEntry } from "../ledger/ledger.ts";
import type { BadKind, VoteKind } from "../bad/kinds.ts";
import { plan } from "./plan.ts";
import { seededRandom } from "../random.ts";
import { castPlanned } from "./casting.ts";
import { judgeLedger } from "../ledger/verdict.ts";
import { Differences } from "../run/differences.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const { definition, voters, size } = testCountry();

/** Gateways and aggregator in one: takes everything, and counts each voter's first vote, as Pollwire must. */
class Stub extends Map<string, string> {
  readonly outcomes = new Map<string, ReceiptAnswer>();
  readonly sends: string[] = [];
  /** What this stub gets wrong. */
  flaw?:
    | "counts twice"
    | "loses one"
    | "loses all"
    | "counts anybody"
    | "away at times"
    | "takes forgeries"
    | "forgets bodies"
    | "wrong reason";
  readonly #bodies = new Map<string, string>();
  #asked = 0;

  send(votes: readonly CastVote[], [gateway]: readonly string[]): Promise<Delivery[]> {
    return Promise.resolve(votes.map((vote): Delivery => {
      const { voteId } = vote;
      const { voterId, selections } = JSON.parse(vote.vote);
      if (selections.length > 1) {
        return refused(this.flaw === "wrong reason" ? "unknown-contest" : "overvote");
      }
      // A gateway knows the ids of what it took itself.
      const id = `${gateway} ${voteId}`;
      if (!this.#bodies.has(id)) this.#bodies.set(id, vote.vote);
      if (this.#bodies.get(id) !== vote.vote && this.flaw !== "forgets bodies") {
        return refused("vote-id-reused");
      }
      this.sends.push(`${voteId} ${gateway}`);
      const lost = this.flaw === "loses all" || (this.flaw === "loses one" && this.sends.length === 7);
      if (!lost) this.#count(vote, voterId, gateway!);
      return { fate: "acknowledged", receipt: testReceipt(voteId, { voterKey: voterId }), gateway: gateway! };
    }));
  }

  /** Where wrong requests go. */
  fetch(_url: string, init: RequestInit): Promise<Response> {
    const { vote } = JSON.parse(new TextDecoder().decode(init.body as Uint8Array));
    const { voteId, voterId } = JSON.parse(vote);
    if (this.flaw !== "takes forgeries") {
      return Promise.resolve(new Response(JSON.stringify(problem("signature-invalid")), { status: 401 }));
    }
    const receipt = testReceipt(voteId, { voterKey: voterId });
    return Promise.resolve(new Response(JSON.stringify({ receipt }), { status: 202 }));
  }

  #count({ voteId, vote, proof, proofKey }: CastVote, voterId: string, gateway: string): void {
    const { proofKey: key } = testDeviceIdentity("sim", proofKey.split(".")[0]);
    const isOwn = isProofOf(Uint8Array.fromHex(proof), key, "sim", proofKey, vote);
    if (!isOwn) return;
    const known = this.outcomes.get(voteId);
    if (known !== undefined) {
      // Another copy: one that another gateway made.
      const gateways = [...new Set([...known.gateways ?? [], gateway])];
      if (known.outcome === "rejected") this.outcomes.set(voteId, { ...known, gateways });
      return;
    }
    const counted = this.get(voterId);
    if (voterId.startsWith("nobody") && this.flaw !== "counts anybody") {
      this.outcomes.set(voteId, {
        voteId,
        outcome: "rejected",
        reason: "unknown_voter",
        gateways: [gateway],
      });
    } else if (counted === undefined || this.flaw === "counts twice") {
      this.set(voterId, voteId);
      this.outcomes.set(voteId, { voteId, outcome: "counted" });
    } else {
      this.outcomes.set(voteId, { voteId, outcome: "duplicate", reason: "double_vote" });
    }
  }

  checkReceipts(receipts: readonly Receipt[]): Promise<ReceiptAnswer[] | undefined> {
    if (this.flaw === "away at times" && this.#asked++ % 2 === 0) {
      return Promise.resolve(undefined);
    }
    return Promise.resolve(
      receipts.map(({ voteId }) => this.outcomes.get(voteId) ?? { voteId, outcome: "pending" }),
    );
  }
}

function refused(reason: ProblemType): Delivery {
  return { fate: "refused", problem: problem(reason) };
}

/** The kinds that only casting can make. */
const SOME_OF_EACH: Partial<Record<BadKind, number>> = {
  "double": 0.1,
  "unknown-voter": 0.1,
  "wrong-proof": 0.1,
  "retransmission": 0.1,
  "reused-id": 0.1,
  "forged": 0.1,
  "overvote": 0.1,
};

/** Casts a whole small election against the stub, and judges the ledger. */
async function run(flaw?: Stub["flaw"], bad = SOME_OF_EACH) {
  const stub = new Stub();
  stub.flaw = flaw;
  const entries: LedgerEntry[] = [];
  let nowMs = Date.parse(definition.opensAt);
  const clock = {
    now: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms;
      await new Promise((resolve) => setTimeout(resolve, 0));
    },
  };
  const device = (id: string, station: string) => {
    const world = {
      fetch: () => Promise.reject(new Error("unused")),
      clock,
      random: seededRandom(1),
      uuid: () => "",
    };
    const links = ["http://primary", "http://fallback"].map((origin) => new GatewayLink(origin));
    const made = new Device(testDeviceIdentity("sim", id, station), links, world);
    made.send = (votes, gateways = made.gateways) => stub.send(votes, gateways);
    return made;
  };
  const left = await castPlanned({
    planned: plan({
      voters: voters(),
      definition,
      polls: new Map(
        definition.stations.map(({ id }) => [id, [device(`${id}-a`, id), device(`${id}-b`, id)]]),
      ),
      stationsOf: new Map(),
      choices: voterChoices(1, definition),
      batchVotes: 20,
      bad: new Map(Object.entries(bad) as [BadKind, number][]),
      random: seededRandom(1, "plan"),
      uuid: () => crypto.randomUUID(),
      now: () => nowMs,
    }),
    bad: {
      fetch: (url, init) => stub.fetch(url, init),
      gatewaysOf: new Map(definition.stations.map(({ id }) => [id, ["http://gateway"]])),
      uuid: () => crypto.randomUUID(),
    },
    inFlight: 3,
    ledger: { write: (written) => Promise.resolve(void entries.push(...written)) },
    aggregator: stub,
    answerSource: { election: "sim", answerKey: "" },
    clock,
    signal: new AbortController().signal,
    onCast: () => {},
    onAllCast: () => {},
  });
  const differences = new Differences();
  const summary = await judgeLedger(
    (async function* () {
      yield* entries;
    })(),
    differences,
  );
  return { left, summary, differences, stub };
}

function sentOf({ kinds }: Awaited<ReturnType<typeof run>>["summary"], kind: VoteKind): number {
  return kinds.get(kind)!.sent;
}

Deno.test("castPlanned() accounts for every vote, and for what must not count", strict, async () => {
  const { left, summary, differences, stub } = await run();
  assert.deepEqual([left, differences.named], [0, []]);
  assert.deepEqual([sentOf(summary, "first"), summary.votersCounted], [size.voters, size.voters]);
  for (const kind of Object.keys(SOME_OF_EACH) as BadKind[]) {
    const sent = sentOf(summary, kind);
    assert.ok(sent > 25 && sent < 75, `${sent} ${kind}`);
  }
  const unknown = sentOf(summary, "unknown-voter");
  const asked = sentOf(summary, "retransmission");
  assert.deepEqual(summary.again, { asked, pending: 0, held: 0, rejected: unknown });
  assert.equal(summary.outcomes.get("rejected/bad_proof"), sentOf(summary, "wrong-proof"));
  assert.equal(stub.sends.filter((send) => send.endsWith("fallback")).length, summary.again.asked + unknown);
});

Deno.test("castPlanned() plans no extras when none are asked for", strict, async () => {
  const { summary } = await run(undefined, {});
  assert.deepEqual([...summary.kinds].filter(([, { sent }]) => sent > 0).map(([kind]) => kind), ["first"]);
  assert.deepEqual(summary.again, { asked: 0, pending: 0, held: 0, rejected: 0 });
});

Deno.test("castPlanned() outlasts an aggregator that is away at times", strict, async () => {
  const { left, differences } = await run("away at times");
  assert.deepEqual([left, differences.named], [0, []]);
});

Deno.test("castPlanned() catches an aggregator that counts twice, or counts anybody", strict, async () => {
  const twice = await run("counts twice");
  assert.equal(twice.differences.count, sentOf(twice.summary, "double"));
  assert.match(twice.differences.named[0]!, /2 of 2 votes counted, not 1/);
  const anybody = await run("counts anybody");
  assert.equal(anybody.differences.count, sentOf(anybody.summary, "unknown-voter"));
});

Deno.test("castPlanned() sends a lost vote again until it is found, under the same id", strict, async () => {
  const { left, differences, stub } = await run("loses one", {});
  assert.deepEqual([left, differences.named], [0, []]);
  assert.equal(stub.sends.filter((send) => send.endsWith("fallback")).length, 1);
});

Deno.test(
  "castPlanned() gives up on votes that nobody ever answers for, and says how many",
  strict,
  async () => {
    const { left, differences, summary } = await run("loses all", {});
    assert.deepEqual([left, differences.count, summary.acknowledged], [
      size.voters,
      2 * size.voters,
      size.voters,
    ]);
    assert.match(differences.named[0]!, /acknowledged, and its outcome is none/);
  },
);

Deno.test("castPlanned() catches a gateway that takes what it must refuse", strict, async () => {
  const forged = await run("takes forgeries", { forged: 0.1 });
  assert.equal(forged.differences.count, sentOf(forged.summary, "forged"));
  assert.match(
    forged.differences.named[0]!,
    /\(forged\): acknowledged, its outcome is none, and it should be refused\/signature-invalid/,
  );
  const reused = await run("forgets bodies", { "reused-id": 0.1 });
  assert.equal(reused.differences.count, sentOf(reused.summary, "reused-id"));
  assert.match(reused.differences.named[0]!, /\(reused-id\): acknowledged/);
});

Deno.test(
  "castPlanned() catches a gateway that refuses for another reason than it must",
  strict,
  async () => {
    const { differences, summary } = await run("wrong reason", { overvote: 0.1 });
    assert.equal(differences.count, sentOf(summary, "overvote"));
    assert.match(differences.named[0]!, /\(overvote\): refused by a gateway, unknown-contest/);
  },
);
