/**
 * A cluster of Spark's own on this machine: a standalone master and two workers, each a process that has none of the
 * recount's code, paths or settings.
 *
 * @module
 */
import type { Service } from "../../deploy/local/service.ts";
import { OwnServer } from "./server.ts";

const SCRIPT = new URL("../../deploy/spark/recount.sh", import.meta.url).pathname;
/** How long a part of the cluster may take to serve, in milliseconds. Spark is fetched first where it is missing. */
const READY_MS = 600_000;
const WORKERS = 2;
const SECRET_BYTES = 16;

const ADDRESS = ["--host", "127.0.0.1", "--webui-port", "0"];
/** What its master writes once it takes workers, and a worker once it has work done. */
const MASTER_URL = /Starting Spark master at (spark:\/\/\S+)/;
const LEADS = "New state: ALIVE";
const REGISTERED = "Successfully registered with master";

/** Settings of a whole cluster, as a site has them: connections are authenticated and encrypted, an executor has one core. */
function defaults(secret: string): string {
  return `spark.authenticate true
spark.authenticate.secret ${secret}
spark.network.crypto.enabled true
spark.cores.max ${WORKERS}
spark.executor.cores 1
spark.executor.memory 512m
spark.scheduler.minRegisteredResourcesRatio 1.0
spark.scheduler.maxRegisteredResourcesWaitingTime ${READY_MS}ms
spark.sql.shuffle.partitions 4
`;
}

/** See the module. */
export class SparkCluster {
  private constructor(
    /** Its master's address, for `--master`. */
    readonly master: string,
    readonly configuration: string,
    readonly servers: readonly OwnServer[],
  ) {}

  static async start(): Promise<SparkCluster> {
    const configuration = await Deno.makeTempDir({ prefix: "pollwire-spark-conf-" });
    const secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).toHex();
    const file = `${configuration}/spark-defaults.conf`;
    await Deno.writeTextFile(file, defaults(secret), { mode: 0o600 });
    const servers: OwnServer[] = [];
    const start = async (name: string, serves: string, args: readonly string[]) => {
      const server = await OwnServer.prepare(
        name,
        ({ directory }) => daemon({ name, serves, args, environment: environment(configuration, directory) }),
      );
      servers.push(server);
      await server.start();
      return server;
    };
    try {
      const { directory } = await start("spark-master", LEADS, ["master.Master", ...ADDRESS, "--port", "0"]);
      const master = MASTER_URL.exec(await Deno.readTextFile(`${directory}/server.log`))![1]!;
      const options = ["worker.Worker", ...ADDRESS, "--cores", "1", "--memory", "600m", "--work-dir", "work"];
      for (let i = 1; i <= WORKERS; i++) await start(`spark-worker-${i}`, REGISTERED, [...options, master]);
      return new SparkCluster(master, configuration, servers);
    } catch (error) {
      await remove(servers, configuration);
      throw error;
    }
  }

  /** Settings of a program that is its driver. */
  get environment(): Record<string, string> {
    return environment(this.configuration, this.configuration);
  }

  /** For each worker, what the executors have written that it started. */
  async executors(): Promise<string[]> {
    return await Promise.all(
      this.servers.slice(1).map(async ({ directory }) => {
        let said = "";
        for await (const app of Deno.readDir(`${directory}/work`)) {
          for await (const executor of Deno.readDir(`${directory}/work/${app.name}`)) {
            said += await Deno.readTextFile(`${directory}/work/${app.name}/${executor.name}/stderr`);
          }
        }
        return said;
      }),
    );
  }

  /** Ends all of it, and removes what it had. */
  async remove(): Promise<void> {
    await remove(this.servers, this.configuration);
  }
}

/** @param directory Of files that Spark makes while it works. */
function environment(configuration: string, directory: string): Record<string, string> {
  return { SPARK_CONF_DIR: configuration, SPARK_LOCAL_DIRS: directory, SPARK_LOCAL_IP: "127.0.0.1" };
}

/** Workers end before their master. */
async function remove(servers: readonly OwnServer[], configuration: string): Promise<void> {
  for (const server of servers.toReversed()) await server.remove();
  await Deno.remove(configuration, { recursive: true });
}

type Daemon = Readonly<{
  name: string;
  /** What it writes to its log once it serves. */
  serves: string;
  /** Its class behind `org.apache.spark.deploy.`, and its options. */
  args: readonly string[];
  environment: Readonly<Record<string, string>>;
}>;

function daemon({ name, serves, args: [program, ...options], environment }: Daemon): Service {
  const settings = Object.entries({ SPARK_DAEMON_MEMORY: "256m", ...environment })
    .map(([setting, value]) => `${setting}=${value}`);
  return {
    name,
    ports: {},
    readyMs: READY_MS,
    stopMs: READY_MS,
    prepare: () => Promise.resolve(),
    process: () => ({
      program: "/usr/bin/env",
      args: [...settings, SCRIPT, "--class", `org.apache.spark.deploy.${program}`, ...options],
    }),
    unhealthy: async (said) => (await said()).includes(serves) ? undefined : "it does not serve yet",
    environment: {},
  };
}
