/**
 * Settings of the one-shot services of docker-compose.yml.
 *
 * @module
 */
import { z } from "zod";
import { integer, readConfig } from "../../shared/config.ts";

/** Every setting, with its meaning. */
export const SETTINGS = {
  /** Where `setup` puts what servers need. */
  SETUP_DIRECTORY: z.string().default("/setup"),
  KAFKA_BROKERS: integer(1, 3).default(1),
  /** Servers of PostgreSQL: `postgresql`, and `postgresql-2`, its standby. */
  SETUP_DATABASE_SERVERS: integer(1, 2).default(1),
  /** The servers that need certificates, and the users of their images: `name:uid name:uid …`. */
  SETUP_SERVERS: z.string().default(""),
  /** The passwords, and the servers that find each: `name=server,server name=server …`; `kafka` is every broker, `postgresql` both servers. */
  SETUP_PASSWORDS: z.string().default(""),
  ELASTICSEARCH_URL: z.string().default("https://elasticsearch:9200"),
  KIBANA_URL: z.string().default("https://kibana:5601"),
  /** The superuser's. */
  ELASTIC_PASSWORD: z.string().optional(),
  KIBANA_PASSWORD: z.string().optional(),
  LOGS_PASSWORD: z.string().optional(),
  /** The exporter's. */
  MONITOR_PASSWORD: z.string().optional(),
  SUPERSET_URL: z.string().default("https://superset:8088"),
  /** Of its administrator, `admin`. */
  SUPERSET_PASSWORD: z.string().optional(),
};

/** Settings as `environment` has them. */
export type ComposeConfig = ReturnType<typeof readConfig<typeof SETTINGS>>;

/** @throws {ConfigError} naming what is wrong. */
export function composeConfig(environment?: Record<string, string>): ComposeConfig {
  return readConfig(SETTINGS, environment);
}
