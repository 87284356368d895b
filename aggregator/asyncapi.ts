/**
 * `deno task asyncapi`: writes docs/topics/: an AsyncAPI 3.0 document of the topics, and a JSON Schema (2020-12) of each topic's rows.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import config from "../deno.json" with { type: "json" };
import { type TopicDescription, TOPICS, TOPICS_VERSION } from "./results/topic_schemas.ts";

type Json = Record<string, unknown>;

/** The files by name. */
export function topicFiles(topics: readonly TopicDescription[] = TOPICS): Map<string, string> {
  const files = topics.map((topic): [string, Json] => [`${topic.name}.schema.json`, rowSchema(topic)]);
  const documents: [string, Json][] = [["asyncapi.json", asyncApi(topics)], ...files];
  return new Map(documents.map(([name, value]) => [name, `${JSON.stringify(value, undefined, 2)}\n`]));
}

/** A topic's rows as JSON Schema. It lets in fields that are added later. */
function rowSchema({ topic, name, summary, row }: TopicDescription): Json {
  const { $schema, additionalProperties: _, ...schema } = z.toJSONSchema(row) as Json;
  return {
    $schema,
    $id: `urn:pollwire:topics:${TOPICS_VERSION}:${name}`,
    title: topic,
    description: summary,
    ...schema,
  };
}

function asyncApi(topics: readonly TopicDescription[]): Json {
  const each = <Value>(make: (topic: TopicDescription) => Value) =>
    Object.fromEntries(topics.map((topic) => [topic.name, make(topic)]));
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Pollwire's topics",
      version: TOPICS_VERSION,
      description:
        "What programs outside of Pollwire may follow on Kafka: released figures, records that were not counted, changes of candidates and parties, and what the streaming recount finds. Each topic is compacted " +
        "and has one partition: the newest message of a key stands, and one without a value takes the key away. Read each from its beginning. " +
        `Of Pollwire ${config.version}.`,
      license: { name: config.license },
    },
    defaultContentType: "application/json",
    servers: {
      cluster: {
        host: "kafka.example.org:9093",
        protocol: "kafka-secure",
        description: "The operator's brokers: TLS, SASL/SCRAM-SHA-512, and a user who may read these topics",
        security: [{ type: "scramSha512" }],
      },
    },
    channels: {
      ...each(({ topic, name, summary }) => ({
        address: topic,
        summary,
        messages: { [name]: { $ref: `#/components/messages/${name}` } },
        bindings: {
          kafka: {
            topic,
            partitions: 1,
            topicConfiguration: { "cleanup.policy": ["compact"] },
            bindingVersion: "0.5.0",
          },
        },
      })),
      votes: {
        address: "votes.{election}",
        summary:
          "The log of an election: sealed records, for Pollwire's aggregators alone. docs/wire-format.md",
        parameters: { election: { description: "The election's id" } },
        messages: { entry: { $ref: "#/components/messages/entry" } },
      },
    },
    operations: each(({ name, summary }) => ({
      action: "receive",
      summary,
      channel: { $ref: `#/channels/${name}` },
      messages: [{ $ref: `#/channels/${name}/messages/${name}` }],
    })),
    components: {
      messages: {
        ...each(({ name, summary, key }) => ({
          name,
          summary,
          payload: {
            schemaFormat: "application/schema+json;version=draft-2020-12",
            schema: { $ref: `./${name}.schema.json` },
          },
          bindings: { kafka: { key: { type: "string", description: key }, bindingVersion: "0.5.0" } },
        })),
        entry: {
          name: "entry",
          summary: "One or more sealed records, or a statement",
          contentType: "application/octet-stream",
          headers: {
            type: "object",
            required: ["v", "kind", "key-id", "sender-key", "sequence", "signature"],
            properties: {
              v: { const: "2" },
              kind: { enum: ["vote", "statement"] },
              "key-id": { type: "string", description: "The name of the gateway's key" },
              "sender-key": { type: "string", description: "32 bytes" },
              sequence: { type: "string", pattern: "^(0|[1-9][0-9]*)$" },
              signature: { type: "string", description: "HMAC-SHA256, 32 bytes" },
            },
          },
          payload: { type: "string", format: "binary" },
        },
      },
    },
  };
}

if (import.meta.main) {
  for (const [name, text] of topicFiles()) {
    await Deno.writeTextFile(new URL(`../docs/topics/${name}`, import.meta.url), text);
  }
}
