/**
 * A log in memory, with gaps where a test wants them: for tests of what stands on the port, not of the port.
 *
 * @module
 */
import type {
  ConsumeOptions,
  LogConsumer,
  PlacedRecord,
  StoredRecord,
  VoteLog,
} from "../shared/log/vote_log.ts";

export class MemoryLog implements VoteLog {
  readonly stored: StoredRecord[][];
  readonly #committed = new Map<string, number>();
  readonly #ends: number[];
  readonly #starts: number[];
  /** What {@link retentionFaults} answers. */
  retention: string[] = [];

  constructor(
    readonly partitions: number,
    readonly id: string = crypto.randomUUID(),
    readonly now = Date.now,
  ) {
    this.stored = Array.from({ length: partitions }, () => []);
    this.#ends = new Array(partitions).fill(0);
    this.#starts = new Array(partitions).fill(0);
  }

  identity(): Promise<string> {
    return Promise.resolve(this.id);
  }

  /** Leaves offsets out, as a broker does for its control records. */
  skip(partition: number, offsets: number): void {
    this.#ends[partition]! += offsets;
  }

  /** Loses the end of a partition, as a log that was truncated. */
  truncate(partition: number, end: number): void {
    this.stored[partition] = this.stored[partition]!.filter(({ offset }) => offset < end);
    this.#ends[partition] = end;
  }

  /** Deletes what is below an offset, as a topic's retention does. */
  deleteBefore(partition: number, offset: number): void {
    this.stored[partition] = this.stored[partition]!.filter((each) => each.offset >= offset);
    this.#starts[partition] = offset;
  }

  append(records: readonly PlacedRecord[]): Promise<void> {
    for (const record of records) {
      this.stored[record.partition]!.push({
        ...record,
        offset: this.#ends[record.partition]!++,
        appendedAtMs: this.now(),
      });
    }
    return Promise.resolve();
  }

  /** Delivers what is there, once, and returns. */
  async consume(consumer: LogConsumer, { group, batchRecords, signal }: ConsumeOptions): Promise<void> {
    for (let partition = 0; partition < this.partitions && !signal.aborted; partition++) {
      let from = await consumer.take(partition);
      for (let records; (records = await this.read(partition, from, batchRecords)).length > 0;) {
        if (await consumer.batch(partition, records) === "again") break;
        from = records.at(-1)!.offset + 1;
        this.commit(group, partition, from);
      }
    }
  }

  commit(group: string, partition: number, offset: number): void {
    this.#committed.set(`${group}/${partition}`, offset);
  }

  read(partition: number, fromOffset: number, limit: number): Promise<StoredRecord[]> {
    return Promise.resolve(
      this.stored[partition]!.filter(({ offset }) => offset >= fromOffset).slice(0, limit),
    );
  }

  start(partition: number): Promise<number> {
    return Promise.resolve(this.#starts[partition]!);
  }

  retentionFaults(): Promise<string[]> {
    return Promise.resolve(this.retention);
  }

  end(partition: number): Promise<number> {
    return Promise.resolve(this.#ends[partition]!);
  }

  committed(group: string, partition: number): Promise<number> {
    return Promise.resolve(this.#committed.get(`${group}/${partition}`) ?? 0);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
