import assert from "assert";
import { parseEnvironment } from "../../simulator/processes/servers.ts";
import { command as runCommand, missingPrograms, type Said } from "./local_stack.ts";
import { freeRange } from "../../simulator/processes/ports.ts";
import { withDirectory } from "../directory.ts";
import { startOf } from "../../deploy/local/processes.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ROOT = new URL("../..", import.meta.url).pathname;
const LIBRARIES = `${ROOT}data/libraries`;
const MAIN = `${ROOT}deploy/local/main.ts`;

const missing = missingPrograms();
if (missing.length > 0) {
  console.warn(`The local stack is not tested: this machine has no ${missing.join(", no ")}`);
}

/** Kafka's own tool for topics, as a user. */
async function createTopic(
  data: string,
  port: number,
  user: string,
  password: string,
  topic: string,
): Promise<Said> {
  const config = `${data}/client.properties`;
  await Deno.writeTextFile(
    config,
    [
      "security.protocol=SASL_SSL",
      "sasl.mechanism=SCRAM-SHA-512",
      `sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="${user}" password="${password}";`,
      "ssl.truststore.type=PEM",
      `ssl.truststore.location=${data}/certificates/ca.crt`,
      "request.timeout.ms=10000",
      "default.api.timeout.ms=20000",
      "",
    ].join("\n"),
  );
  const quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off";
  const tool = ["-Xmx128m", quiet, "-cp", `${LIBRARIES}/kafka/*`, "org.apache.kafka.tools.TopicCommand"];
  const where = ["--bootstrap-server", `127.0.0.1:${port}`, "--command-config", config];
  return await runCommand("java", [...tool, ...where, "--create", "--topic", topic]);
}

Deno.test({
  name: "the secure stack comes up, lets in whom it should, survives a kill, and leaves nothing behind",
  // In CI a machine without them is a fault.
  ignore: missing.length > 0 && !Deno.env.get("POLLWIRE_STACK"),
  async fn(t) {
    await withDirectory(async (parent) => {
      // PostgreSQL's own user must get to its directory.
      await Deno.chmod(parent, 0o755);
      const data = `${parent}/stack`;
      const port = freeRange(20);
      const stack = (name: string, ...args: string[]) =>
        runCommand(Deno.execPath(), [
          "run",
          "-A",
          MAIN,
          name,
          "--data",
          data,
          "--libraries",
          LIBRARIES,
          ...args,
        ]);
      const pids = new Set<number>();
      const status = async () => {
        const said = await stack("status");
        for (const [, pid] of said.out.matchAll(/ pid (\d+) /g)) pids.add(Number(pid));
        return said;
      };
      try {
        await checkStack(t, { data, port, stack, status });
      } finally {
        await stack("down");
      }
      await t.step("nothing is left", async () => {
        assert.equal(pids.size, 4, "three services, and one that was killed and started again");
        assert.deepEqual([...pids].filter((pid) => startOf(pid) !== undefined), []);
        assert.equal((await stack("wipe")).code, 0);
        await assert.rejects(Deno.stat(data), Deno.errors.NotFound);
        assert.match((await stack("down")).error, /there is no stack/);
      });
    });
  },
});

type Scene = Readonly<{
  data: string;
  port: number;
  stack(name: string, ...args: string[]): Promise<Said>;
  status(): Promise<Said>;
}>;

async function checkStack(t: Deno.TestContext, { data, port, stack, status }: Scene): Promise<void> {
  await t.step("up", async () => {
    const said = await stack("up", "--secure", "--port", String(port));
    assert.equal(said.code, 0, said.error);
    const environment = parseEnvironment(said.out);
    assert.equal(
      environment.VOTE_LOG,
      `kafka://127.0.0.1:${port + 10}?ca=${
        encodeURIComponent(`${data}/certificates/ca.crt`)
      }&sasl=scram-sha-512&user=admin`,
    );
    assert.equal(environment.ELASTICSEARCH_URL, `http://127.0.0.1:${port + 1}`);
    assert.equal(await Deno.readTextFile(`${data}/env`), said.out);
    assert.equal((await status()).code, 0);
  });

  await t.step("up again changes nothing", async () => {
    const before = (await status()).out.match(/ pid \d+ /g);
    assert.equal((await stack("up")).code, 0);
    assert.deepEqual((await status()).out.match(/ pid \d+ /g), before);
  });

  await t.step("another stack on the same ports names the port", async () => {
    const other = ["--data", `${data}-other`];
    const said = await stack("up", "--port", String(port), ...other);
    assert.equal(said.code, 1);
    assert.match(said.error, new RegExp(`Cannot start postgresql: somebody listens on port ${port}, `));
  });

  await t.step("Kafka lets in whom its passwords and ACLs name", async () => {
    const password = (user: string) => Deno.readTextFileSync(`${data}/passwords/kafka-${user}`);
    const create = (user: string, secret: string) => createTopic(data, port + 10, user, secret, `of-${user}`);
    const admin = await create("admin", password("admin"));
    assert.equal(admin.code, 0, admin.out + admin.error);
    const gateway = await create("gateway-1", password("gateway-1"));
    assert.match(gateway.out + gateway.error, /Authorization failed/);
    const wrong = await create("admin", "wrong");
    assert.match(wrong.out + wrong.error, /invalid credentials/);
  });

  await t.step("PostgreSQL lets in by TLS and password alone", async () => {
    const psql = (password: string, tls: string) =>
      runCommand("psql", [
        `host=127.0.0.1 port=${port} user=postgres dbname=pollwire ${tls}`,
        "-Atc",
        "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
      ], { PGPASSWORD: password });
    const password = await Deno.readTextFile(`${data}/passwords/postgres`);
    const verified = `sslmode=verify-full sslrootcert=${data}/certificates/ca.crt`;
    assert.equal((await psql(password, verified)).out, "t\n");
    assert.match((await psql(password, "sslmode=disable")).error, /no encryption/);
    assert.match((await psql("wrong", verified)).error, /password authentication failed/);
  });

  await t.step("Elasticsearch answers", async () => {
    const answer = await (await fetch(`http://127.0.0.1:${port + 1}/`)).json();
    assert.match(answer.version.number, /^8\./);
  });

  await t.step("a server that was killed is named by status and started by up", async () => {
    const pid = Number(/^postgresql .* pid (\d+) /m.exec((await status()).out)![1]);
    Deno.kill(pid, "SIGKILL");
    const killed = await status();
    assert.equal(killed.code, 1);
    assert.match(killed.out, /^postgresql +DOWN .*it does not run/m);
    const again = await stack("up");
    assert.equal(again.code, 0, again.error);
    assert.equal((await status()).code, 0);
  });
}
