/** Every text of the page in German. The keys are those of text_en.js: a test compares them. */
import { formatOf } from "./format.js";

const format = formatOf("de-DE");
const { day, decimal, dayAndTime, isolate, list, minuteOfDay, number, seconds, share, signed, timeOfDay } =
  format;

const whole = (votes) => `${votes < 0 ? "−" : "+"}${number(Math.abs(votes))}`;
const many = (count, one, more) => `${number(count)} ${count === 1 ? one : more}`;
const votes = (count) => many(count, "Stimme", "Stimmen");
/** Whoever withdrew is marked wherever the name stands. */
const named = ({ name, withdrawn }) => withdrawn ? `${isolate(name)} (zurückgezogen)` : isolate(name);
const names = (rows) => list(rows.map(named));
const points = (value) => `${decimal(value)} ${decimal(value) === "1,0" ? "Punkt" : "Punkte"}`;

/** @type {Record<string, string>} */
const outcomes = {
  counted: "Gezählt",
  "duplicate/retransmission": "Dieselbe Stimme noch einmal gesendet",
  "duplicate/double_vote": "Zweite Stimme einer Person",
  "rejected/unreadable": "Nicht lesbar",
  "rejected/wrong_election": "Von einer anderen Wahl",
  "rejected/unknown_gateway": "Von einem unbekannten Gateway",
  "rejected/bad_signature": "Signatur des Gateways falsch",
  "rejected/cannot_open": "Lässt sich nicht öffnen",
  "rejected/malformed": "Kein Datensatz",
  "rejected/bad_proof": "Von einem Gateway verändert oder erfunden",
  "rejected/invalid_vote": "Vom Gerät signiert und keine Stimme",
  "rejected/wrong_partition": "In der falschen Partition",
  "rejected/unknown_manifest": "Nennt ein unbekanntes Manifest",
  "rejected/not_open": "Außerhalb der Wahlzeit angenommen",
  "rejected/cast_out_of_hours": "Außerhalb der Wahlzeit abgegeben",
  "rejected/unknown_station": "Unbekanntes Wahllokal",
  "rejected/foreign_station": "Wahllokal eines anderen Gateways",
  "rejected/unknown_contest": "Unbekannter Wahlgang",
  "rejected/unknown_candidate": "Unbekannte Kandidatur",
  "rejected/repeated_candidate": "Kandidatur zweimal gewählt",
  "rejected/overvote": "Zu viele Kandidaturen gewählt",
  "rejected/unknown_voter": "Nicht im Wählerverzeichnis",
  "rejected/wrong_station": "Aus einem anderen Wahllokal",
  "rejected/wrong_region": "Aus einer anderen Region",
  "rejected/foreign_device": "Gerät eines anderen Wahllokals",
  "rejected/by_decision": "Vom Wahlamt abgelehnt",
  "rejected/after_certification": "Nach der Feststellung des Ergebnisses gekommen",
  "held/gateway_revoked": "Zurückgestellt: Schlüssel des Gateways widerrufen",
  "held/device_revoked": "Zurückgestellt: Schlüssel des Geräts widerrufen",
  "held/mode": "Zurückgestellt: über Stimmen dieser Art wird einzeln entschieden",
  "held/clock": "Zurückgestellt: Uhr des Gateways geht vor",
  "held/superseded": "Zurückgestellt: nur nach früherem Manifest erlaubt",
  statement: "Erklärungen der Gateways",
};

/** @type {Record<string, string>} */
const modes = {
  in_person: "An der Urne",
  early: "Vorab",
  absentee: "Briefwahl",
  provisional: "Vorbehaltlich",
};

/** @type {Record<string, string>} */
const hiddenProjections = {
  before_closing: "Keine Hochrechnung, bevor die Wahllokale schließen.",
  no_roll: "Keine Hochrechnung: Es gibt kein Wählerverzeichnis.",
  too_large: "Keine Hochrechnung: Die Wahl hat zu viele Wahllokale dafür.",
  order_roll: "Keine Hochrechnung: Die gemeldeten Wahllokale sind anders groß als die, die noch fehlen.",
  order_earlier: "Keine Hochrechnung: Die gemeldeten Wahllokale haben früher zu anders gewählt.",
};

/** @type {Record<string, string>} */
const groups = {
  female: "Frauen",
  male: "Männer",
  diverse: "Divers",
  other: "Andere",
  unknown: "Nicht bekannt",
};

/** @type {Record<string, string>} */
const notCompared = {
  together: "Die Stimmen werden nur mit anderen zusammen gezeigt",
  no_votes: "Damals oder jetzt keine Stimmen",
  not_linked: "Zu wenige frühere Stimmen gehören sicher hierher",
};

export const texts = {
  ...format,
  code: "de",
  language: "Deutsch",
  title: (name) => `${isolate(name)} – Pollwire`,
  electionOption: (name, phase) =>
    `${isolate(name)} (${
      { scheduled: "noch nicht geöffnet", open: "geöffnet", closed: "geschlossen" }[phase]
    })`,
  phases: {
    scheduled: () => "Noch nicht geöffnet",
    open: () => "Wahllokale geöffnet",
    late: ({ acceptsUntil }) => `Geschlossen · späte Stimmen bis ${minuteOfDay(acceptsUntil)}`,
    closed: () => "Geschlossen",
    final: () => "Geschlossen · letzte Veröffentlichung erfolgt",
  },
  hours: {
    scheduled: ({ opensAt }) => `Öffnet ${dayAndTime(opensAt)}`,
    open: ({ closesAt }) => `Schließt ${dayAndTime(closesAt)}`,
    late: ({ closesAt }) => `Geschlossen seit ${dayAndTime(closesAt)}`,
    closed: ({ closesAt }) => `Geschlossen seit ${dayAndTime(closesAt)}`,
    final: ({ closesAt }) => `Geschlossen seit ${dayAndTime(closesAt)}`,
  },
  size: ({ stations, regions, candidates }) =>
    `${many(stations, "Wahllokal", "Wahllokale")} in ${many(regions, "Region", "Regionen")} · ${
      many(candidates, "Kandidatur", "Kandidaturen")
    }`,

  election: "Wahl",
  contest: "Wahlgang",
  languageLabel: "Sprache",
  loading: "Wird geladen",
  noElections: "Es gibt noch keine Wahl. Diese Seite zeigt die erste, sobald sie angelegt ist.",
  unreachable: "Der Server antwortet nicht. Es wird weiter versucht.",
  noScript: "Diese Seite zeigt laufende Zahlen und braucht JavaScript.",

  live: "Live",
  late: "Verspätet",
  away: "Nicht verbunden",
  connecting: "Verbindet",
  paused: "Angehalten",
  asOf: (time) => `Stand ${timeOfDay(time)}`,
  age: (ms) => `${seconds(ms)} alt`,
  pace: "Neues zeigen",
  paces: (s) => s === 0 ? "sofort" : `alle ${number(s)} s`,
  pause: "Anhalten",
  resume: "Weiter",
  refresh: "Jetzt zeigen",
  waitingReleases: (count) => `${many(count, "Änderung wartet", "Änderungen warten")}`,

  named,
  story: {
    scheduled: () => "Die Wahllokale sind noch nicht geöffnet.",
    sealed: () => "Keine Ergebnisse vor dem Schließen der Wahllokale.",
    untilReleased: () => "Keine Ergebnisse, bis die Wahlleitung sie freigibt.",
    withheld: () => "Die Wahlleitung hat die Ergebnisse noch nicht freigegeben.",
    none: () => "Noch keine Ergebnisse.",
    tied: ({ leaders }) => `${names(leaders)} liegen mit je ${votes(leaders[0].votes)} gleichauf.`,
    alone: ({ leaders }) =>
      leaders.length === 1
        ? `${names(leaders)} tritt allein an und hat ${votes(leaders[0].votes)}.`
        : `${names(leaders)} treten für ebenso viele Sitze an.`,
    leads: ({ leaders, runnerUp, lead, points: by }) =>
      leaders.length === 1
        ? `${names(leaders)} führt vor ${named(runnerUp)} mit ${votes(lead)} (${points(by)}).`
        : `${names(leaders)} führen; ${named(leaders.at(-1))} liegt ${votes(lead)} (${points(by)}) vor ${
          named(runnerUp)
        }.`,
    close: ({ leaders, runnerUp, lead, points: by }) =>
      `Zu knapp: ${named(leaders.at(-1))} liegt ${votes(lead)} (${points(by)}) vor ${named(runnerUp)}.`,
    decided: ({ leaders, runnerUp, lead, points: by }) =>
      leaders.length === 1
        ? `${names(leaders)} ist nicht mehr einzuholen: ${votes(lead)} (${points(by)}) vor ${
          named(runnerUp)
        }.`
        : `${names(leaders)} sind nicht mehr einzuholen; ${named(runnerUp)} liegt ${votes(lead)} zurück.`,
  },
  because: {
    leads: ({ out }) => out === undefined ? "" : `Es können noch mehr Stimmen kommen: ${number(out)}.`,
    close: ({ out }) => out === undefined ? "" : `Stimmen, die noch kommen können: ${number(out)}.`,
    tied: ({ out }) => out === undefined ? "" : `Stimmen, die noch kommen können: ${number(out)}.`,
    decided: ({ out }) =>
      out === 0
        ? "Es kann keine Stimme mehr kommen."
        : `Der Vorsprung ist größer als die ${votes(out)}, die noch kommen können.`,
  },
  unofficial: "Vorläufig",
  rehearsal: "Probelauf: Teststimmen, keine Ergebnisse",
  rehearsalMark: "Probelauf",
  notices: {
    draft: "Entwurf: noch nicht angesetzt",
    cancelled: "Abgesagt: es gibt kein Ergebnis",
    reopened: "Wieder eröffnet: festgestellte Ergebnisse werden erneut gezählt",
  },
  certified: (version) =>
    version === undefined
      ? "Amtlich festgestellt"
      : version.version === 1
      ? `Amtlich festgestellt, ${dayAndTime(version.certifiedAt)}`
      : `Amtlich festgestellt, ${dayAndTime(version.certifiedAt)}, Fassung ${number(version.version)}`,
  corrected: "Berichtigt",
  correctedWhy: ({ releasedAt, voters }) =>
    `Schon gezeigte Stimmen von ${many(voters, "Person", "Personen")} wurden zurückgezogen, zuletzt am ${
      dayAndTime(releasedAt)
    }: Die erneute Zählung hat sie nicht bestätigt. In diesen Zahlen sind sie nicht enthalten.`,
  counted: "Gezählte Stimmzettel",
  notShown: (voters, threshold) =>
    voters === 0
      ? "alle im Ergebnis"
      : threshold === 1
      ? `${number(voters)} weitere noch nicht im Ergebnis`
      : `${number(voters)} weitere, sobald ${number(threshold)} zusammen gezeigt werden können`,
  stillOut: "Noch offen",
  stillOutSource: (registered) => `von ${number(registered)} im Wählerverzeichnis`,
  stillOutClosed: "gezählt, noch nicht gezeigt",
  rollUnknown: "noch kein Wählerverzeichnis",
  turnout: "Wahlbeteiligung",
  turnoutOf: (voters, registered) => `${number(voters)} von ${number(registered)}`,
  stationsIn: "Wahllokale im Ergebnis",
  stationsOf: (reporting, stations) => `${number(reporting)} von ${number(stations)}`,
  stationsHint: (reporting, stations) =>
    reporting === stations
      ? "aus allen liegen Stimmen vor"
      : `${number(stations - reporting)} noch ohne Stimmen`,
  stationsComplete: "Vollständige Wahllokale",
  stationsEmpty: (stations) => stations === 0 ? "alle mit Stimmen" : `${number(stations)} ohne Stimme`,
  shapes: { bars: "Balken", ring: "Ring" },
  seatsNow: (seats) => `${many(seats, "Sitz", "Sitze")} nach jetzigem Stand:`,
  seatsWon: (seats) => `${many(seats, "Sitz", "Sitze")}:`,
  seatsOpen: "offen",
  modes: "Nach Art der Stimmabgabe",
  mode: (mode) => modes[mode] ?? (mode === undefined ? "Zusammen gezeigt" : mode.replaceAll("_", " ")),

  projection: "Was zu erwarten ist",
  projectionTag: "Hochrechnung, kein Ergebnis",
  rangeOf: (low, high) => `${share(low)} bis ${share(high)}`,
  randomOrder: (low, high) => `Sicher, wenn die Reihenfolge zufällig ist: ${share(low)} bis ${share(high)}`,
  projectionFrom: ({ stations, ofStations, rollShare }, releasedAt) =>
    `Geschätzt aus ${number(stations)} von ${many(ofStations, "Wahllokal", "Wahllokalen")} mit ${
      share(rollShare)
    } der Wahlberechtigten${releasedAt === null ? "" : `, Stand ${timeOfDay(releasedAt)}`}.`,
  projectionMeaning: (confidence) =>
    `Der Endstand sollte in ${
      number(Math.round(10 * confidence))
    } von 10 Fällen in der Spanne liegen. Was noch fehlt, kann überraschen.`,
  projectionHidden: ({ hidden, reported, least }) =>
    hidden === "too_little" && reported !== null
      ? `Noch keine Hochrechnung: ${number(reported.stations)} Wahllokale in ${
        many(reported.regions, "Region", "Regionen")
      } haben gemeldet, mit ${share(reported.rollShare)} der Wahlberechtigten. Nötig sind ${
        number(least.stations)
      } Wahllokale, ${number(least.regions)} Regionen und ${share(least.rollShare)}.`
      : hiddenProjections[hidden] ?? "Keine Hochrechnung.",
  randomOrderHidden: {
    roll: "Die Reihenfolge ist nicht zufällig: Die gemeldeten Wahllokale sind anders groß als alle.",
    earlier:
      "Die Reihenfolge ist nicht zufällig: Die gemeldeten Wahllokale haben früher anders gewählt als alle.",
    regions:
      "Die Reihenfolge ist nicht zufällig: Manche Regionen sind voraus. Die Spannen berücksichtigen das.",
    rolls:
      "Keine Spanne für zufällige Reihenfolge: Die Zahl der Wahlberechtigten je Wahllokal ist nicht bekannt.",
  },

  results: "Ergebnisse",
  votes,
  ballots: ({ ballots, blanks, undervotes }, allowed) => {
    if (ballots === 0) return "";
    const unused = allowed === 1 ? "" : ` ${number(undervotes)} nicht genutzte Stimmen.`;
    return `${many(ballots, "Stimmzettel", "Stimmzettel")}, davon ${
      number(blanks)
    } in diesem Wahlgang leer.${unused}`;
  },
  withdrawn: "Zurückgezogen: Stimmen zählen weiter",
  uncontested: "Ohne Gegenkandidaten gewählt",
  adjustments: "Neben der Zählung hinzugefügt",
  adjustmentsWhy:
    "Diese Stimmen haben Zuständige hinzugefügt oder abgezogen: Sie sind in keiner elektronischen Urne, etwa Stimmzettel aus Papier. Keine andere Zahl dieser Seite enthält sie.",
  adjustmentTotals: (rows) =>
    rows.length === 0
      ? "Insgesamt hat dadurch niemand mehr oder weniger Stimmen."
      : `Insgesamt: ${list(rows.map(({ name, votes }) => `${isolate(name)} ${whole(votes)}`))}.`,
  adjustmentVotes: (votes) => whole(votes),
  adjustmentsMore: (count) =>
    `${many(count, "weitere Zeile", "weitere Zeilen")}: /adjustments der API hat alle.`,
  adjusted: { candidate: "Name", station: "Wahllokal", votes: "Stimmen", reason: "Grund" },
  choice: (allowed, candidates) =>
    allowed > candidates
      ? `Bis zu ${number(allowed)} können gewählt werden; ${
        many(candidates, "Kandidatur steht", "Kandidaturen stehen")
      } zur Wahl.`
      : `${allowed === 1 ? "Eine" : `Bis zu ${number(allowed)}`} von ${
        number(candidates)
      } können gewählt werden.`,
  moreCandidates: (count) =>
    `${many(count, "weitere Kandidatur ist", "weitere Kandidaturen sind")} hier nicht aufgeführt.`,
  half: "50 %",
  about: (name) => `Über ${isolate(name)}`,
  showAll: (count) => `Alle ${number(count)} zeigen`,
  showFewer: "Weniger zeigen",
  parties: "Parteien, alle Wahlgänge zusammen",
  withoutParty: "Ohne Partei",

  places: "Orte",
  place: "Region",
  find: "Region suchen",
  leader: "Führt",
  margin: "Vorsprung",
  tie: "Gleichstand",
  noVotes: "Noch keine Stimmen",
  pointsOf: (value) => `${decimal(value)} P.`,
  noSuchPlace: "Keine Region hat das im Namen.",
  pages: (page, pages) => `Seite ${number(page)} von ${number(pages)}`,
  previous: "Zurück",
  next: "Weiter",
  openPlace: (name) => `Wahllokale in ${isolate(name)}`,
  station: "Wahllokal",
  together: (count) => `${many(count, "Wahllokal", "Wahllokale")} zusammen gezeigt`,
  ballotsColumn: "Stimmzettel",
  inResults: (voters) => `${many(voters, "Stimmzettel", "Stimmzettel")} im Ergebnis`,
  map:
    "Karte: ein Punkt ist eine Region, so groß wie ihr Wählerverzeichnis. Blass: führt. Schraffiert: Wahllokale fehlen. Die Tabelle zeigt dasselbe.",

  time: "Im Lauf des Abends",
  timeShares: "Anteile",
  timeVotes: "Stimmen",
  timeTurnout: "Stimmzettel je Minute",
  timeTable: "Dasselbe als Tabelle",
  minute: "Minute",
  moment: "Zeitpunkt",
  now: "Jetzt",
  showNow: "Zurück zu jetzt",
  past: (time) => `Die Seite zeigt ${dayAndTime(time)}.`,
  tooFewMinutes: "Der Verlauf wird ab der zweiten Minute gezeichnet.",
  noVotersYet: "Noch hat niemand gewählt.",

  analytics: "Wer wählt",
  byAge: "Wahlbeteiligung nach Alter",
  byGender: "Wahlbeteiligung nach Geschlecht",
  group: (id) => groups[id] ?? id,
  voters: "Gewählt",
  onRoll: "Im Verzeichnis",
  analyticsNow: "Diese Tabellen sind von jetzt.",

  comparedWith: "Verglichen mit",
  comparedLater:
    "Der Vergleich kommt mit der letzten Veröffentlichung: Er nimmt nur Orte, deren Stimmen vollständig sind.",
  comparedNone: "Kein Ort lässt sich vergleichen: Von keiner Region sind die früheren Stimmen bekannt.",
  comparedShares: "Anteile damals und jetzt",
  comparedBase: (regions, of) =>
    `Gleiches mit Gleichem: ${number(regions)} von ${
      many(of, "Region", "Regionen")
    }, jede mit ihren eigenen früheren Stimmen.`,
  comparedTurnout: (before, now) => `Wahlbeteiligung damals ${share(before)}, jetzt ${share(now)}.`,
  comparedSource: ({ kind, heldOn, source }) =>
    kind === "imported"
      ? `Vom ${day(heldOn)}. Übernommene Ergebnisse (${
        isolate(source)
      }): Diese Stimmen wurden nicht hier gezählt.`
      : `Vom ${day(heldOn)}, hier gezählt (${isolate(source)}).`,
  swingSentence: (from, to, by) => `Umschwung (Swing) von ${isolate(from)} zu ${isolate(to)}: ${points(by)}.`,
  then: "Damals",
  nowShare: "Jetzt",
  changeColumn: "Änderung",
  changeOf: (value) => `${signed(value)} P.`,
  othersRow: "Alle anderen",
  swing: "Umschwung zu",
  byRegion: "siehe Region",
  notCompared: (why) => notCompared[why] ?? "Nicht verglichen",

  accounted: "Jeder Datensatz ist belegt",
  notAccounted: "Die Zählung geht nicht auf",
  unbalanced: (difference) =>
    difference === 0
      ? "Die Zählung geht nicht in jeder Partition auf. Diesen Zahlen ist nicht zu trauen, bis das erklärt ist."
      : `Die Zählung geht nicht auf: ${number(Math.abs(difference))} ${
        difference > 0 ? "gelesene Datensätze ohne Ausgang" : "Ausgänge mehr als gelesene Datensätze"
      }. Diesen Zahlen ist nicht zu trauen, bis das erklärt ist.`,
  balanced: "Geht auf",
  notBalanced: "GEHT NICHT AUF",
  fates: {
    read: "gelesen",
    counted: "gezählt",
    duplicate: "wiederholt",
    rejected: "abgelehnt",
    held: "zurückgestellt",
    statements: "Erklärungen",
  },
  outcome: "Ausgang",
  records: "Datensätze",
  outcomeOf: ({ fate, reason }) => {
    const name = reason === "" ? fate : `${fate}/${reason}`;
    return outcomes[name] ?? (reason || fate).replaceAll("_", " ");
  },

  officials: "Ansicht des Wahlamts",
  resultsView: "Ergebnisse",
  rate: "Stimmen je Sekunde",
  rateHint: (spanS) => `in den letzten ${spanS} Sekunden`,
  waiting: "Warten auf die Zählung",
  waitingHint: (records) => records === null ? "das Log antwortet nicht" : "Datensätze im Log",
  notCounted: "Nicht gezählt",
  notCountedHint: (duplicate, rejected) => `${number(duplicate)} wiederholt, ${number(rejected)} abgelehnt`,
  heldLabel: "Zurückgestellt",
  heldHint: "warten auf Entscheidung",
  doubleVotes: (count) => `Abgelehnte zweite Stimmen: ${number(count)}. Das Wahlamt sollte sie ansehen.`,
  gaps: (count) => `Lücken in den Offsets des Logs, vor der Feststellung zu erklären: ${number(count)}.`,
  partitions: "Partitionen des Logs",
  partition: "Partition",
  balance: "Bilanz",
  lag: "Wartend",
  unknown: "?",
  gateways: "Gateways",
  gateway: "Gateway",
  openKeys: "Offene Absenderschlüssel",
  stated: "Erklärt",
  read: "Gelesen",
  missing: "Fehlend",
  rejections: "Neueste nicht gezählte Datensätze",
  noRejections: "Keine.",
  noGateways: "Noch hat kein Gateway etwas gesendet.",
  when: "Wann",
  why: "Warum",
  logPlace: "Ort im Log",

  alerts: "Meldungen",
  noAlerts: "Nach den Regeln ist alles in Ordnung.",
  alertsSignIn:
    "Meldungen sind für Wahlbeamte. Wählen Sie Ihre Schlüsseldatei: Sie bleibt in diesem Browser.",
  alertsKeyFile: "Schlüsseldatei",
  alertsAs: (account) => `Angemeldet als ${isolate(account)}.`,
  alertsSignOut: "Abmelden",
  alertsNoKey: "Diese Datei ist keine Schlüsseldatei, oder dieser Browser kann mit ihr nicht unterschreiben.",
  alertsNotSecure: "Browser unterschreiben nur auf Seiten, die über HTTPS oder von diesem Gerät kommen.",
  alertsAway: "Der Server antwortet nicht.",
  alertsNotYours: "Sie haben bei dieser Wahl keine Rolle.",
  alertsNoOffice: "Dieser Server antwortet Wahlbeamten nicht.",
  gatewaysNow: "Gateways nach ihrer letzten Meldung",
  gatewaySeen: "Zuletzt gefragt",
  gatewaySpool: "Im Zwischenspeicher",
  gatewayClock: "Uhr",
  clockAhead: (ms) =>
    Math.abs(ms) < 1_000 ? "richtig" : `${decimal(Math.abs(ms) / 1_000)} s ${ms > 0 ? "vor" : "nach"}`,
  never: "noch nicht",
  heldNow: (count) => `Warten auf eine Entscheidung: ${number(count)}`,
  unreleased: "Gezählt und noch nicht gezeigt",
  nothingUnreleased: "Alles Gezählte ist in den Ergebnissen.",
  released: "In den Ergebnissen",
  waitingVoters: "Noch nicht gezeigt",
  alertsResolved: (count) => `In den letzten 7 Tagen erledigt: ${number(count)}`,
  alertSeverity: "Schwere",
  severities: { info: "Hinweis", warning: "Warnung", critical: "Kritisch" },
  alertSummary: "Was nicht stimmt",
  alertSince: "Seit",
  alertUntil: "Bis",
  alertSeen: "Gesehen von",
  alertReason: "Was getan wird",
  alertAcknowledge: "Bestätigen",

  data: "Dieselben Zahlen als Daten:",
  feed: "Änderungen (Atom)",
  api: "Beschreibung der API",
  embed: "Einbetten",
  wall: "Wand",
  moreAt: (name) => `Alle Ergebnisse von ${isolate(name)}`,
};
