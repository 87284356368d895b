/** Puts state on the page: elements are made once, and changed when their value has. */
import { showBalance } from "./reconciliation.js";
import { pathOf } from "./feed.js";
import { at, clear, isolated, keep, make, say, sayName, set, show } from "./elements.js";
import {
  candidateRows,
  freshness,
  notShown,
  partyRows,
  phaseOf,
  RATE_SPAN_MS,
  rateOf,
  tiedRows,
  totalsOf,
} from "./state.js";
import { number, share, texts } from "./texts.js";

/** Rows that are shown before somebody asks for all. */
const CANDIDATES_AT_FIRST = 12;
/** Width and height of a candidate's picture, in pixels. */
const PORTRAIT_PX = 44;
/** From so many regions on, a field to find one. */
const REGIONS_TO_SEARCH = 12;

/** A message in place of an election; empty to take it away. */
export function showNotice(text) {
  say(at("notice"), text);
  show(at("notice"), text !== "");
}

/** How the connection stands and how old the figures are. */
export function showPulse(state, nowMs) {
  const { status, ageMs, ofMs } = state === undefined
    ? { status: "connecting", ageMs: 0, ofMs: nowMs }
    : freshness(state, nowMs);
  const pulse = at("pulse");
  if (pulse.dataset.status !== status) pulse.dataset.status = status;
  say(at("pulse-state"), texts[status]);
  const age = status === "connecting" ? "" : status === "live" ? texts.age(ageMs) : texts.asOf(ofMs);
  say(at("pulse-age"), age);
  document.body.classList.toggle("stale", status === "away" || status === "late");
}

/** The list of elections to choose from; hidden while there is but one. */
export function showElections(elections, chosen) {
  const select = at("elections");
  say(at("chooser-word"), texts.election);
  select.replaceChildren(
    ...elections.map(({ id, name, phase }) =>
      new Option(texts.electionOption(name, phase), id, id === chosen, id === chosen)
    ),
  );
  show(at("chooser"), elections.length > 1);
}

/** What does not change while an election is shown: its name, its contests, the headings. */
export function showElection(state) {
  const { details } = state;
  document.title = texts.title(details.name);
  sayName(at("name"), details.name);
  at("figures").ariaLabel = texts.totals;
  const titles = {
    "results-title": details.ballot.length === 1 ? details.ballot[0].name : texts.results,
    "parties-title": details.ballot.length === 1 ? texts.parties : texts.partiesOfAll,
    "regions-title": texts.regions,
    "time-title": texts.overTime,
    "reconciliation-title": texts.reconciliation,
    "status": texts.unofficial,
  };
  for (const [id, text] of Object.entries(titles)) sayName(at(id), text);
  say(at("contest-word"), texts.contest);
  say(at("find-word"), texts.findRegion);
  at("find").placeholder = texts.findRegion;
  at("find").value = "";
  at("contests").replaceChildren(
    ...details.ballot.map(({ id, name }) => new Option(texts.isolate(name), id)),
  );
  show(at("contest-label"), details.ballot.length > 1);
  show(at("find-label"), details.regions.length >= REGIONS_TO_SEARCH);
  // Another election, or another version of it, may have other names under the same ids.
  for (const id of ["candidates", "parties", "regions"]) clear(at(id));
  show(at("parties-card"), details.parties.length > 0);
  showSources(details.id);
  show(at("election"), true);
}

/** Where the same figures are as data. */
function showSources(election) {
  say(at("sources-word"), texts.sources);
  for (const [resource, text] of Object.entries(texts.resources)) {
    const link = at(`source-${resource}`);
    say(link, text);
    link.href = pathOf(election, `/${resource}`);
  }
  say(at("source-api"), texts.api);
}

/** Everything that moves. `shown`: `contest`, `all` candidates or some, `find` in the regions' names. */
export function showFigures(state, shown, nowMs) {
  const phase = phaseOf(state, nowMs);
  at("phase").dataset.phase = phase;
  say(at("phase"), texts.phases[phase]);
  const { stations, regions } = state.details;
  say(
    at("hours"),
    `${texts.hours[phase](state.details)} · ${texts.size({ stations, regions: regions.length })}`,
  );
  showTotals(state);
  showCandidates(state, shown);
  showParties(state);
  showReleased(state, phase);
  showRegions(state, shown.find);
  showBalance(state);
}

function showTotals(state) {
  const { voters, registered, releasedVoters, lag, progress: { duplicate, rejected } } = state;
  const rate = rateOf(state);
  const figures = [
    { id: "voters", label: texts.voters, value: number(voters), hint: texts.inResults(releasedVoters) },
    {
      id: "turnout",
      label: texts.turnout,
      value: registered === 0 ? texts.none : share(voters / registered),
      hint: registered === 0 ? texts.rollUnknown : texts.turnoutOf(voters, registered),
      share: registered === 0 ? undefined : Math.min(1, voters / registered),
    },
    {
      id: "rate",
      label: texts.rate,
      value: rate === undefined
        ? texts.none
        : rate > 0 && rate < 10
        ? rate.toFixed(1)
        : number(Math.round(rate)),
      hint: texts.rateHint(RATE_SPAN_MS / 1_000),
    },
    {
      id: "waiting",
      label: texts.waiting,
      value: lag === null ? texts.unknown : number(lag),
      hint: texts.waitingHint(lag),
    },
    {
      id: "not-counted",
      label: texts.notCounted,
      value: number(duplicate + rejected),
      hint: texts.notCountedHint(duplicate, rejected),
    },
  ];
  keep(at("figures"), figures, ({ label }) => {
    const meter = make("span", "meter");
    meter.ariaHidden = "true";
    return make(
      "div",
      "figure",
      make("span", "label", label),
      make("strong", "value num"),
      meter,
      make("span", "hint num"),
    );
  }, (element, { value, hint, share }) => {
    const [, valueElement, meter, hintElement] = element.children;
    say(valueElement, value);
    say(hintElement, hint);
    show(meter, share !== undefined);
    if (share !== undefined) set(meter, "--length", String(share));
  });
}

function showCandidates(state, { contest: id, all }) {
  const contest = state.details.ballot.find((each) => each.id === id);
  const rows = candidateRows(state, id);
  const list = at("candidates");
  if (list.dataset.contest !== id) {
    list.dataset.contest = id;
    clear(list);
  }
  list.classList.toggle("with-portraits", rows.some(({ photo }) => photo !== undefined));
  showBars(list, all ? rows : rows.slice(0, CANDIDATES_AT_FIRST), state);
  const votes = rows.reduce((sum, row) => sum + row.votes, 0);
  const tied = tiedRows(rows, contest.votesAllowed);
  const note = texts.contestNote(votes, contest.votesAllowed, rows.length, tied);
  say(at("contest-note"), `${note} ${texts.contestTotals(totalsOf(state, id), contest.votesAllowed)}`.trim());
  show(at("status"), state.releasedVoters > 0);
  const more = at("more-candidates");
  show(more, rows.length > CANDIDATES_AT_FIRST);
  say(more, all ? texts.showFewer : texts.showAll(rows.length));
}

function showParties(state) {
  if (state.details.parties.length > 0) showBars(at("parties"), partyRows(state), state);
}

/** Votes and shares, a bar each. Nothing is said of them while nothing is released: a zero would be a result. */
function showBars(list, rows, state) {
  const known = state.releasedVoters > 0;
  keep(list, rows, createCandidate, (element, row) => {
    const [head, bar] = element.querySelector(".tally").children;
    const [, votes, percent] = head.children;
    say(votes, known ? texts.votes(row.votes) : "");
    say(percent, known ? share(row.share) : texts.none);
    set(bar, "--length", String(row.share));
  });
}

function createCandidate(row) {
  const { name, party, colour } = row;
  const who = make("span", "who", isolated(name ?? texts.withoutParty));
  if (party !== undefined) who.append(make("span", "party", isolated(party)));
  const line = make("span", "bar-line");
  line.ariaHidden = "true";
  if (colour !== undefined) line.style.setProperty("--colour", colour);
  const head = make("div", "row", who, make("span", "votes num"), make("strong", "percent num"));
  const item = make("li", "", make("div", "tally", head, line));
  if (row.photo !== undefined) item.prepend(portrait(row.photo));
  if (row.biography !== undefined || row.platform !== undefined) item.append(about(row));
  return item;
}

/** The name stands beside it: the picture says nothing more to those who cannot see it. */
function portrait(photo) {
  return Object.assign(new Image(PORTRAIT_PX, PORTRAIT_PX), { className: "portrait", alt: "", src: photo });
}

/** What is known of a candidate besides the votes, to be opened. */
function about({ name, biography, platform }) {
  const details = make("details", "about", make("summary", "", texts.about(texts.isolate(name))));
  for (const text of [biography, platform]) {
    if (text !== undefined) details.append(make("p", "", isolated(text)));
  }
  return details;
}

function showReleased(state, phase) {
  const { releasedVoters, voters, details, final } = state;
  const held = !details.resultsBeforeClosing && phase !== "closed";
  say(
    at("released"),
    held
      ? texts.afterClosing
      : releasedVoters === 0
      ? texts.nothingReleased
      : texts.released(releasedVoters, voters, notShown(state), details.releaseThreshold, final),
  );
}

function showRegions(state, find) {
  const wanted = find.trim().toLowerCase();
  const rows = state.regions.filter(({ name }) => name.toLowerCase().includes(wanted));
  keep(
    at("regions"),
    rows.map((row) => ({ ...row, id: row.region })),
    ({ name }) => {
      const bar = make("span", "bar-line");
      bar.ariaHidden = "true";
      return make(
        "li",
        "",
        make(
          "div",
          "row",
          make("span", "who", isolated(name)),
          make("span", "votes num"),
          make("strong", "percent num"),
        ),
        bar,
      );
    },
    (element, { voters, registered }) => {
      const [head, bar] = element.children;
      say(head.children[1], registered === 0 ? number(voters) : texts.ofRegistered(voters, registered));
      say(head.children[2], registered === 0 ? texts.none : share(voters / registered));
      set(bar, "--length", String(registered === 0 ? 0 : Math.min(1, voters / registered)));
    },
  );
  const { regions, regionsAtMs } = state;
  say(at("regions-age"), regionsAtMs === undefined ? "" : texts.regionsAge(regions.length, regionsAtMs));
  at("regions").dataset.empty = rows.length === 0 ? texts.noSuchRegion : "";
}
