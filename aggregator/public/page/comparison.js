/**
 * Keeps the comparison with an earlier election up with what the page shows: asked for once for each contest, revision and open
 * region. An answer is of the board's revision, or it is not shown. No element here.
 */
import { pathOf } from "./feed.js";

/** Wait before a failed question is asked again, in milliseconds. */
const RETRY_MS = 5_000;
/** How often the same is asked again, in milliseconds: officials may link places anew. */
const AGAIN_MS = 60_000;

/**
 * @param ask Takes a path, and resolves to the answer.
 * @param onAnswer Takes the answers: `regions`, and `stations` of the open region.
 * @param {() => number} [now] Milliseconds since 1970.
 * @returns a function that takes what is shown.
 */
export function comparisonKeeper(ask, onAnswer, now = Date.now) {
  let asked = "";
  let againAtMs = 0;
  return async ({ details: { id }, contest, board, place, view, compact }) => {
    if (view !== "results" || compact) return;
    const key = comparisonKey({ details: { id }, contest, board, place });
    if (now() < againAtMs && (key === asked || asked === "")) return;
    [asked, againAtMs] = [key, now() + AGAIN_MS];
    // Before the final release nothing is compared: what there is to say does not change with each release.
    const question = { contest, upTo: board.final ? board.revision : undefined };
    const withStations = board.final && place !== undefined;
    try {
      const [regions, stations] = await Promise.all([
        ask(pathOf(id, "/comparison", question)),
        withStations
          ? ask(pathOf(id, "/comparison", { ...question, by: "station", region: place }))
          : undefined,
      ]);
      if (asked === key) onAnswer({ key, regions, stations });
    } catch {
      if (asked === key) [asked, againAtMs] = ["", now() + RETRY_MS];
    }
  };
}

function comparisonKey({ details: { id }, contest, board, place }) {
  return JSON.stringify([id, contest, board.final ? [board.revision, place] : undefined]);
}

/**
 * What may be shown beside a board: nothing where there is no earlier election; else its answers, with `isCompared` where they are
 * of this contest and this very revision.
 */
export function comparisonShown({ details, contest, board, place }, comparison) {
  const { regions, stations } = comparison ?? {};
  if (regions === undefined || regions.past === null) return undefined;
  if (regions.contest !== contest || regions.election !== details.id) return undefined;
  const fits = (answer) => board.final && answer?.final && answer.revision === board.revision;
  return {
    regions,
    stations: fits(stations) && stations.places.every(({ region }) => region === place)
      ? stations
      : undefined,
    isCompared: fits(regions),
  };
}
