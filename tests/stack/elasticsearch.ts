/**
 * An Elasticsearch of a test file's own, with data that is gone afterwards.
 *
 * @module
 */
import { Client, HttpConnection } from "@elastic/elasticsearch";
import { openElasticsearch } from "../../aggregator/results/index/elasticsearch.ts";
import type { TallyIndex } from "../../aggregator/results/index/tally_index.ts";
import { elasticsearch } from "../../deploy/local/elasticsearch.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { OwnServer, STACK } from "./server.ts";

/** An Elasticsearch that can be killed and started again. */
export class ElasticsearchServer {
  readonly #server: OwnServer;

  private constructor(server: OwnServer) {
    this.#server = server;
  }

  /** Starts one, new and empty. */
  static async start(): Promise<ElasticsearchServer> {
    const [http, transport] = freePorts(2);
    const server = await OwnServer.prepare(
      "elasticsearch",
      (place) => elasticsearch(place, { http, transport }),
    );
    await server.start();
    return new ElasticsearchServer(server);
  }

  get url(): string {
    return this.#server.service.environment.ELASTICSEARCH_URL;
  }

  /** Ends it with no word to it. */
  kill = (): Promise<void> => this.#server.kill();

  /** Starts it again, with what its disk holds, and waits until it serves. */
  restart = (): Promise<void> => this.#server.start();

  /** Kills it, and starts it with nothing. */
  async empty(): Promise<void> {
    await this.kill();
    const { directory } = this.#server;
    for await (const { name } of Deno.readDir(directory)) {
      await Deno.remove(`${directory}/${name}`, { recursive: true });
    }
    await this.restart();
  }

  stop = (): Promise<void> => this.#server.remove();

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
