/**
 * Shows a demo: as a board of lines on a terminal, as one line elsewhere.
 *
 * @module
 */
import { duration } from "../../cli/progress.ts";
import { number } from "../run/report.ts";
import type { Status } from "./watch.ts";

/** Where a demo is. */
export type Scene = Readonly<{
  page: string;
  /** What is done now, in a few words. */
  doing: string;
  /** Seconds since voting began. */
  elapsedS: number;
  /** How many voters come. */
  coming: number;
  /** Seconds that they take. */
  votingS: number;
}>;

const BAR_COLUMNS = 24;
const LABEL_COLUMNS = 12;
/** Maximum reasons that one line names. */
const MAX_CAUSES = 6;

/** One line for each part of a status: its age, the gateways, the aggregator, memory, refusals. */
export function boardLines(scene: Scene, status: Status): string[] {
  const { aggregator, gateways, memory, refusals } = status;
  const line = (label: string, text: string) => `  ${label.padEnd(LABEL_COLUMNS)}${text}`;
  return [
    `Pollwire demo   ${scene.page}   ${duration(scene.elapsedS)}   ${scene.doing}   (Ctrl-C stops)`,
    "",
    line("voters", progressOf(scene, status)),
    ...gateways.map((gateway) =>
      line(
        gateway.name,
        gateway.taken === undefined
          ? "does not answer"
          : `${number(gateway.taken)} taken (${rate(gateway.perSecond)})   ${
            number(gateway.refused)
          } refused   spool ${number(gateway.spool)}`,
      )
    ),
    line("aggregator", aggregator === undefined ? "does not answer" : spellAggregator(aggregator)),
    line(
      "not counted",
      reasons(aggregator?.notCounted.map(({ outcome, records }) => [outcome, records]) ?? []),
    ),
    line("refused", reasons(refusals.map(({ reason, votes }) => [reason, votes]))),
    line("memory", memory.map(({ name, bytes }) => `${name} ${megabytes(bytes)}`).join("   ")),
  ];
}

/** The same, in one line. */
export function plainLine(scene: Scene, { aggregator, gateways, refusals }: Status): string {
  const spoken = gateways.map((gateway) =>
    gateway.taken === undefined
      ? `${gateway.name} does not answer`
      : `${gateway.name} ${number(gateway.taken)} taken, ${number(gateway.refused)} refused, spool ${
        number(gateway.spool)
      }`
  );
  const counted = aggregator === undefined
    ? "the aggregator does not answer"
    : `${number(aggregator.counted)} of ${number(scene.coming)} voters counted (${
      rate(aggregator.perSecond)
    }), ${number(aggregator.duplicate)} duplicate, ${number(aggregator.rejected)} rejected, ${
      number(aggregator.held)
    } held, lag ${number(aggregator.lag)}`;
  const refused = refusals.reduce((sum, { votes }) => sum + votes, 0);
  return `${duration(scene.elapsedS)}, ${scene.doing}: ${counted}; ${spoken.join("; ")}; ${
    number(refused)
  } refused in all`;
}

function progressOf({ coming, votingS, elapsedS }: Scene, { aggregator }: Status): string {
  const counted = aggregator?.counted ?? 0;
  const share = Math.min(1, counted / coming);
  const full = Math.floor(share * BAR_COLUMNS);
  const bar = "█".repeat(full) + "░".repeat(BAR_COLUMNS - full);
  const leftS = votingS - elapsedS;
  const left = counted < coming && leftS > 0 ? `   ${duration(leftS)} left` : "";
  return `${bar}  ${number(counted)} of ${number(coming)} counted (${Math.floor(100 * share)} %)   ${
    rate(aggregator?.perSecond ?? 0)
  }${left}`;
}

function spellAggregator(
  { counted, duplicate, rejected, held, balanced, lag }: NonNullable<Status["aggregator"]>,
): string {
  return `${number(counted)} counted   ${number(duplicate)} duplicate   ${number(rejected)} rejected   ${
    number(held)
  } held   lag ${number(lag)}   reconciliation ${balanced ? "balances" : "DOES NOT BALANCE"}`;
}

function reasons(list: readonly (readonly [string, number])[]): string {
  const named = list.slice(0, MAX_CAUSES).map(([reason, count]) => `${number(count)} ${reason}`);
  const rest = list.length - named.length;
  return named.length === 0 ? "none" : named.join(", ") + (rest > 0 ? `, and ${rest} more kinds` : "");
}

function rate(perSecond: number): string {
  return `${perSecond < 10 ? perSecond.toFixed(1) : number(Math.round(perSecond))}/s`;
}

/** Formats bytes: `210 MB`. */
export function megabytes(bytes: number): string {
  return bytes === 0 ? "not known" : `${Math.round(bytes / 1e6)} MB`;
}
