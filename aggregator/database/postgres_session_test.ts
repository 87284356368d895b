import assert from "assert";
import { TEST_SESSIONS } from "../../tests/test_database.ts";
import { openPostgres } from "./postgres.ts";
import { ConnectFault } from "./postgres_socket.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A message of PostgreSQL's protocol: a letter, a length that counts itself, the rest. */
function message(letter: string, body: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(5 + body.length);
  bytes[0] = letter.charCodeAt(0);
  new DataView(bytes.buffer).setUint32(1, 4 + body.length);
  bytes.set(body, 5);
  return bytes;
}

function error(severity: string, code: string, text: string): Uint8Array<ArrayBuffer> {
  const fields = `S${severity}\0V${severity}\0C${code}\0M${text}\0\0`;
  return message("E", new TextEncoder().encode(fields));
}

const LOGGED_IN = message("R", new Uint8Array(4));
const READY = message("Z", new TextEncoder().encode("I"));

/** A pooler that answers each piece of a connection with the next of its answers. */
async function withPooler(answers: readonly Uint8Array[][], work: (port: number) => Promise<void>) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.Conn[] = [];
  const serve = async (connection: Deno.Conn) => {
    const piece = new Uint8Array(65_536);
    for (const answer of answers) {
      if (await connection.read(piece) === null) return;
      for (const bytes of answer) await connection.write(bytes);
    }
    while (await connection.read(piece) !== null);
  };
  const serving = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      serve(connection).catch(() => {}); // The client closes it when it wants.
    }
  })();
  try {
    await work(listener.addr.port);
  } finally {
    listener.close();
    await serving;
    for (const connection of connections) connection.close();
  }
}

for (
  const [what, answers] of [
    ["refuses settings at the start", [[
      error("FATAL", "08P01", "unsupported startup parameter: lock_timeout"),
    ]]],
    [
      "gives a statement to a connection that did not prepare it",
      [[LOGGED_IN, READY], [error("ERROR", "26000", 'prepared statement "p1" does not exist'), READY]],
    ],
    [
      "gives a statement to a connection that has another of its name",
      [[LOGGED_IN, READY], [error("ERROR", "42P05", 'prepared statement "p1" already exists'), READY]],
    ],
  ] as const
) {
  Deno.test(`openPostgres() names session mode when a pooler ${what}`, async () => {
    await withPooler(answers.map((each) => [...each]), async (port) => {
      const target = { host: "127.0.0.1", port, database: "pollwire", user: "count", password: "secret" };
      await assert.rejects(openPostgres(target, TEST_SESSIONS), (fault) => {
        assert.ok(fault instanceof ConnectFault, String(fault));
        assert.equal(fault.isLasting, true, "waiting does not help");
        assert.match(fault.message, /PgBouncer or another pooler.* pool_mode = session/);
        assert.match(fault.message, /ignore_startup_parameters name statement_timeout, lock_timeout/);
        return true;
      });
    });
  });
}
