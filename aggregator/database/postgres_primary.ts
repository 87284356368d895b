/**
 * Finds which of a cluster's servers takes writes. postgres.js knows several hosts, too, but moves on by reconnecting, which a
 * {@link Session} must not do; and it takes a former primary that came back for the primary.
 *
 * @module
 */
import { queryOne } from "./database.ts";
import { type PostgresTarget, type ServerAddress, serversOf } from "./database_url.ts";
import { Session, type SessionSettings } from "./postgres_session.ts";
import { ConnectFault } from "./postgres_socket.ts";

/** How long one of several servers may take to answer to TCP and to TLS, in milliseconds: another may be the primary. */
const CONNECT_MS = 3_000;

/**
 * The timeline that a primary writes; 0 on a standby. A promotion begins a timeline with the next number, so that of two
 * servers that take writes the one with the lower number is a former primary.
 */
const TIMELINE = `
  SELECT CASE WHEN pg_is_in_recovery() THEN 0
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END AS timeline`;

type Found = Readonly<{ server: ServerAddress; session: Session; timeline: number }>;

/** The primary of a cluster, or the only server. */
export class Primary {
  readonly #target: PostgresTarget;
  readonly #settings: SessionSettings;
  readonly #servers: readonly ServerAddress[];
  readonly #asked = new Set<Session>();
  /** Which it was when it was last asked. */
  #known?: ServerAddress;
  /** The newest timeline that any server had. */
  #newest = 1;

  constructor(target: PostgresTarget, settings: SessionSettings) {
    this.#target = target;
    this.#settings = settings;
    this.#servers = serversOf(target);
  }

  /**
   * Returns a new connection to the primary. With one server it is not asked, and connects later.
   *
   * @throws {ConnectFault} naming what each server said.
   */
  async connect(): Promise<Session> {
    if (this.#servers.length === 1) return new Session(this.#target, this.#settings);
    if (this.#known !== undefined) {
      const found = await this.#ask(this.#known);
      if (!(found instanceof ConnectFault)) return found.session;
      this.#known = undefined;
    }
    const answers = await Promise.all(this.#servers.map((server) => this.#ask(server)));
    const faults = answers.filter((answer): answer is ConnectFault => answer instanceof ConnectFault);
    const [newest, ...older] = answers.filter((answer): answer is Found => !(answer instanceof ConnectFault))
      .toSorted((a, b) => b.timeline - a.timeline);
    await Promise.all(older.map(({ session }) => session.close()));
    if (newest === undefined) throw this.#none(faults);
    this.#known = newest.server;
    return newest.session;
  }

  /** A connection broke: next time all servers are asked. */
  forget(): void {
    this.#known = undefined;
  }

  /** Cuts connections to servers that are just asked. */
  cut(): void {
    for (const session of this.#asked) session.destroy();
  }

  async #ask(server: ServerAddress): Promise<Found | ConnectFault> {
    const target = { ...this.#target, ...server, others: undefined };
    const session = new Session(target, this.#settings, CONNECT_MS);
    this.#asked.add(session);
    try {
      const { timeline } = await queryOne<{ timeline: number }>(session.query, TIMELINE);
      if (timeline >= this.#newest) {
        this.#newest = timeline;
        return { server, session, timeline };
      }
      await session.close();
      const what = timeline === 0
        ? "it is a standby"
        : `it is a former primary: it writes timeline ${timeline}, and the primary ${this.#newest}; make it a standby`;
      return new ConnectFault(target, what, false);
    } catch (error) {
      session.destroy();
      if (error instanceof ConnectFault) return error;
      return new ConnectFault(target, (error as Error).message, false, undefined, error);
    } finally {
      this.#asked.delete(session);
    }
  }

  #none(faults: readonly ConnectFault[]): ConnectFault {
    const what = faults.map(({ message }) => message.replace(/^Cannot connect to PostgreSQL at /, "")).join(
      "; ",
    );
    const isLasting = faults.every((fault) => fault.isLasting);
    return new ConnectFault(this.#target, `none of the servers is the primary (${what})`, isLasting);
  }
}
