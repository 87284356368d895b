/**
 * Runs an election through the publisher in memory, and says what is wrong with what it published: what a watcher can work
 * out, and what it keeps back, or merges, without need.
 *
 * @module
 */
import { ALL_VOTERS } from "../../shared/marks.ts";
import { attack, type PublishedSet } from "./attack.ts";
import { GOOD_HABITS, type Habits, ModelPublisher, type Rules } from "./model.ts";
import { type Ballot, run, type Script, stationOf } from "./scripts.ts";
import { netOf } from "./voters.ts";

/** What may be published besides releases: sets of voters whose number is told. */
export type Watch = (ballots: readonly Ballot[], script: Script) => PublishedSet[];

/** Everything that is wrong; nothing when all is well. */
export async function findings(
  script: Script,
  rules: Rules,
  habits: Habits = GOOD_HABITS,
  watch: Watch = () => [],
): Promise<string[]> {
  const model = new ModelPublisher(script, rules, habits);
  const found: string[] = [];
  const watched: PublishedSet[] = [];
  let counted: Ballot[] = [];
  let isFinal = false;
  await run(script, {
    vote(ballots) {
      counted.push(...ballots);
      model.count(ballots);
    },
    publish(how) {
      model.publish(how);
      watched.push(...watch(counted, script));
      if (how.final && !isFinal) found.push(...needless(script, model));
      isFinal ||= how.final;
    },
    rebuild(ballots) {
      counted = [...ballots];
      model.rebuild(ballots);
    },
  });
  model.publish({ final: true, caughtUp: true });
  if (!hasRebuild(script)) found.push(...keptBack(script, model, "at the end", script.k - 1));
  for (const contest of model.contests) {
    const sets = [...model.published(contest), ...contest === ALL_VOTERS ? watched : []];
    for (const { what, voters } of attack(sets, script.k)) {
      found.push(`attack: ${what}: voters ${voters.join(", ")}`);
    }
  }
  return found;
}

function hasRebuild({ steps }: Script): boolean {
  return steps.some(({ what }) => what === "rebuild");
}

/** What is not shown although it could be. */
function keptBack({ k }: Script, model: ModelPublisher, when: string, most: number): string[] {
  return model.contests.flatMap((contest) => {
    const counted = model.counted(contest).size;
    const shown = [...model.shown(contest).values()].reduce((sum, voters) => sum + netOf(voters), 0);
    const may = counted < k ? counted : most;
    return counted - shown <= may
      ? []
      : [`kept back ${when}: ${counted - shown} of ${counted} in ${contest}`];
  });
}

/** At the final release: what is kept back, and which units are larger than they have to be. */
function needless(script: Script, model: ModelPublisher): string[] {
  if (hasRebuild(script)) return [];
  const { k } = script;
  const found = keptBack(script, model, "at the final release", 0);
  for (const contest of model.contests) {
    const cells = model.cells(contest);
    const sums = (keyOf: (station: string) => string) => {
      const sums = new Map<string, number>();
      for (const [cell, n] of cells) {
        const key = keyOf(cell.split("/")[0]);
        sums.set(key, (sums.get(key) ?? 0) + n);
      }
      return [...sums.values()];
    };
    const smallCell = [...cells.values()].some((n) => n < k);
    const smallStation = sums((station) => station).some((n) => n < k);
    const smallRegion = sums((station) => stationOf(script, station).region).some((n) => n < k);
    for (const unit of model.shown(contest).keys()) {
      const level = unit.startsWith(":")
        ? "regions"
        : unit.includes(":")
        ? "stations"
        : unit.includes("+")
        ? "modes"
        : "";
      const isNeeded = { "": true, modes: smallCell, stations: smallStation, regions: smallRegion }[level];
      if (!isNeeded) found.push(`merged ${level} without need: ${unit} in ${contest}`);
    }
  }
  return found;
}
