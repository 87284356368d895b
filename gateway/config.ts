/**
 * A gateway's settings, read once from its environment.
 *
 * @module
 */
import { z } from "zod";
import { LOG_LEVELS } from "../cli/log.ts";
import { integer, readConfig } from "../shared/config.ts";
import { type GatewayFile, gatewayFileSchema } from "../shared/sync.ts";
import { ConfigError } from "../shared/config.ts";
import { type TlsFiles, tlsFiles } from "../web/tls.ts";
import { logAddressSetting, withPassword } from "../shared/log/address.ts";

/** Every setting, with its default and its meaning. */
export const SETTINGS = {
  /** The file that `deno task provision` wrote for this gateway. */
  GATEWAY_FILE: z.string({
    error: "must be the path of the file that `deno task provision` wrote for this gateway",
  }),
  /** The directory of the spool and the sealed keys; `data/gateway-<id>` when not set. */
  GATEWAY_DATA: z.string().optional(),
  /** The log: `sqlite:<directory>` or `kafka://…`. */
  VOTE_LOG: logAddressSetting.prefault("sqlite:data/log"),
  /** The password of the user that VOTE_LOG names. */
  KAFKA_PASSWORD: z.string().optional(),
  /** The log's level. `debug` logs every request, with its ids. */
  LOG_LEVEL: z.enum(LOG_LEVELS).default("info"),
  HOST: z.string().default("127.0.0.1"),
  PORT: integer(0, 65_535).default(8001),
  /** The gateway's certificate and intermediate certificates, PEM. Plain HTTP when not set. */
  TLS_CERT_FILE: z.string().optional(),
  TLS_KEY_FILE: z.string().optional(),
  /** The authorities of devices' certificates, PEM. When set, clients without such a certificate are refused. */
  TLS_CLIENT_CA_FILE: z.string().optional(),
  /** Authorities of the aggregator's certificate besides the system's, PEM, or their file, which is read when it changes. */
  AGGREGATOR_CA: z.string().optional(),
  AGGREGATOR_CA_FILE: z.string().optional(),
  /** Votes a second of one device, and of one station, after a burst of 1,000: single votes and lines of batches alike. */
  DEVICE_VOTES_PER_SECOND: integer(1, 1_000_000).default(100),
  STATION_VOTES_PER_SECOND: integer(1, 1_000_000).default(400),
  /** Requests a second of one address, before authentication. */
  ADDRESS_REQUESTS_PER_SECOND: integer(1, 1_000_000).default(1_000),
  /** Connections at once, and of one address. Never more than the process may have file descriptors, less 128. */
  MAX_CONNECTIONS: integer(1, 1_000_000).default(10_000),
  ADDRESS_MAX_CONNECTIONS: integer(1, 1_000_000).default(1_000),
  /** Bytes of records that the spool holds before votes are refused: 2 GiB. */
  SPOOL_MAX_BYTES: integer(1_000_000, 2 ** 46).default(2 * 1024 ** 3),
  /** Maximum share of the spool for one device's records, in per cent. */
  DEVICE_SPOOL_PERCENT: integer(1, 100).default(5),
  /** How often the aggregator is asked for what is new, in milliseconds. */
  SYNC_INTERVAL_MS: integer(100, 3_600_000).default(2_000),
  /** How long the spool is forwarded after SIGTERM, in milliseconds. */
  DRAIN_MS: integer(0, 600_000).default(10_000),
};

/** A gateway's settings. */
export type GatewayConfig =
  & Omit<ReturnType<typeof readConfig<typeof SETTINGS>>, "GATEWAY_DATA" | "KAFKA_PASSWORD">
  & {
    file: GatewayFile;
    GATEWAY_DATA: string;
    /** The gateway's certificate; plain HTTP when not set. */
    tls?: TlsFiles;
  };

/** @throws {ConfigError} naming what is wrong. */
export function gatewayConfig(environment?: Record<string, string>): GatewayConfig {
  const { KAFKA_PASSWORD, ...config } = readConfig(SETTINGS, environment);
  const file = readGatewayFile(config.GATEWAY_FILE);
  const tls = tlsFiles(config);
  return {
    ...config,
    file,
    GATEWAY_DATA: config.GATEWAY_DATA ?? `data/gateway-${file.gateway}`,
    ...tls && { tls },
    VOTE_LOG: withPassword(config.VOTE_LOG, KAFKA_PASSWORD),
  };
}

function readGatewayFile(path: string): GatewayFile {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new ConfigError(
      `Cannot start: GATEWAY_FILE names ${path}, which cannot be read (${
        (error as Error).message
      }); make it with deno task provision`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ConfigError(`Cannot start: ${path} is not JSON; write it again with deno task provision`);
  }
  const result = gatewayFileSchema.safeParse(value);
  if (result.success) return result.data;
  const { path: field, message } = result.error.issues[0]!;
  throw new ConfigError(
    `Cannot start: ${path}: ${field.join(".")} ${message}; write it again with deno task provision`,
  );
}
