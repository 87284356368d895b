/**
 * An Elasticsearch of a test file's own, as a local process with data that is gone afterwards.
 *
 * Tests of the layer "stack" need a JDK and Maven, and run when `POLLWIRE_STACK` is set, as CI does; without it they
 * are skipped, and say so.
 *
 * @module
 */
import { Client, HttpConnection } from "@elastic/elasticsearch";
import { openElasticsearch } from "../../aggregator/index/elasticsearch.ts";
import type { TallyIndex } from "../../aggregator/index/tally_index.ts";
import { elasticsearch } from "../../deploy/local/elasticsearch.ts";
import type { Service } from "../../deploy/local/service.ts";
import { freePorts } from "../../simulator/ports.ts";
import { eventually } from "../eventually.ts";

/** Where jars are kept from run to run. */
const LIBRARIES = new URL("../../data/libraries", import.meta.url).pathname;

/** Whether the tests that need real servers run here. */
export const STACK = Boolean(Deno.env.get("POLLWIRE_STACK"));

/** Registers a test of this layer. Sanitizers are the file's affair. */
export function stackTest(name: string, run: () => Promise<void>): void {
  Deno.test({ name: STACK ? name : `${name} (skipped: POLLWIRE_STACK is not set)`, ignore: !STACK, fn: run });
}

/** An Elasticsearch that can be killed and started again. */
export class ElasticsearchServer {
  readonly #service: Service;
  readonly #directory: string;
  #process: Deno.ChildProcess | undefined;

  private constructor(service: Service, directory: string) {
    this.#service = service;
    this.#directory = directory;
  }

  /** Starts one, new and empty. */
  static async start(): Promise<ElasticsearchServer> {
    const directory = await Deno.makeTempDir({ prefix: "pollwire-elasticsearch-" });
    const place = { directory, libraries: LIBRARIES, host: "127.0.0.1" };
    const [http, transport] = freePorts(2);
    const service = elasticsearch(place, { http, transport });
    await service.prepare();
    const server = new ElasticsearchServer(service, directory);
    await server.restart();
    return server;
  }

  get url(): string {
    return this.#service.environment.ELASTICSEARCH_URL;
  }

  /** Ends it with no word to it. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.status;
    this.#process = undefined;
  }

  /** Starts it again, with what its disk holds, and waits until it serves. */
  async restart(): Promise<void> {
    const { program, args } = this.#service.process();
    this.#process = new Deno.Command(program, {
      args: [...args],
      cwd: this.#directory,
      stdout: "null",
      stderr: "null",
    }).spawn();
    const serves = async () => await this.#service.unhealthy(() => Promise.resolve("")) === undefined;
    await eventually("Elasticsearch serves", serves, this.#service.readyMs);
  }

  /** Kills it, and starts it with nothing. */
  async empty(): Promise<void> {
    await this.kill();
    for await (const { name } of Deno.readDir(this.#directory)) {
      await Deno.remove(`${this.#directory}/${name}`, { recursive: true });
    }
    await this.restart();
  }

  async stop(): Promise<void> {
    await this.kill();
    await Deno.remove(this.#directory, { recursive: true });
  }

  /** A client of the tests' own, to look behind the port. */
  client(): Client {
    return new Client({ node: this.url, maxRetries: 0, Connection: HttpConnection });
  }

  /** The index under a prefix, so that tests do not see one another's. */
  open(prefix: string, more: { url?: string; ca?: string } = {}): TallyIndex {
    return openElasticsearch({ url: this.url, shards: 1, replicas: 0, prefix, ...more });
  }
}

/** Starts one for all tests of a file, unless they are skipped, and stops it after the last. */
export function elasticsearchForFile(): () => ElasticsearchServer {
  let server: ElasticsearchServer | undefined;
  Deno.test.beforeAll(async () => {
    if (STACK) server = await ElasticsearchServer.start();
  });
  Deno.test.afterAll(async () => await server?.stop());
  return () => server!;
}
