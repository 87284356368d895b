/**
 * What users of Kafka may do, tried from inside: `topicAccess` runs this file in a container of the apps' image.
 *
 * @module
 */
import { KafkaClient } from "../../shared/log/kafka_client.ts";
import { KafkaReader } from "../../shared/log/kafka_reader.ts";
import type { ComposeProject } from "./compose.ts";

/** The file's path in the image, whose folder `/app` has the apps' sources. */
const INSIDE = "/app/tests/compose/kafka_users.ts";
/** The service whose networks and certificate are used. */
const SERVICE = "recount";
const RUN_MS = 120_000;
/** How often something is tried that neither succeeds nor is refused: a busy broker answers late. */
const ATTEMPTS = 5;

/** How a broker refuses; it says that there is no such topic to those who may not know of it. */
export const REFUSAL = /permit|authori[sz]|no such topic/i;

/** Something that a user tries with partition 0 of a topic. */
export type Try = Readonly<{ user: string; does: "reads" | "writes"; topic: string }>;

/** What came of it: the offset after the last record that a reader saw, or why the broker refused. */
export type Tried = Try & Readonly<{ end?: number; refused?: string }>;

/** Tries one thing after the other, each as its user, whose password is one that the broker has. */
export async function topicAccess(compose: ComposeProject, tries: readonly Try[]): Promise<Tried[]> {
  const users = [...new Set(tries.map(({ user }) => user))];
  const passwords: Record<string, string> = {};
  for (const user of users) {
    passwords[user] = (await compose.inside("kafka-1", `cat /setup/kafka-${user}-password`)).trim();
  }
  const said = await compose.compose([
    "run",
    "--rm",
    "--no-deps",
    "--no-TTY",
    "--volume",
    `${import.meta.filename}:${INSIDE}:ro`,
    "--env",
    `PASSWORDS=${JSON.stringify(passwords)}`,
    "--entrypoint",
    "deno",
    SERVICE,
    "run",
    "--allow-all",
    "--cached-only",
    INSIDE,
    JSON.stringify(tries),
  ], RUN_MS);
  return JSON.parse(said.trim().split("\n").at(-1)!);
}

async function tried(each: Try, password: string): Promise<Tried> {
  const address = {
    kind: "kafka",
    brokers: ["kafka-1:9092"],
    tls: { ca: "/setup/ca.crt" },
    sasl: { mechanism: "scram-sha-512", user: each.user, password },
  } as const;
  try {
    if (each.does === "reads") {
      const reader = new KafkaReader(address, "test", each.topic);
      try {
        const end = await reader.end(0);
        await reader.read(0, Math.max(0, end - 1), 1);
        return { ...each, end };
      } finally {
        await reader.close();
      }
    }
    const client = new KafkaClient(address, "test");
    const producer = client.kafka.producer({ retry: { retries: 0 } });
    try {
      await producer.connect();
      await producer.send({ topic: each.topic, messages: [{ key: "test", value: "{}" }] });
      return each;
    } finally {
      await producer.disconnect();
      client.destroy();
    }
  } catch (error) {
    return { ...each, refused: String(error) };
  }
}

const isUnclear = ({ refused }: Tried) => refused !== undefined && !REFUSAL.test(refused);

if (import.meta.main) {
  const passwords: Readonly<Record<string, string>> = JSON.parse(Deno.env.get("PASSWORDS")!);
  const all: Tried[] = [];
  for (const each of JSON.parse(Deno.args[0]!) as Try[]) {
    let result = await tried(each, passwords[each.user]!);
    for (let attempt = 1; attempt < ATTEMPTS && isUnclear(result); attempt++) {
      result = await tried(each, passwords[each.user]!);
    }
    all.push(result);
  }
  console.log(JSON.stringify(all));
}
