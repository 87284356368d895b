/** Puts state on the page. Elements are made once and changed when their value has; text goes in as text only. */
import { candidateRows, freshness, minutesOf, partyRows, phaseOf, RATE_SPAN_MS, rateOf } from "./state.js";
import { dayAndTime, minuteOfDay, number, share, texts } from "./texts.js";

/** Rows that are shown before somebody asks for all. */
const CANDIDATES_AT_FIRST = 12;
/** From so many regions on, a field to find one. */
const REGIONS_TO_SEARCH = 12;
/** Minutes that the chart goes back. */
const CHART_MINUTES = 180;
/** What the contest chooser is set to for all parties; no contest's id has a space. */
export const ALL_PARTIES = "all parties";

const at = (id) => document.getElementById(id);

/** Sets a text, when it is another. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Sets a custom property, when it is another; the style sheet does the rest. */
function set(element, name, value) {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
}

/** Keeps a list's rows by key: makes those that are new, drops those that are gone, puts them in order. */
function keep(list, rows, create, update) {
  list.rows ??= new Map();
  const keys = new Set(rows.map(({ id }) => id));
  for (const [key, element] of list.rows) {
    if (keys.has(key)) continue;
    element.remove();
    list.rows.delete(key);
  }
  rows.forEach((row, index) => {
    let element = list.rows.get(row.id);
    if (element === undefined) list.rows.set(row.id, element = create(row));
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
    update(element, row);
  });
}

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
    ...elections.map(({ id, name }) => new Option(name, id, id === chosen, id === chosen)),
  );
  show(at("chooser"), elections.length > 1);
}

/** What does not change while an election is shown: its name, its contests, the headings. */
export function showElection(state) {
  const { details } = state;
  document.title = texts.title(details.name);
  say(at("name"), details.name);
  at("figures").ariaLabel = texts.totals;
  for (const [id, text] of [["results-title", texts.results], ["regions-title", texts.regions]]) {
    say(at(id), text);
  }
  for (const [id, text] of [["time-title", texts.overTime], ["books-title", texts.books]]) say(at(id), text);
  say(at("contest-word"), texts.contest);
  say(at("find-word"), texts.findRegion);
  at("find").placeholder = texts.findRegion;
  at("find").value = "";
  const contests = details.ballot.map(({ id, name }) => new Option(name, id));
  if (details.parties.length > 0) contests.push(new Option(texts.allParties, ALL_PARTIES));
  at("contests").replaceChildren(...contests);
  show(at("contest-label"), details.ballot.length > 1);
  show(at("find-label"), details.regions.length >= REGIONS_TO_SEARCH);
  if (details.ballot.length === 1) say(at("results-title"), details.ballot[0].name);
  show(at("election"), true);
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

function showCandidates(state, { contest, all }) {
  const rows = contest === ALL_PARTIES ? partyRows(state) : candidateRows(state, contest);
  const some = all ? rows : rows.slice(0, CANDIDATES_AT_FIRST);
  const list = at("candidates");
  if (list.dataset.contest !== contest) {
    list.dataset.contest = contest;
    list.replaceChildren();
    list.rows = undefined;
  }
  keep(list, some, createCandidate, (element, row) => {
    const [head, bar] = element.children;
    const [, votes, percent] = head.children;
    const known = state.releasedVoters > 0;
    say(votes, known ? `${number(row.votes)} ${texts.votes(row.votes)}` : "");
    say(percent, known ? share(row.share) : texts.none);
    set(bar, "--length", String(row.share));
  });
  const more = at("more-candidates");
  show(more, rows.length > CANDIDATES_AT_FIRST);
  say(more, all ? texts.showFewer : texts.showAll(rows.length));
}

function createCandidate({ name, party, colour }) {
  const who = make("span", "who", name ?? texts.withoutParty);
  if (party !== undefined) who.append(make("span", "party", party));
  const bar = make("span", "bar-line");
  bar.ariaHidden = "true";
  if (colour !== undefined) bar.style.setProperty("--colour", colour);
  return make(
    "li",
    "",
    make("div", "row", who, make("span", "votes num"), make("strong", "percent num")),
    bar,
  );
}

function showReleased(state, phase) {
  const { releasedVoters, voters, details } = state;
  const held = !details.resultsBeforeClosing && phase !== "closed";
  say(
    at("released"),
    held
      ? texts.afterClosing
      : releasedVoters === 0
      ? texts.nothingReleased
      : texts.released(releasedVoters, voters, details.releaseThreshold),
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
          make("span", "who", name),
          make("span", "votes num"),
          make("strong", "percent num"),
        ),
        bar,
      );
    },
    (element, { voters, registered }) => {
      const [head, bar] = element.children;
      say(head.children[1], number(voters));
      say(head.children[2], registered === 0 ? texts.none : share(voters / registered));
      set(bar, "--length", String(registered === 0 ? 0 : Math.min(1, voters / registered)));
    },
  );
  say(at("regions-age"), state.regionsAtMs === undefined ? "" : texts.asOf(state.regionsAtMs));
  at("regions").dataset.empty = rows.length === 0 ? texts.noSuchRegion : "";
}

function showBalance(state) {
  const { read, counted, duplicate, rejected, balanced, outcomes } = state.progress;
  const verdict = at("verdict");
  verdict.dataset.balanced = String(balanced);
  say(verdict, balanced ? texts.balanced : texts.unbalanced);
  const sum = counted + duplicate + rejected;
  say(
    at("equation"),
    `${number(read)} ${texts.read} ${read === sum ? "=" : "≠"} ${number(counted)} ${texts.counted} + ${
      number(duplicate)
    } ${texts.duplicate} + ${number(rejected)} ${texts.rejected}`,
  );
  const alarm = at("alarm");
  say(alarm, balanced ? "" : read === sum ? texts.unbalancedPartitions : texts.unbalancedAlert(read - sum));
  show(alarm, !balanced);
  const doubles = outcomes.find(({ cause }) => cause === "double_vote")?.records ?? 0;
  say(at("doubles"), doubles === 0 ? "" : texts.doubleVotes(doubles));
  show(at("doubles"), doubles > 0);
  fill(
    at("outcomes"),
    [texts.outcome, texts.records],
    outcomes.map((row) => [texts.outcomeOf(row), number(row.records)]),
  );
}

/** The books of each partition. `atMs`: when they were read. */
export function showBooks(books, atMs) {
  say(at("gaps"), books.gaps.length === 0 ? "" : texts.gaps(books.gaps.length));
  show(at("gaps"), books.gaps.length > 0);
  const [summary, scroll] = at("partitions").children;
  say(summary, texts.partitions(books.partitions.length, atMs));
  if (!at("partitions").open) return;
  fill(
    scroll.firstElementChild,
    [texts.partition, texts.read, texts.counted, texts.duplicate, texts.rejected, texts.lag, ""],
    books.partitions.map((row) => [
      String(row.partition),
      ...[row.read, row.counted, row.duplicate, row.rejected].map(number),
      row.lag === null ? texts.unknown : number(row.lag),
      row.balanced ? "✓" : texts.unbalanced,
    ]),
  );
}

/** The newest records that were not counted. */
export function showRejections(rejections) {
  const [summary, scroll] = at("rejections").children;
  say(summary, texts.rejections);
  if (rejections === undefined) return;
  fill(
    scroll.firstElementChild,
    [texts.when, texts.why, texts.station, texts.gateway, texts.place],
    rejections.rows.map((row) => [
      dayAndTime(row.minute),
      texts.outcomeOf(row),
      row.station ?? texts.unknown,
      row.gateway ?? texts.unknown,
      `${row.partition}/${row.offset}`,
    ]),
    texts.noRejections,
  );
}

/** Fills a table anew, when it would be another; `empty` stands in it when there are no rows. */
function fill(table, head, rows, empty = "") {
  const text = JSON.stringify([head, rows]);
  if (table.text === text) return;
  table.text = text;
  const header = make(
    "tr",
    "",
    ...head.map((title) => Object.assign(make("th", "", title), { scope: "col" })),
  );
  const none = rows.length === 0 && empty !== "" ? [make("tr", "", make("td", "", empty))] : [];
  const body = rows.map((cells) => make("tr", "", ...cells.map((cell) => make("td", "num", cell))));
  table.replaceChildren(make("thead", "", header), make("tbody", "", ...body, ...none));
}

const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** Voters per minute as an area. `rows`: GET …/turnout?by=minute */
export function showChart(rows) {
  const chart = at("chart");
  const minutes = minutesOf(rows, CHART_MINUTES);
  const text = JSON.stringify(minutes);
  if (chart.text === text) return;
  chart.text = text;
  if (minutes.length === 0) return chart.replaceChildren(make("p", "quiet", texts.noVotersYet));
  const most = Math.max(1, ...minutes.map(({ voters }) => voters));
  const width = 320;
  const height = 96;
  const step = width / Math.max(1, minutes.length - 1);
  const points = (minutes.length === 1 ? [minutes[0], minutes[0]] : minutes).map(({ voters }, index) =>
    `${(index * (minutes.length === 1 ? width : step)).toFixed(1)},${
      (height - 4 - voters / most * (height - 8)).toFixed(1)
    }`
  );
  const label = texts.overTimeLabel(minutes[0].atMs, minutes.at(-1).atMs, most);
  const svg = draw("svg", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    preserveAspectRatio: "none",
    "aria-label": label,
  });
  svg.append(
    draw("path", { class: "area", d: `M0,${height} L${points.join(" L")} L${width},${height} Z` }),
    draw("polyline", { class: "line", points: points.join(" "), "vector-effect": "non-scaling-stroke" }),
  );
  const scale = make(
    "p",
    "scale quiet num",
    make("span", "", minuteOfDay(minutes[0].atMs)),
    make("span", "", `≤ ${number(most)}`),
    make("span", "", minuteOfDay(minutes.at(-1).atMs)),
  );
  scale.ariaHidden = "true";
  chart.replaceChildren(svg, scale);
}
