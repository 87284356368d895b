/**
 * The bad day of a gateway, from the outside: a real process, over TCP. Whatever comes, each has its own answer that
 * says what is wrong, none is an error of the gateway's own, and only honest votes reach the log.
 */
import assert from "assert";
import { PROBLEMS } from "../shared/problem.ts";
import { BAD_VOTES, badVotes, bodies, ids } from "./bad_day/bodies.ts";
import { addresses, methods, shapes, trailing } from "./bad_day/http.ts";
import { honest, post, type Row, vote } from "./bad_day/scene.ts";
import { hands, headers, inputs } from "./bad_day/signatures.ts";
import { eventually } from "./eventually.ts";
import { signedText, testDevice, testSync } from "./gateway_fixture.ts";
import { openManifest, withAggregator } from "./gateway_process.ts";
import { exchange, type RawAnswer, rawBytes, RawConnection } from "./raw_http.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** How many rows are driven at once. */
const AT_ONCE = 16;

/** What a day's rows are driven at. */
type Day = Readonly<{
  origin: string;
  /** Sends an honest vote, which must be taken, and counts it. */
  vote(): Promise<void>;
  /** Counts votes that were taken otherwise. */
  taken(votes: number): void;
}>;

/** Runs a gateway for a day; in the end the log must hold the honest votes and nothing else. */
async function aDay(work: (day: Day) => Promise<void>): Promise<void> {
  const manifest = { ...openManifest(), denied: ["s-1-a.1"] };
  const sync = testSync(manifest, ["n-1", "n-2", "s-1"].map((station) => testDevice(station)));
  await withAggregator(async ({ start, numbers }) => {
    const gateway = start({
      DEVICE_VOTES_PER_SECOND: "1000000",
      STATION_VOTES_PER_SECOND: "1000000",
      ADDRESS_REQUESTS_PER_SECOND: "1000000",
    });
    const origin = await gateway.address();
    await eventually("the gateway is ready", async () => {
      const response = await fetch(`${origin}/health/ready`);
      await response.body?.cancel();
      return response.ok;
    });
    let honestVotes = 0;
    await work({
      origin,
      taken: (votes) => honestVotes += votes,
      async vote() {
        const answer = await exchange(origin, honest("vote"));
        assert.equal(answer?.status, 202, answer?.body);
        honestVotes++;
      },
    });
    const { code, stderr } = await gateway.stop();
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /request failed/, "nothing is an error of the gateway's own");
    assert.equal((await numbers()).length, honestVotes);
  }, sync);
}

/** Compares an answer with its row. */
function check(row: Row, answer: RawAnswer | undefined): void {
  const { what, reason, allow, request } = row;
  assert.ok(answer !== undefined, `${what}: no answer`);
  const [status, title] = PROBLEMS[reason];
  const found = `${what}: ${answer.status} ${JSON.stringify(answer.body)}`;
  assert.equal(answer.status, status, found);
  if (allow !== undefined) assert.equal(answer.headers.get("allow"), allow, what);
  if (request.method === "HEAD") return;
  assert.equal(answer.headers.get("content-type"), "application/problem+json", found);
  checkProblem(row, answer.body);
  assert.deepEqual([answer.body.title, answer.body.status], [title, status], found);
  assert.equal(answer.headers.has("www-authenticate"), status === 401, found);
}

function checkProblem(
  { what, reason, says, field }: Pick<Row, "what" | "reason" | "says" | "field">,
  found: any,
): void {
  assert.equal(found?.type, `urn:pollwire:problem:${reason}`, `${what}: ${JSON.stringify(found)}`);
  assert.match(found.detail, says, what);
  if (field === undefined) return;
  const paths = found.errors.map(({ path, message }: { path: string; message: string }) => {
    assert.ok(message.length > 5, what);
    return path;
  });
  assert.ok(paths.some((path: string) => path.startsWith(field)), `${what}: ${JSON.stringify(found.errors)}`);
}

/** Sends every row on a connection of its own, and an honest vote after every few. */
async function drive(day: Day, rows: readonly Row[]): Promise<void> {
  const queue = rows.values();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const row of queue) check(row, await exchange(day.origin, row.request));
    await day.vote();
  }));
}

Deno.test("a gateway refuses every request that is signed wrongly, and says what would be right", async () => {
  await aDay(async (day) => {
    for (const endpoint of ["vote", "batch"] as const) {
      await drive(day, [...headers(endpoint), ...inputs(endpoint), ...hands(endpoint)]);
    }
  });
});

Deno.test("a gateway refuses every body and vote that is wrong, and says what would be right", async () => {
  await aDay(async (day) => {
    for (const endpoint of ["vote", "batch"] as const) await drive(day, bodies(endpoint));
    await drive(day, badVotes());
    const before = vote();
    const first = post("vote", signedText(before), { idempotencyKey: before.voteId });
    assert.equal((await exchange(day.origin, first))?.status, 202);
    day.taken(1);
    await drive(day, ids(before));
  });
});

Deno.test("a gateway refuses every vote that is wrong among others, and takes the others", async () => {
  await aDay(async (day) => {
    // A line feed would cut such a line in two.
    const rows = BAD_VOTES.filter(({ make }) => !make().includes(0x0a));
    for (const row of rows) {
      const lines = [signedText(vote()), row.make(), signedText(vote())];
      const body = await new Blob(lines.flatMap((line) => [line, "\n"])).bytes();
      const answer = await exchange(day.origin, post("batch", body));
      assert.ok(answer?.status === 207, row.what);
      const [first, bad, last] = answer.body.results;
      assert.deepEqual([first.status, last.status, bad.line], [202, 202, 2], row.what);
      assert.equal(bad.status, PROBLEMS[row.reason][0], row.what);
      checkProblem(row, bad.problem);
      day.taken(2);
    }
  });
});

Deno.test("a gateway answers methods and addresses that it does not have", async () => {
  await aDay(async (day) => {
    await drive(day, methods());
    for (const endpoint of ["vote", "batch"] as const) await drive(day, addresses(endpoint));
  });
});

Deno.test("a gateway takes no HTTP that could be read in two ways, and answers what it cannot read", async () => {
  await aDay(async (day) => {
    for (const { what, bytes, reason } of shapes()) {
      await using connection = await RawConnection.open(day.origin);
      await connection.send(bytes);
      const answer = await connection.answer();
      assert.equal(answer?.reason, reason, `${what}: ${answer?.status} ${JSON.stringify(answer?.body)}`);
      if (reason === undefined) continue;
      assert.equal(answer!.status, PROBLEMS[reason][0], what);
      assert.match(
        answer!.body.detail,
        /HTTP\/1\.1 by RFC 9112|one Host header|must make a URL|16384 bytes/,
        what,
      );
      assert.ok(await connection.isClosed(), `${what}: nothing more is read from there`);
      await day.vote();
    }
  });
});

Deno.test("a gateway answers requests on one connection in their order, the bad and the good", async () => {
  await aDay(async (day) => {
    await using connection = await RawConnection.open(day.origin);
    const requests = [honest("vote"), { ...honest("vote"), target: "/v1/votes?" }, honest("batch")];
    await connection.send(await new Blob(requests.map((request) => rawBytes(request))).bytes());
    const statuses: (number | undefined)[] = [];
    for (const _ of requests) statuses.push((await connection.answer())?.status);
    assert.deepEqual(statuses, [202, 400, 207]);
    day.taken(2);
  });
});

Deno.test("a gateway answers no vote with what is wrong with the bytes behind it", async () => {
  await aDay(async (day) => {
    const request = honest("vote");
    await using connection = await RawConnection.open(day.origin);
    await connection.send(trailing(request, "\0\0garbage\r\n\r\n"));
    // Devices take a refusal for the last word on a vote. No answer makes them send it again.
    const answer = await connection.answer();
    assert.ok(answer === undefined || answer.status === 202, `${answer?.status}`);
    assert.equal((await exchange(day.origin, request))?.status, 202);
    day.taken(1);
  });
});
