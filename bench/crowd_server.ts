/**
 * A process that only serves, on a PostgreSQL server: `crowd_server.ts <port> <database URL>`.
 *
 * @module
 */
import { servePublicly } from "./public_server.ts";

const [port = "", url = ""] = Deno.args;
await servePublicly(Number(port), url);
