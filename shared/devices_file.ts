/**
 * The file of an election's devices with their keys: the office writes it, and who runs devices reads it.
 *
 * @module
 */
import { z } from "zod";
import { hexKeySchema, idSchema } from "./election.ts";

const devicesFileSchema = z.object({
  election: idSchema,
  devices: z.array(z.object({
    device: idSchema,
    version: z.int().min(1),
    station: idSchema,
    /** Of requests to gateways. */
    key: hexKeySchema,
    /** Of votes, which only the aggregator knows besides. */
    proofKey: hexKeySchema,
    /** Public, of the aggregator's answers. */
    answerKey: hexKeySchema,
  })).min(1),
});

/** The devices of an election with their keys, as `provision` writes them. */
export type DevicesFile = z.infer<typeof devicesFileSchema>;

/** Reads the file's text. @throws when it is no such file; the message says what is wrong. */
export function parseDevicesFile(text: string): DevicesFile {
  const read = devicesFileSchema.safeParse(JSON.parse(text));
  if (!read.success) throw new Error(z.prettifyError(read.error));
  return read.data;
}
