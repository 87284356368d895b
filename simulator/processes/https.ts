/**
 * What commands need to vote over HTTPS: whom to trust, what to show to gateways that ask, and what a stack of their
 * own shows.
 *
 * @module
 */
import type { Command } from "commander";
import { UsageError } from "../../cli/command.ts";

/** Options as they are typed: paths of PEM files. */
export type HttpsOptions = Readonly<{
  ca?: string;
  cert?: string;
  key?: string;
  tlsCert?: string;
  tlsKey?: string;
}>;

/** What `Deno.createHttpClient` needs to know, PEM. */
export type ClientTls = Readonly<{ caCerts?: string[]; cert?: string; key?: string }>;

/** What every process of a stack shows, and whose authority the others trust. Paths of PEM files, absolute. */
export type StackTls = Readonly<{
  certFile: string;
  keyFile: string;
  caFile: string;
  /** With it gateways ask for certificates. */
  clientCaFile?: string;
  /** How the stack's processes are asked whether they are ready. */
  client: ClientTls;
}>;

/** Adds the options to a command. */
export function addHttpsOptions(command: Command): Command {
  return command
    .option("--ca <file>", "authorities of the aggregator's and the gateways' certificates, PEM")
    .option("--cert <file>", "the devices' certificate, for gateways that ask for one, PEM")
    .option("--key <file>", "its key, PEM")
    .option("--tls-cert <file>", "the certificate with which a stack of the command's own serves, PEM")
    .option("--tls-key <file>", "its key, PEM");
}

/** Whom clients trust and what they show. */
export function clientTls({ ca, cert, key }: HttpsOptions): ClientTls {
  const own = together({ cert, key });
  return {
    ...ca === undefined ? {} : { caCerts: [read("--ca", ca)] },
    ...own === undefined ? {} : { cert: read("--cert", own.cert), key: read("--key", own.key) },
  };
}

/** What a stack of the command's own serves with; `undefined` for plain HTTP. */
export function stackTls(options: HttpsOptions): StackTls | undefined {
  const { ca, cert, tlsCert, tlsKey } = options;
  const shown = together({ "tls-cert": tlsCert, "tls-key": tlsKey });
  if (shown === undefined) return undefined;
  if (ca === undefined) {
    throw new UsageError("--tls-cert needs --ca: the processes of the stack must trust each other");
  }
  const path = (file: string) => Deno.realPathSync(file);
  return {
    certFile: path(shown["tls-cert"]),
    keyFile: path(shown["tls-key"]),
    caFile: path(ca),
    ...cert === undefined ? {} : { clientCaFile: path(ca) },
    client: clientTls(options),
  };
}

/** Both of two options, or neither. */
function together<Name extends string>(
  pair: Record<Name, string | undefined>,
): Record<Name, string> | undefined {
  const names = Object.keys(pair) as Name[];
  const missing = names.filter((name) => pair[name] === undefined);
  if (missing.length === names.length) return undefined;
  if (missing.length === 0) return pair as Record<Name, string>;
  throw new UsageError(`--${names.find((name) => !missing.includes(name))} needs --${missing[0]}`);
}

function read(option: string, file: string): string {
  try {
    return Deno.readTextFileSync(file);
  } catch (error) {
    throw new UsageError(`${option} names ${file}, which cannot be read (${(error as Error).message})`);
  }
}
