/**
 * NIST's schemas of the common data formats, as they published them (LICENSE.md), for checking exports.
 *
 * @module
 */
import Ajv from "ajv-draft-04";

/** What is wrong with a document by a schema; nothing when it is valid. */
export type CheckSchema = (document: unknown) => string[];

async function schema(name: string): Promise<CheckSchema> {
  const text = await Deno.readTextFile(new URL(name, import.meta.url));
  // `refTypes` is NIST's own keyword, and formats are looked at by the tests themselves.
  const Constructor = Ajv as unknown as typeof Ajv.default;
  const ajv = new Constructor({ strict: false, validateFormats: false, allErrors: true, logger: false });
  const validate = ajv.compile(JSON.parse(text));
  return (document) =>
    validate(document) ? [] : validate.errors!.slice(0, 20).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** SP 1500-100 version 2: Election Results Common Data Format. */
export const checkResults: CheckSchema = await schema("NIST_V2_election_results_reporting.json");
/** SP 1500-101 version 1: Election Event Logging. */
export const checkEventLog: CheckSchema = await schema("NIST_V1_election_event_logging.json");
