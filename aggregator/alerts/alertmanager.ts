/**
 * Sends alerts to Prometheus's Alertmanager: `POST /api/v2/alerts`. An alert is known by its labels; it is sent again while it lasts, and
 * with `endsAt` when it is resolved. (https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml)
 *
 * @module
 */
import { ConfigError } from "../../shared/config.ts";
import { parseCertificates } from "../../web/tls.ts";
import type { StoredAlert } from "./store.ts";

/** Alerts that wait to be sent, at most: the oldest are dropped. */
export const MAX_QUEUED_ALERTS = 5_000;
/** Alerts of one request, at most. */
const MAX_SENT_AT_ONCE = 200;
/** How long a request may take, in milliseconds. */
const SEND_TIMEOUT_MS = 5_000;
/** How long to wait after a request failed, at first and at most, in milliseconds. */
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;

/** An alert as Alertmanager takes it. */
export type OutgoingAlert = Readonly<{
  labels: Readonly<Record<string, string>>;
  annotations: Readonly<Record<string, string>>;
  startsAt: string;
  endsAt?: string;
}>;

/** Writes an alert for Alertmanager. Its labels are the same for as long as it lasts. */
export function outgoing(election: string, alert: StoredAlert): OutgoingAlert {
  const { rule, subject, severity, summary, raisedAt, acknowledgedBy, acknowledgement, resolvedAt } = alert;
  return {
    labels: {
      alertname: alertName(rule),
      election,
      rule,
      severity,
      ...subject !== "" && { subject },
    },
    annotations: {
      summary,
      runbook_url: `docs/runbooks.md#${alertName(rule).toLowerCase()}`,
      ...acknowledgedBy !== null && { acknowledged: `${acknowledgedBy}: ${acknowledgement}` },
    },
    startsAt: raisedAt,
    ...resolvedAt !== null && { endsAt: resolvedAt },
  };
}

/** `station_silent` → `ElectionStationSilent`: no alert of deploy/prometheus/ has such a name. */
export function alertName(rule: string): string {
  return `Election${rule.split("_").map((word) => word[0]!.toUpperCase() + word.slice(1)).join("")}`;
}

/** What became of alerts that were sent: `dropped` did not fit the queue, `refused` will not be taken, `failed` is tried again. */
export type Delivery = "sent" | "failed" | "refused" | "dropped";

/** How Alertmanagers are asked: what they know the aggregator by, and who signed their certificates. */
export type AlertmanagerAccess = Readonly<{
  /** The header `Authorization`; `undefined` for none. */
  authorization: string | undefined;
  /** Certificates, PEM, that are believed besides the system's. */
  ca: string | undefined;
}>;

/** @throws {ConfigError} when no request could be made with it. */
export function checkAccess({ ca }: AlertmanagerAccess): void {
  if (ca === undefined || parseCertificates(ca) !== undefined) return;
  throw new ConfigError("Cannot start: POLLWIRE_ALERTMANAGER_CA must be certificates in PEM");
}

/** What a sender needs. */
export type SenderOptions = Readonly<{
  /** The address of an Alertmanager, without `/api/v2/alerts`. */
  url: string;
  access?: AlertmanagerAccess;
  fetch?: typeof fetch;
  /** Waits, less when the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  onDelivery(delivery: Delivery, alerts: number): void;
  onFault(what: string): void;
}>;

/** Refusals that may pass: of the credentials, which somebody mends, of a request that came slowly, and of too many. */
const MAY_PASS: readonly number[] = [401, 403, 407, 408, 429];

function hintOf(status: number): string {
  if (status !== 401 && status !== 403) return "";
  return "; POLLWIRE_ALERTMANAGER_USER and …_PASSWORD, or …_TOKEN, must be those that it knows";
}

/** Why there was no answer; of a certificate that is not believed, which setting is wrong. */
function whyNot({ message, cause }: Error): string {
  const why = cause instanceof Error ? `${message}: ${cause.message}` : message;
  if (!/certificate/i.test(why)) return why;
  return `its certificate is not believed (${why}); POLLWIRE_ALERTMANAGER_CA must hold who signed it`;
}

/** Sends alerts to one Alertmanager. Of an alert that waits the newest is sent. */
export class AlertSender {
  readonly #options: SenderOptions;
  readonly #queue = new Map<string, OutgoingAlert>();
  readonly #address: URL;
  #wake = Promise.withResolvers<void>();

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#address = new URL("api/v2/alerts", options.url.endsWith("/") ? options.url : `${options.url}/`);
  }

  /** Alerts that wait. */
  get queued(): number {
    return this.#queue.size;
  }

  /** Takes alerts to send. */
  offer(alerts: readonly OutgoingAlert[]): void {
    for (const alert of alerts) {
      const key = JSON.stringify(Object.entries(alert.labels).toSorted(([a], [b]) => a < b ? -1 : 1));
      this.#queue.delete(key);
      this.#queue.set(key, alert);
    }
    const over = this.#queue.size - MAX_QUEUED_ALERTS;
    if (over > 0) {
      for (const key of [...this.#queue.keys()].slice(0, over)) this.#queue.delete(key);
      this.#options.onDelivery("dropped", over);
    }
    if (this.#queue.size > 0) this.#wake.resolve();
  }

  /** Sends what is offered until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { wait, access } = this.#options;
    using client = Deno.createHttpClient({ caCerts: access?.ca === undefined ? [] : [access.ca] });
    const aborted = new Promise<void>((resolve) =>
      signal.addEventListener("abort", () => resolve(), { once: true })
    );
    let retryMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      if (this.#queue.size === 0) {
        this.#wake = Promise.withResolvers();
        await Promise.race([this.#wake.promise, aborted]);
        continue;
      }
      if (await this.#send(client, signal)) {
        retryMs = FIRST_RETRY_MS;
        continue;
      }
      await wait(retryMs, signal);
      retryMs = Math.min(LONGEST_RETRY_MS, 2 * retryMs);
    }
  }

  /** Sends one request. Returns whether to go on at once. */
  async #send(client: Deno.HttpClient, signal: AbortSignal): Promise<boolean> {
    const { onDelivery, onFault } = this.#options;
    const batch = [...this.#queue].slice(0, MAX_SENT_AT_ONCE);
    const status = await this.#post(client, batch.map(([, alert]) => alert), signal);
    if (signal.aborted && typeof status === "string") return false;
    const isTaken = typeof status === "number" && status < 300;
    // 5xx may pass too; another refusal would be the same again.
    const isRefused = typeof status === "number" && status >= 400 && status < 500 &&
      !MAY_PASS.includes(status);
    onDelivery(isTaken ? "sent" : isRefused ? "refused" : "failed", batch.length);
    if (!isTaken) {
      const why = typeof status === "number" ? `it answers ${status}${hintOf(status)}` : status;
      onFault(`Cannot send ${batch.length} alerts to ${this.#options.url}: ${why}`);
    }
    if (!isTaken && !isRefused) return false;
    // What was replaced meanwhile still waits.
    for (const [key, alert] of batch) if (this.#queue.get(key) === alert) this.#queue.delete(key);
    return true;
  }

  /** The status of the answer, or why there is none. */
  async #post(
    client: Deno.HttpClient,
    alerts: readonly OutgoingAlert[],
    signal: AbortSignal,
  ): Promise<number | string> {
    const authorization = this.#options.access?.authorization;
    try {
      const answer = await (this.#options.fetch ?? fetch)(this.#address, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...authorization !== undefined && { authorization },
        },
        client,
        body: JSON.stringify(alerts),
        redirect: "error",
        signal: AbortSignal.any([signal, AbortSignal.timeout(SEND_TIMEOUT_MS)]),
      });
      await answer.body?.cancel();
      return answer.status;
    } catch (error) {
      return whyNot(error as Error);
    }
  }
}
