/**
 * A database of a few maps that answers the statements of counting, receipts and sync, for runs that need no SQL: a statement
 * of the embedded PostgreSQL costs milliseconds, and a run has hundreds. What PostgreSQL would do is written here once
 * more, by the text of each statement; a statement that is not known here fails the run. The registry is asked for real, and its
 * answers are kept, because it never changes.
 *
 * @module
 */
import type { Database, Parameter, Query } from "../../aggregator/database/database.ts";
import type { BaseElection } from "./base.ts";

type Position = {
  partition: number;
  epoch: number;
  nextOffset: number;
  recordsRead: number;
  identity: string | null;
  lastOffset: number | null;
  lastDigest: string | null;
};
type Rejection = {
  partition: number;
  offset: number;
  index: number;
  fate: string;
  reason: string;
  gateway: string | null;
  voteId: string | null;
};
type SenderKey = { gateway: string; stated: number | null; isListed: boolean };

/** What the tables hold. Replaced as a whole when a transaction is rolled back. */
export type Model = {
  positions: Map<number, Position>;
  participations: Map<string, string>;
  rejections: Rejection[];
  outcomes: Map<string, number>;
  senderKeys: Map<string, SenderKey>;
  /** By partition, sender key and block: the numbers that were read, as `x` and hexadecimal digits. */
  sequences: Map<string, string>;
  /** How many numbers of a sender key were read. */
  numbersRead: Map<string, number>;
  gaps: number;
  closed: Set<string>;
  /** Voters by tally, from the counting statement. */
  tallied: number;
};

type Params = readonly Parameter[];
type Handler = (model: Model, params: Params) => object[];

/** A transaction of one program after another, as PostgreSQL would order them. */
export class ModelDatabase implements Database {
  #model: Model;
  readonly #registry: Query;
  readonly #roll: BaseElection["roll"];

  constructor(partitions: number, registry: Query, roll: BaseElection["roll"]) {
    this.#registry = registry;
    this.#roll = roll;
    this.#model = {
      positions: new Map(Array.from({ length: partitions }, (_, partition) => [partition, {
        partition,
        epoch: 0,
        nextOffset: 0,
        recordsRead: 0,
        identity: null,
        lastOffset: null,
        lastDigest: null,
      }])),
      participations: new Map(),
      rejections: [],
      outcomes: new Map(),
      senderKeys: new Map(),
      sequences: new Map(),
      numbersRead: new Map(),
      gaps: 0,
      closed: new Set(),
      tallied: 0,
    };
  }

  get model(): Model {
    return this.#model;
  }

  query: Query = async (sql, params = []) => {
    let known = statements.get(sql);
    if (known === undefined) statements.set(sql, known = statementOf(sql));
    if (known === "count") return this.#count(params) as never[];
    if (known === "registry") return await this.#registry(sql, params) as never[];
    return known(this.#model, params) as never[];
  };

  async transaction<T>(work: (query: Query) => Promise<T>): Promise<T> {
    const before = copyOf(this.#model);
    try {
      return await work(this.query);
    } catch (error) {
      this.#model = before;
      throw error;
    }
  }

  cut(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** What count_records.ts does in one statement. */
  #count(params: Params): object[] {
    const model = this.#model;
    const column = (number: number) => listOf(params[number - 1]);
    const voterKeys = String(params[2]).match(/.{64}/g) ?? [];
    const [voteId, cells, origins, offset, index] = [4, 6, 7, 8, 9].map(column);
    const [stations, regions, placeOfCell] = [12, 14, 18].map(column);
    const [partitions, helds, gateways] = [21, 23, 24].map(column);
    const before = new Map(model.participations);
    const deltas = new Map<string, number>();
    const add = (key: string, records = 1) => deltas.set(key, (deltas.get(key) ?? 0) + records);
    for (const [i, key] of voterKeys.entries()) {
      const at = Number(placeOfCell![Number(cells![i]) - 1]) - 1;
      const [station, region] = [stations![at], regions![at]];
      const from = Number(origins![i]) - 1;
      const [partition, held, gateway] = [partitions![from], helds![from], gateways![from]];
      const entry = this.#roll.get(key)?.[0];
      const refusal = entry === undefined
        ? "unknown_voter"
        : entry.station !== null && entry.station !== station
        ? "wrong_station"
        : entry.station === null && entry.region !== region
        ? "wrong_region"
        : undefined;
      const first = model.participations.get(key);
      const [fate, reason] = refusal !== undefined
        ? ["rejected", refusal]
        : held !== null
        ? ["held", held!]
        : first === undefined
        ? ["counted", ""]
        : ["duplicate", (before.get(key) ?? first) === voteId![i] ? "retransmission" : "double_vote"];
      add(`${partition}/${fate}/${reason}`);
      if (fate === "counted") {
        model.participations.set(key, voteId![i]!);
        model.tallied++;
      } else if (reason !== "retransmission") {
        const position = {
          partition: Number(partition),
          offset: Number(offset![i]),
          index: Number(index![i]),
        };
        model.rejections.push({
          ...position,
          fate: fate!,
          reason: reason!,
          gateway: gateway!,
          voteId: voteId![i]!,
        });
      }
    }
    for (const [i, reason] of column(30).entries()) {
      model.rejections.push({
        partition: Number(column(27)[i]),
        offset: Number(column(28)[i]),
        index: Number(column(29)[i]),
        fate: "rejected",
        reason: reason!,
        gateway: column(32)[i]!,
        voteId: column(34)[i]!,
      });
    }
    for (const [i, of] of column(35).entries()) {
      add(`${of}/${column(36)[i]}/${column(37)[i]}`, Number(column(38)[i]));
    }
    for (const [i, of] of column(39).entries()) {
      const [key, numbers] = [column(40)[i]!, column(42)[i]!];
      const name = `${of}/${key}/${column(41)[i]}`;
      const more = onesOf(numbers) - onesOf(model.sequences.get(name) ?? "x");
      model.sequences.set(name, numbers);
      model.numbersRead.set(key, (model.numbersRead.get(key) ?? 0) + more);
    }
    for (const [key, records] of deltas) model.outcomes.set(key, (model.outcomes.get(key) ?? 0) + records);
    return [...deltas].map(([key, records]) => {
      const [, fate, reason] = key.split("/");
      return { fate, reason, records };
    });
  }
}

const COUNT_NAME = "INSERT INTO counting.participations (election, voter_key, vote_id)";

/** What each statement does, by a part of its text that no other has. */
const STATEMENTS: readonly (readonly [string, Handler])[] = [
  ["SELECT h.partition, m.partition IS NOT NULL AS moved", move],
  [
    "AND log_identity IS NOT NULL ORDER BY partition",
    ({ positions }) => [...positions.values()].filter(({ identity }) => identity !== null).map(rowOf),
  ],
  ["INSERT INTO counting.log_positions", () => []],
  ["UPDATE counting.log_positions SET epoch = epoch + 1", ({ positions }, [, partition, identity]) => {
    const position = { ...positions.get(Number(partition))! };
    position.epoch++;
    position.identity ??= String(identity);
    positions.set(position.partition, position);
    return [rowOf(position)];
  }],
  ["AND gateway IS NULL GROUP BY reason", ({ rejections }, [, partition]) => {
    const own = rejections.filter((each) => each.partition === Number(partition) && each.gateway === null);
    return [...Map.groupBy(own, ({ reason }) => reason)].map(([reason, all]) => ({
      reason,
      kept: String(all.length),
    }));
  }],
  [
    "SELECT partition, epoch::text, next_offset::text FROM counting.log_positions",
    ({ positions }) => [...positions.values()].map(rowOf),
  ],
  [
    "records_read::float8",
    ({ positions }) =>
      [...positions.values()].map(({ partition, nextOffset, recordsRead }) => ({
        partition,
        next: nextOffset,
        read: recordsRead,
      })),
  ],
  ["INSERT INTO counting.gaps", (model, [, , from, until]) => {
    listOf(from).forEach((start, i) => model.gaps += Number(listOf(until)[i]) - Number(start));
    return [];
  }],
  [
    "JOIN counting.sequences s",
    ({ sequences }, [, partition, keys, blocks]) =>
      listOf(keys).flatMap((key, i) => {
        const block = listOf(blocks)[i];
        const numbers = sequences.get(`${partition}/${key}/${block}`);
        return numbers === undefined
          ? []
          : [{ sender_key: key, block: Number(block), numbers: bitsOf(numbers) }];
      }),
  ],
  ["INSERT INTO counting.sender_keys AS k", ({ senderKeys }, [, keys, gateways, stated]) => {
    for (const [i, key] of listOf(keys).entries()) {
      const known = senderKeys.get(key!);
      const states = listOf(stated)[i];
      if (known === undefined) {
        senderKeys.set(key!, {
          gateway: listOf(gateways)[i]!,
          stated: states === null ? null : Number(states),
          isListed: false,
        });
      } else if (states !== null) {
        senderKeys.set(key!, { ...known, stated: Math.max(known.stated ?? 0, Number(states)) });
      }
    }
    return [];
  }],
  ["INSERT INTO counting.sender_keys (", ({ senderKeys }, [, gateway, keys]) => {
    for (const key of listOf(keys)) {
      if (!senderKeys.has(key!)) {
        senderKeys.set(key!, { gateway: String(gateway), stated: null, isListed: false });
      }
    }
    return [];
  }],
  ["pg_advisory_xact_lock", () => []],
  [
    "stated::float8 AS stated FROM counting.sender_keys",
    ({ senderKeys }, [, keys]) =>
      listOf(keys).flatMap((key) => {
        const stated = senderKeys.get(key!)?.stated ?? null;
        return stated === null ? [] : [{ key, stated }];
      }),
  ],
  [
    "AS key FROM counting.sender_keys",
    ({ senderKeys }, [, keys]) => listOf(keys).filter((key) => senderKeys.has(key!)).map((key) => ({ key })),
  ],
  ["UPDATE counting.sender_keys k SET stated", ({ senderKeys }, [, gateway, keys, records]) => {
    for (const [i, key] of listOf(keys).entries()) {
      const known = senderKeys.get(key!);
      if (known === undefined) continue;
      const stated = Math.max(known.stated ?? 0, Number(listOf(records)[i]));
      senderKeys.set(key!, { ...known, stated, gateway: String(gateway) });
    }
    return [];
  }],
  ["INSERT INTO counting.closed_gateways", ({ senderKeys, closed }, [, gateway, keys, , isWhole]) => {
    for (const key of listOf(keys)) {
      const known = senderKeys.get(key!);
      if (known !== undefined) senderKeys.set(key!, { ...known, isListed: true });
    }
    if (isWhole === true) closed.add(String(gateway));
    return [];
  }],
  ["SELECT p.vote_id IS NOT NULL AS counted", receipts],
];

/** What texts of statements are, once they were looked for. */
const statements = new Map<string, Handler | "count" | "registry">();

function statementOf(sql: string): Handler | "count" | "registry" {
  if (sql.trim() === "SELECT 1") return () => [];
  for (const [name, handler] of STATEMENTS) if (sql.includes(name)) return handler;
  if (sql.includes(COUNT_NAME)) return "count";
  if (/\bregistry\./.test(sql) && /^\s*SELECT/.test(sql)) return "registry";
  throw new Error(`Cannot answer: the model does not know the statement ${sql}`);
}

/** Moves positions, as count_batch.ts does it. */
function move({ positions }: Model, params: Params): object[] {
  const [partitions, epochs, froms, nexts, , records, digests] = params.slice(5).map(listOf);
  return partitions!.map((partition, i) => {
    const before = positions.get(Number(partition))!;
    const isOwned = before.epoch === Number(epochs![i]);
    const moved = isOwned && before.nextOffset === Number(froms![i]);
    if (moved) {
      const nextOffset = Number(nexts![i]);
      positions.set(before.partition, {
        ...before,
        nextOffset,
        recordsRead: before.recordsRead + Number(records![i]),
        lastOffset: nextOffset - 1,
        lastDigest: digests![i]!,
      });
    }
    return { partition: before.partition, moved, stale: false, lane: 0, lacking: [] };
  });
}

/** What became of votes, as public/receipts.ts asks. */
function receipts({ participations, rejections }: Model, [asked]: Params): object[] {
  const votes = JSON.parse(String(asked)) as { vote: string; voter: string }[];
  return votes.map(({ vote, voter }) => {
    const own = rejections.filter(({ voteId }) => voteId === vote);
    const of = (fate: string) => own.filter((each) => each.fate === fate);
    const gateways = (all: Rejection[]) =>
      all.length === 0 ? null : [...new Set(all.map(({ gateway }) => gateway))].sort();
    return {
      counted: participations.get(voter) === vote,
      doubled: of("duplicate").length > 0,
      decided: false,
      held_for: of("held").map(({ reason }) => reason).sort()[0] ?? null,
      held_by: gateways(of("held")),
      rejected_for: of("rejected")[0]?.reason ?? null,
      rejected_by: gateways(of("rejected")),
    };
  });
}

function rowOf({ partition, epoch, nextOffset, identity, lastOffset, lastDigest }: Position): object {
  return {
    partition,
    epoch: String(epoch),
    next_offset: String(nextOffset),
    log_identity: identity,
    last_offset: lastOffset === null ? null : String(lastOffset),
    last_digest: lastDigest,
  };
}

function copyOf(model: Model): Model {
  return {
    ...model,
    positions: new Map(model.positions),
    participations: new Map(model.participations),
    rejections: [...model.rejections],
    outcomes: new Map(model.outcomes),
    senderKeys: new Map(model.senderKeys),
    sequences: new Map(model.sequences),
    numbersRead: new Map(model.numbersRead),
    closed: new Set(model.closed),
  };
}

/** The elements of PostgreSQL's spelling of an array of ids, hex, numbers and times. */
function listOf(literal: Parameter | undefined): (string | null)[] {
  const inside = String(literal).slice(1, -1);
  return inside === ""
    ? []
    : inside.split(",").map((each) => each === "NULL" ? null : each === '""' ? "" : each);
}

/** How many bits of `x00ff…` are set. */
function onesOf(hex: string): number {
  let ones = 0;
  for (let i = 1; i < hex.length; i++) {
    const digit = hex.charCodeAt(i);
    // Most digits of a block are 0.
    if (digit !== ZERO) ones += ONES[Number.parseInt(hex[i]!, 16)]!;
  }
  return ones;
}

const ZERO = "0".charCodeAt(0);
/** Bits that are set in each hexadecimal digit. */
const ONES = [0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4];

/** `x00ff…` as a bit string. */
function bitsOf(hex: string): string {
  return Array.from(hex.slice(1), (digit) => Number.parseInt(digit, 16).toString(2).padStart(4, "0")).join(
    "",
  );
}
