/**
 * A real Alertmanager with a receiver of its webhooks, for tests.
 *
 * @module
 */
import { freePorts } from "../../simulator/processes/ports.ts";
import { TestAuthority } from "../certificates.ts";
import { eventually } from "../eventually.ts";

/** Debian's name of the program, and the project's own. */
const PROGRAMS = ["/usr/bin/prometheus-alertmanager", "/usr/local/bin/alertmanager", "/usr/bin/alertmanager"];
/** How long it may take to be up, in milliseconds. */
const UP_MS = 120_000;

/** An alert as a webhook gets it. */
export type Notice = Readonly<{
  status: "firing" | "resolved";
  labels: Readonly<Record<string, string>>;
  annotations: Readonly<Record<string, string>>;
  startsAt: string;
  endsAt: string;
}>;

/** A user, with the password and its bcrypt hash, which Alertmanager reads. */
export type AlertmanagerUser = Readonly<{ name: string; password: string; hash: string }>;

/** Writes the certificate and the file that makes Alertmanager ask for TLS and a user. */
async function guardWith(directory: string, { name, password, hash }: AlertmanagerUser) {
  const authority = await TestAuthority.make(directory);
  const { certFile, keyFile } = await authority.sign("alertmanager");
  await Deno.writeTextFile(
    `${directory}/web.yml`,
    JSON.stringify({
      tls_server_config: { cert_file: certFile, key_file: keyFile },
      basic_auth_users: { [name]: hash },
    }),
  );
  return {
    ca: await Deno.readTextFile(authority.file),
    authorization: `Basic ${new TextEncoder().encode(`${name}:${password}`).toBase64()}`,
  };
}

/** See the module. */
export class TestAlertmanager {
  /** What the webhook got, in order. */
  readonly notices: readonly Notice[];
  readonly #directory: string;
  readonly #child: Deno.ChildProcess;
  readonly #receiver: Deno.HttpServer;

  private constructor(
    readonly url: string,
    notices: readonly Notice[],
    directory: string,
    child: Deno.ChildProcess,
    hook: Deno.HttpServer,
    /** The authority's certificate, PEM, and the header that it asks for. */
    readonly guard?: Readonly<{ ca: string; authorization: string }>,
  ) {
    this.notices = notices;
    this.#directory = directory;
    this.#child = child;
    this.#receiver = hook;
  }

  /**
   * Starts one that notifies of each alert as soon as it can.
   *
   * @param user Who alone may ask it, over TLS, with a certificate of an authority of its own; without one anybody may, over HTTP.
   */
  static async start(user?: AlertmanagerUser): Promise<TestAlertmanager> {
    const program = PROGRAMS.find((path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        return false;
      }
    });
    if (program === undefined) throw new Error("Cannot test: install Debian's prometheus-alertmanager");
    const directory = await Deno.makeTempDir({ prefix: "pollwire-alertmanager-" });
    const [port] = freePorts(1);
    const notices: Notice[] = [];
    const receiver = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
      const { alerts } = await request.json();
      notices.push(...alerts);
      return new Response("");
    });
    // One group for each alert, sent at once; nothing is repeated within an hour.
    await Deno.writeTextFile(
      `${directory}/alertmanager.yml`,
      `route: { receiver: hook, group_by: ["..."], group_wait: 50ms, group_interval: 100ms, repeat_interval: 1h }
receivers:
  - name: hook
    webhook_configs: [{ url: "http://127.0.0.1:${receiver.addr.port}/", send_resolved: true }]
`,
    );
    const guard = user && await guardWith(directory, user);
    const child = new Deno.Command(program, {
      args: [
        ...guard === undefined ? [] : [`--web.config.file=${directory}/web.yml`],
        `--config.file=${directory}/alertmanager.yml`,
        `--storage.path=${directory}/data`,
        `--web.listen-address=127.0.0.1:${port}`,
        "--cluster.listen-address=",
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const url = `${guard === undefined ? "http" : "https"}://127.0.0.1:${port}`;
    const alertmanager = new TestAlertmanager(url, notices, directory, child, receiver, guard);
    await eventually("Alertmanager is up", async () => {
      const answer = await alertmanager.#ask("/-/ready").catch(() => undefined);
      await answer?.body?.cancel();
      return answer?.ok === true;
    }, UP_MS);
    return alertmanager;
  }

  /**
   * What became of one kind of alert and subject: `firing`, `resolved`, … Notices that repeat the one before are left out: an
   * Alertmanager may notify again of what lasts.
   */
  told(alertname: string, subject?: string): string[] {
    return this.notices.filter(({ labels }) =>
      labels.alertname === alertname && (subject === undefined || labels.subject === subject)
    ).map(({ status }) => status).filter((status, i, all) => status !== all[i - 1]);
  }

  /** The alerts that it holds active now. */
  async active(): Promise<Notice[]> {
    return await (await this.#ask("/api/v2/alerts?active=true")).json();
  }

  async #ask(path: string): Promise<Response> {
    if (this.guard === undefined) return await fetch(`${this.url}${path}`);
    const { ca, authorization } = this.guard;
    using client = Deno.createHttpClient({ caCerts: [ca] });
    const answer = await fetch(`${this.url}${path}`, { client, headers: { authorization } });
    return new Response(await answer.arrayBuffer(), { status: answer.status });
  }

  /** Ends it, and removes what it had. */
  async remove(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await this.#receiver.shutdown();
    await Deno.remove(this.#directory, { recursive: true });
  }
}
