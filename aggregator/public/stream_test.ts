import assert from "assert";
import { eventually, inTime } from "../../tests/eventually.ts";
import { withElection, writeReconciliation, writeRelease } from "../../tests/seeded_database.ts";
import { progressSchema } from "../counting/schemas.ts";
import { releaseSchema } from "../results/schemas.ts";
import { tickSchema } from "./schemas.ts";
import type { Database } from "../database/database.ts";
import { Elections } from "../registry/election_names.ts";
import { type StreamOptions, Streams } from "./stream.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type Event = { event: string; id: number | undefined; data: any };

/** Reads a stream's events one by one; comments as events named `comment`. */
class Listener {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(stream: ReadableStream<Uint8Array> | string) {
    assert(typeof stream !== "string", `the stream was refused: ${stream}`);
    this.#reader = stream.getReader();
  }

  /** The next event of these kinds; `undefined` at the end. */
  async next(...kinds: string[]): Promise<Event | undefined> {
    // Events of other kinds come for ever.
    return await inTime(`the next ${kinds.join(" or ")}`, this.#nextOf(kinds));
  }

  async #nextOf(kinds: readonly string[]): Promise<Event | undefined> {
    for (;;) {
      const event = await this.#next();
      if (event === undefined || kinds.includes(event.event)) return event;
    }
  }

  /** The revisions of the next releases. */
  async releases(count: number): Promise<number[]> {
    const revisions: number[] = [];
    while (revisions.length < count) {
      const event = await this.next("release");
      assert(event !== undefined, `the stream ended after ${revisions}`);
      releaseSchema.parse(event.data);
      assert.equal(event.id, event.data.revision);
      revisions.push(event.id!);
    }
    return revisions;
  }

  async #next(): Promise<Event | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end >= 0) {
        const block = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        if (block.startsWith(":")) return { event: "comment", id: undefined, data: block.slice(2) };
        const fields = new Map(block.split("\n").map((line) => line.split(/: (.*)/s, 2) as [string, string]));
        if (!fields.has("event")) continue;
        const id = fields.get("id");
        return {
          event: fields.get("event")!,
          id: id === undefined ? undefined : Number(id),
          data: JSON.parse(fields.get("data")!),
        };
      }
      const { value, done } = await this.#reader.read();
      if (done) return undefined;
      this.#text += this.#decoder.decode(value, { stream: true });
    }
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }
}

/** Works with the streams of one process, which are ended with it. */
async function withStreams(
  db: Database,
  work: (streams: Streams, stop: AbortController, errors: unknown[]) => Promise<void>,
  options: Partial<StreamOptions> = {},
): Promise<void> {
  const stop = new AbortController();
  const errors: unknown[] = [];
  const streams = new Streams({
    db,
    elections: new Elections(),
    logEnds: () => Promise.resolve([5, 0, 0]),
    now: Date.now,
    signal: stop.signal,
    onError: (error) => errors.push(error),
    ...options,
    limits: { pollMs: 5, progressMs: 5, tickMs: 20, retryMs: 5, ...options.limits },
  });
  try {
    await work(streams, stop, errors);
  } finally {
    stop.abort();
    await streams.drained();
    assert.equal(streams.clients, 0);
  }
}

const release = (db: Database, station = "n-1") =>
  writeRelease(db, { station, voters: 3, votes: { "mayor/ann": [3, 3] } });

Deno.test("Streams", async (t) => {
  await withElection(async (db) => {
    const first = [await release(db), await release(db), await release(db)];

    await t.step("two listeners get every release once, in order, from one poller", async () => {
      let asked = 0;
      const counting: Database = {
        ...db,
        query: (sql, params) => {
          if (sql.includes("FROM registry.elections e")) asked++;
          return db.query(sql, params);
        },
      };
      await withStreams(counting, async (streams) => {
        const one = new Listener(streams.open("test-2026", 0));
        const two = new Listener(streams.open("test-2026"));
        assert.deepEqual(await one.releases(3), first);
        const tick = await two.next("tick");
        assert.equal(tick!.data.revision, first[2]);
        assert.equal(streams.clients, 2);
        const before = asked;
        await eventually("it is asked again and again", () => asked > before + 5);
        const more = [await release(db, "s-1"), await release(db)];
        assert.deepEqual(await one.releases(2), more);
        assert.deepEqual(await two.releases(2), more);
        first.push(...more);
        await one.cancel();
        await two.cancel();
        await eventually("nobody listens", () => streams.clients === 0);
        // It was not stopped, but it has ended: without clients it asks nothing.
        let ended = false;
        streams.drained().then(() => ended = true);
        await eventually("the poller has ended", () => ended);
      });
    });

    await t.step("who comes back gets what it missed, page by page, and then what is new", async () => {
      await withStreams(db, async (streams) => {
        const listener = new Listener(streams.open("test-2026", first[0]));
        assert.deepEqual(await listener.releases(4), first.slice(1));
        const another = await release(db);
        first.push(another);
        assert.deepEqual(await listener.releases(1), [another]);
      }, { limits: { pageReleases: 1 } });
    });

    await t.step("a release says what it is of", async () => {
      await withStreams(db, async (streams) => {
        const { data } = (await new Listener(streams.open("test-2026", first[2])).next("release"))!;
        assert.deepEqual({ ...data, revision: 0 }, {
          revision: 0,
          unit: "s-1/in_person",
          station: "s-1",
          region: "south",
          mode: "in_person",
          members: null,
          kind: "interim",
          releasedAt: "2026-11-03T12:00:10.000Z",
          voters: 3,
          addedVoters: 3,
          votes: [{ contest: "mayor", candidate: "ann", votes: 3, added: 3 }],
          contests: [{
            contest: "mayor",
            ballots: 3,
            undervotes: 0,
            blanks: 1,
            addedBallots: 3,
            addedUndervotes: 0,
            addedBlanks: 1,
          }],
        });
      });
    });

    await t.step("totals come when they change, ticks all the time", async () => {
      await withStreams(db, async (streams) => {
        const listener = new Listener(streams.open("test-2026"));
        const nothing = (await listener.next("turnout"))!.data;
        assert.equal(progressSchema.parse(nothing).read, 0);
        await writeReconciliation(db.query, 0, 3, 3, { counted: 2, "rejected/overvote": 1 });
        const some = (await listener.next("turnout"))!.data;
        assert.deepEqual([some.read, some.counted, some.balanced], [3, 2, true]);
        for (let ticks = 0; ticks < 3; ticks++) {
          const { data } = (await listener.next("turnout", "tick"))!;
          assert.equal(tickSchema.parse(data).lag, 2);
        }
      });
    });

    await t.step("totals that a release belongs to come before it", async () => {
      await withStreams(db, async (streams) => {
        const listener = new Listener(streams.open("test-2026"));
        await listener.next("tick");
        await listener.next("turnout");
        await writeReconciliation(db.query, 1, 9, 9, { counted: 9 });
        first.push(await release(db));
        const { event, data } = (await listener.next("turnout", "release"))!;
        assert.deepEqual([event, data.counted], ["turnout", 11]);
        assert.deepEqual(await listener.releases(1), first.slice(-1));
      }, { limits: { progressMs: 60_000 } });
    });

    await t.step(
      "a revision that is ahead of the poller is not void; one that was never given out is",
      async () => {
        await withStreams(db, async (streams) => {
          const one = new Listener(streams.open("test-2026"));
          await one.next("tick");
          const newest = await release(db);
          first.push(newest);
          const ahead = new Listener(streams.open("test-2026", newest));
          assert.notEqual((await ahead.next("tick", "reset", "release"))!.event, "reset");
          const stranger = new Listener(streams.open("test-2026", newest + 1_000));
          const reset = (await stranger.next("reset", "release"))!;
          assert.deepEqual([reset.event, reset.id], ["reset", newest]);
          first.push(await release(db));
          assert.deepEqual(await ahead.releases(1), first.slice(-1));
          assert.deepEqual(await stranger.releases(1), first.slice(-1));
        }, { limits: { pollMs: 200 } });
      },
    );

    await t.step("a listener that does not read is sent away, and others are not kept waiting", async () => {
      await withStreams(db, async (streams) => {
        const slow = streams.open("test-2026") as ReadableStream<Uint8Array>;
        const quick = new Listener(streams.open("test-2026"));
        await quick.next("tick");
        const sent: number[] = [];
        while (streams.clients === 2) {
          sent.push(await release(db));
          assert.deepEqual(await quick.releases(1), sent.slice(-1));
          assert(sent.length < 100, "the slow listener is still there");
        }
        first.push(...sent);
        const listener = new Listener(slow);
        const got: number[] = [];
        for (;;) {
          const event = (await listener.next("release", "comment"))!;
          if (event.event === "comment") break;
          got.push(event.id!);
        }
        assert.equal(await listener.next("release"), undefined, "the stream has ended");
        assert.deepEqual(got, sent.slice(0, got.length));
        const again = new Listener(streams.open("test-2026", got.at(-1)));
        assert.deepEqual(await again.releases(sent.length - got.length), sent.slice(got.length));
      }, { limits: { clientBytes: 2_000, tickMs: 60_000 } });
    });

    await t.step("no more listeners than the limit, and none when the process stops", async () => {
      await withStreams(db, async (streams, stop) => {
        const one = new Listener(streams.open("test-2026"));
        assert.equal(streams.open("test-2026"), "busy");
        await one.next("tick");
        stop.abort();
        await streams.drained();
        assert.equal(await one.next("release"), undefined);
        assert.equal(streams.open("test-2026"), "busy");
      }, { limits: { clients: 1 } });
    });

    await t.step("no more listeners of one address than its limit; one that leaves makes room", async () => {
      await withStreams(db, async (streams) => {
        const mine = () => streams.open("test-2026", undefined, "192.0.2.1");
        const one = mine() as ReadableStream<Uint8Array>;
        new Listener(mine());
        assert.equal(mine(), "address-streams");
        new Listener(streams.open("test-2026", undefined, "192.0.2.2"));
        await one.cancel();
        new Listener(mine());
        assert.equal(mine(), "address-streams");
      }, { limits: { addressClients: 2 } });
    });

    await t.step(
      "when the database is away, the ticks say how old the figures are, and then it goes on",
      async () => {
        let away = false;
        const failing: Database = {
          ...db,
          query: (sql, params) => away ? Promise.reject(new Error("away")) : db.query(sql, params),
          transaction: (work, isolation) =>
            away ? Promise.reject(new Error("away")) : db.transaction(work, isolation),
        };
        await withStreams(failing, async (streams, _, errors) => {
          const listener = new Listener(streams.open("test-2026"));
          await listener.next("tick");
          away = true;
          await eventually("an error is told", () => errors.length > 0);
          let last = (await listener.next("tick"))!.data;
          const { readAt } = last;
          while (Date.parse(last.now) - Date.parse(readAt) < 50) last = (await listener.next("tick"))!.data;
          assert.equal(last.lag, null);
          const missed = await release(db);
          away = false;
          assert.deepEqual(await listener.releases(1), [missed]);
        });
      },
    );

    await t.step("a log that fails is a lag that is not known", async () => {
      await withStreams(db, async (streams, _, errors) => {
        const listener = new Listener(streams.open("test-2026"));
        assert.equal((await listener.next("tick"))!.data.lag, null);
        assert.match(String(errors[0]), /no log/);
      }, { logEnds: () => Promise.reject(new Error("no log")) });
    });
  });
});
