/**
 * Asks a broker what it understands: the one question of Kafka's protocol that it answers to strangers.
 *
 * @module
 */
import { utf8 } from "../../shared/bytes.ts";

/** How long the answer may take, in milliseconds. */
const ASK_MS = 3_000;
/** ApiVersions in its first form (https://kafka.apache.org/protocol: API key 18), which every broker knows. */
const API_VERSIONS = 18;
const CORRELATION = 7;

/**
 * Whether a broker answers: `undefined`, or why not.
 *
 * @param caFile The CA of the broker's certificate; plain TCP when left out.
 */
export async function askKafka(host: string, port: number, caFile?: string): Promise<string | undefined> {
  let conn: Deno.Conn;
  try {
    conn = caFile === undefined
      ? await Deno.connect({ hostname: host, port })
      : await Deno.connectTls({ hostname: host, port, caCerts: [await Deno.readTextFile(caFile)] });
  } catch (error) {
    return (error as Error).message;
  }
  const timer = setTimeout(() => conn.close(), ASK_MS);
  try {
    await conn.write(apiVersionsRequest());
    const answer = new Uint8Array(10);
    for (let read = 0; read < answer.length;) {
      const n = await conn.read(answer.subarray(read));
      if (n === null) return "it closed the connection";
      read += n;
    }
    return faultOf(answer);
  } catch (error) {
    return `no answer within ${ASK_MS} ms or a broken one: ${(error as Error).message}`;
  } finally {
    clearTimeout(timer);
    try {
      conn.close();
    } catch {
      // The timer did it.
    }
  }
}

/** Size, then API key, version 0, correlation id, client id. */
export function apiVersionsRequest(): Uint8Array {
  const client = utf8("pollwire-stack");
  const bytes = new Uint8Array(4 + 10 + client.length);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, bytes.length - 4);
  view.setInt16(4, API_VERSIONS);
  view.setInt16(6, 0);
  view.setInt32(8, CORRELATION);
  view.setInt16(12, client.length);
  bytes.set(client, 14);
  return bytes;
}

/** What is wrong with an answer's first 10 bytes: size, correlation id, error code. */
export function faultOf(answer: Uint8Array): string | undefined {
  const view = new DataView(answer.buffer, answer.byteOffset);
  if (view.getInt32(4) !== CORRELATION) return "its answer is not Kafka's";
  const error = view.getInt16(8);
  return error === 0 ? undefined : `it answers with Kafka's error ${error}`;
}
