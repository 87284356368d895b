/**
 * Connects to a PostgreSQL server, with TLS if the target asks for it, and says what is wrong in words that help.
 *
 * TLS is set up here and not by the driver: so a server without TLS, or with another's certificate, is told apart from
 * one that is away.
 *
 * @module
 */
import { once } from "node:events";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { DatabaseUnavailable } from "./database.ts";
import type { PostgresTarget } from "./database_url.ts";

/** How long a server may take to answer to TCP, and to TLS, in milliseconds. */
const CONNECT_MS = 10_000;

/** Asks for TLS: PostgreSQL's manual, "Message Formats", SSLRequest. */
const SSL_REQUEST = Uint8Array.of(0, 0, 0, 8, 4, 210, 22, 47);
/** The server's answer: it speaks TLS. */
const WILLING = "S".charCodeAt(0);

/**
 * The connection to the server failed. `isLasting` when only a person can help: a wrong password, another's
 * certificate; else it may be up again soon.
 */
export class ConnectFault extends DatabaseUnavailable {
  override name = "ConnectFault";
  constructor(
    target: PostgresTarget,
    what: string,
    readonly isLasting: boolean,
    /** The SQLSTATE, when the server gave one. */
    readonly code?: string,
    cause?: unknown,
  ) {
    super(`Cannot connect to PostgreSQL at ${target.host}:${target.port} as ${target.user}: ${what}`, {
      cause,
    });
  }
}

/**
 * Opens a connection on which the server waits for its first message.
 *
 * @param signal Cancels the attempt.
 * @throws {ConnectFault}
 */
export async function connectSocket(
  target: PostgresTarget,
  signal: AbortSignal,
  withinMs = CONNECT_MS,
): Promise<Socket> {
  const socket = connectTcp({ host: target.host, port: target.port });
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), withinMs);
  const ends = AbortSignal.any([late.signal, signal]);
  try {
    await reach(target, socket, ends, withinMs);
    return target.tls === undefined ? socket : await encrypt(target, socket, ends);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function reach(
  target: PostgresTarget,
  socket: Socket,
  signal: AbortSignal,
  withinMs: number,
): Promise<void> {
  try {
    await once(socket, "connect", { signal });
    socket.setNoDelay(true);
  } catch (error) {
    const why = signal.aborted ? `no answer in ${withinMs} ms` : reasonOf(error);
    const what = `it is not to be reached (${why}); start it, or correct DATABASE_URL`;
    throw new ConnectFault(target, what, false, undefined, error);
  }
}

async function encrypt(target: PostgresTarget, socket: Socket, signal: AbortSignal): Promise<Socket> {
  socket.write(SSL_REQUEST);
  const [answer]: (Uint8Array | undefined)[] = await once(socket, "data", { signal }).catch((error) => {
    throw brokenOff(target, error);
  });
  if (answer?.length !== 1 || answer[0] !== WILLING) {
    const what = "it does not speak TLS; turn on ssl there, or say sslmode=disable in DATABASE_URL";
    throw new ConnectFault(target, what, true);
  }
  const { host, tls } = target;
  const secure = connectTls({ socket, host, ca: tls?.ca, servername: isIP(host) ? undefined : host });
  try {
    await once(secure, "secureConnect", { signal });
  } catch (error) {
    secure.destroy();
    if (!isCertificateFault(error)) throw brokenOff(target, error);
    const what = `its certificate is not believed (${reasonOf(error)}); ` +
      `it must be for ${host}, and be signed by an authority in DATABASE_CA`;
    throw new ConnectFault(target, what, true, undefined, error);
  }
  return secure;
}

/** Whether TLS failed by what the server is, and not by the way to it. The codes are OpenSSL's and Node's. */
function isCertificateFault(error: unknown): boolean {
  return /^(ERR_TLS|ERR_SSL|UNABLE_TO|CERT_|SELF_SIGNED|DEPTH_ZERO)/.test(
    String((error as { code?: unknown }).code),
  );
}

function brokenOff(target: PostgresTarget, error: unknown): ConnectFault {
  return new ConnectFault(target, `it broke off (${reasonOf(error)})`, false, undefined, error);
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: string };
  return message || String(code ?? error);
}
