/**
 * The option `--turnout`, of commands in which a made-up country votes.
 *
 * @module
 */
import type { Option } from "commander";
import { numberOption } from "../../cli/command.ts";
import { DEFAULT_TURNOUT } from "../country/turnout.ts";

/** Its value is a share: above 0, and at most 1. */
export function turnoutOption(): Option {
  const bounds = { min: 0.01, max: 1 };
  return numberOption("--turnout <share>", "of the voters, about who come; at 1 everybody", bounds)
    .default(DEFAULT_TURNOUT);
}
