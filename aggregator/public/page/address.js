/** What the page's address says: which election, contest, place and moment, and how to show them. Pure. */

/** Views of an election. */
export const VIEWS = ["results", "officials"];
/** How often what has come is shown, in seconds; 0: as it comes. */
export const PACES = [0, 5, 15, 60];

/** What an address means. */
export function readAddress({ pathname, search, hash }) {
  const query = new URLSearchParams(search);
  const [, embedded] = /^\/embed\/([^/]+)$/.exec(pathname) ?? [];
  const view = query.get("view");
  const pace = Number(query.get("pace"));
  return {
    // An address of an earlier version has the election behind "#".
    election: decode(embedded) ?? query.get("election") ?? decode(hash.slice(1) || undefined),
    contest: query.get("contest") ?? undefined,
    place: query.get("place") ?? undefined,
    at: isInstant(query.get("at")) ? query.get("at") : undefined,
    view: VIEWS.includes(view) ? view : "results",
    pace: PACES.includes(pace) ? pace : 0,
    lang: query.get("lang") ?? undefined,
    wall: query.get("wall") === "1",
    embedded: embedded !== undefined,
  };
}

/** The address that means this, from the root on. */
export function writeAddress({ election, contest, place, at, view, pace, lang, wall, embedded }) {
  const query = new URLSearchParams();
  const parts = {
    election: embedded ? undefined : election,
    contest,
    place,
    at,
    view: view === "results" ? undefined : view,
    pace: pace === 0 ? undefined : String(pace),
    lang,
    wall: wall ? "1" : undefined,
  };
  for (const [name, value] of Object.entries(parts)) if (value !== undefined) query.set(name, value);
  const path = embedded ? `/embed/${encodeURIComponent(election)}` : "/";
  return query.size === 0 ? path : `${path}?${query}`;
}

function decode(text) {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function isInstant(text) {
  return text !== null && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text) &&
    !Number.isNaN(Date.parse(text));
}
