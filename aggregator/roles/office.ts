/**
 * The role `office`: answers officials, and does what the clock asks of an office: it signs heads of the audit trail every hour, and
 * notes when voting opened and closed, and checks the data. It has the master keys and the office's key.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Registry } from "prom-client";
import type { VoteLog } from "../../shared/log/vote_log.ts";
import { actAs } from "../audit/actor.ts";
import { chainsOf } from "../audit/verify.ts";
import { type Database, isDatabaseAway } from "../database/database.ts";
import { Issuers, type IssuerSettings } from "../office/access/issuers.ts";
import type { ChangeLog } from "../../shared/changes.ts";
import { addChangesLag } from "../office/accreditation/changes_metrics.ts";
import { produceChanges } from "../office/accreditation/produce_changes.ts";
import { createOfficeApp } from "../office/api/app.ts";
import { currentHead } from "../office/api/audit_endpoints.ts";
import { type OfficeKeys, readOfficeKeys } from "../office/office_key.ts";
import { eraseDestroyed } from "../office/lifecycle/destroy.ts";
import { noteClock } from "../office/lifecycle/state.ts";
import { writeElectionFiles } from "../office/provision.ts";
import { createOfficePage } from "../office/page_files.ts";
import { keepChecking } from "../office/quality/schedule.ts";
import type { OfficeSources } from "../office/sources.ts";
import { limitAddresses } from "../public/address_limits.ts";
import { electionIds } from "../registry/elections.ts";
import type { Keyring } from "../registry/keyring.ts";
import { OfficeError } from "../registry/office_error.ts";
import { writeRoleKeyFiles } from "../registry/role_key_files.ts";
import { rollKeys } from "../registry/roll.ts";
import { sealOldProfiles } from "../registry/roll_changes.ts";

/** How often heads are signed, in milliseconds. */
const SIGN_EVERY_MS = 3_600_000;
/** How often the clock is looked at for elections that open and close, in milliseconds. */
const CLOCK_EVERY_MS = 1_000;

/** How long to wait before a log and keys are erased again after that failed, in milliseconds. */
const ERASE_AGAIN_MS = 60_000;

/** Attempts to sign in of one address (IPv6: of one /64). */
const SIGN_INS = { requestsPerSecond: 1, burstRequests: 20 };
/** Exports that an address may ask for: five files an election, made anew with each release. */
const EXPORTS = { requestsPerSecond: 1, burstRequests: 30 };

/** Statements of devices that an address may bring: a station's network may have one address for all of its devices. */
const STATEMENTS = { requestsPerSecond: 10, burstRequests: 200 };

/** What the office needs. */
export type OfficeOptions = Readonly<{
  /** May write. */
  db: Database;
  keysDirectory: string;
  /** Where `provision` writes the files of gateways and devices. */
  data: string;
  /** OpenID providers whose tokens are taken. */
  issuers: readonly IssuerSettings[];
  keyring: Keyring;
  openLog(election: string, partitions: number): VoteLog | Promise<VoteLog>;
  /** Where changes of voters, candidates and parties go; nowhere when left out. */
  changes?: ChangeLog;
  metrics: Registry;
  /** Whether the logs are opened for the office alone, which then closes them. */
  ownsLogs: boolean;
  /** Removes an election's log and keys, after its records were destroyed. */
  erase?(election: string): Promise<void>;
  signal: AbortSignal;
  onError(error: unknown): void;
}>;

/** The office's part of a process. */
export class Office {
  readonly routes: OpenAPIHono;
  readonly #options: OfficeOptions;
  readonly #keys: OfficeKeys;
  readonly #logs = new Map<string, Promise<VoteLog>>();
  readonly #running: Promise<unknown>;

  /** @throws {OfficeError} when the office has not been set up. */
  constructor(options: OfficeOptions) {
    const { db, keysDirectory, keyring } = options;
    const keys = readOfficeKeys(keysDirectory);
    if (keys === undefined) {
      throw new OfficeError(
        `Cannot run the role office: there is no office's key in ${keysDirectory}; set it up with \`deno task office init\``,
      );
    }
    this.#options = options;
    this.#keys = keys;
    this.routes = createOfficeApp({
      db,
      now: Date.now,
      keys,
      issuers: new Issuers(options.issuers),
      keyring,
      onDeviceKeys: async (election) => {
        const written = writeRoleKeyFiles(db.query, election, keyring.master(election), keysDirectory);
        await written.catch((error) => options.onError(error));
      },
      onElection: (manifest, master, aggregators) =>
        writeElectionFiles(db.query, manifest, master, options, aggregators, new Date()),
      openLog: (election, partitions) => this.#logOf(election, partitions),
      limitSignIns: limitAddresses(SIGN_INS, Date.now),
      limitExports: limitAddresses(EXPORTS, Date.now),
      limitStatements: limitAddresses(STATEMENTS, Date.now),
    });
    this.routes.route("/", createOfficePage());
    if (options.changes !== undefined) addChangesLag(options.metrics, db.query, Date.now);
    const sources: OfficeSources = {
      db,
      now: Date.now,
      keys,
      keyring,
      openLog: (election, partitions) => this.#logOf(election, partitions),
    };
    this.#running = Promise.all([
      this.#watch(),
      keepChecking(sources, options.signal, options.onError),
      ...options.changes === undefined ? [] : [produceChanges({
        db,
        changes: options.changes,
        now: Date.now,
        signal: options.signal,
        onError: options.onError,
      })],
    ]);
  }

  /** Resolves when it has stopped, after the signal. */
  async run(): Promise<void> {
    await this.#running;
    if (!this.#options.ownsLogs) return;
    for (const log of this.#logs.values()) await log.then((log) => log.close(), () => {});
  }

  #logOf(election: string, partitions: number): Promise<VoteLog> {
    const { openLog, ownsLogs } = this.#options;
    if (!ownsLogs) return Promise.resolve(openLog(election, partitions));
    const known = this.#logs.get(election);
    if (known !== undefined) return known;
    const opened = Promise.resolve(openLog(election, partitions));
    this.#logs.set(election, opened);
    // The next request tries again.
    opened.catch(() => this.#logs.delete(election));
    return opened;
  }

  async #watch(): Promise<void> {
    const { signal, onError } = this.#options;
    let signedMs = -Infinity;
    let eraseAgainMs = -Infinity;
    let sealed = false;
    while (!signal.aborted) {
      try {
        await this.#noteTimes();
        if (performance.now() >= eraseAgainMs) {
          eraseAgainMs = performance.now() + ERASE_AGAIN_MS;
          await this.#erase();
          eraseAgainMs = -Infinity;
        }
        if (!sealed) await this.#sealProfiles();
        sealed = true;
        if (performance.now() - signedMs >= SIGN_EVERY_MS) {
          await this.#signHeads();
          signedMs = performance.now();
        }
      } catch (error) {
        // While the database is away its watch says so.
        if (!signal.aborted && !isDatabaseAway(error)) onError(error);
      }
      await delay(CLOCK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Profiles of rolls that an earlier version imported. */
  async #sealProfiles(): Promise<void> {
    const { db, keyring } = this.#options;
    for (const election of await electionIds(db.query)) {
      if (!keyring.has(election)) continue;
      await sealOldProfiles(db, election, rollKeys(election, keyring.master(election)));
    }
  }

  async #erase(): Promise<void> {
    const { db, erase } = this.#options;
    if (erase === undefined) return;
    for (const election of await eraseDestroyed(db, erase, new Date())) {
      const log = this.#logs.get(election);
      this.#logs.delete(election);
      await log?.then((log) => log.close(), () => {});
    }
  }

  async #signHeads(): Promise<void> {
    const { db } = this.#options;
    for (const election of await chainsOf(db.query)) {
      await currentHead(db.query, election, this.#keys.notes, new Date());
    }
  }

  async #noteTimes(): Promise<void> {
    const { db } = this.#options;
    for (const election of await electionIds(db.query)) {
      await actAs({ actor: "process:clock" }, () => noteClock(db, election, this.#keys.notes, new Date()));
    }
  }
}
