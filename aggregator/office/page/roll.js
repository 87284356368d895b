/** Imports of roll files: sends a file in parts, has it checked, put on the roll, or taken back. */
import { electionPath } from "./reading.js";
import { ask, Known } from "./session.js";
import { changed, state } from "./state.js";

/** Bytes of a part; the server takes no larger one. */
const PART_BYTES = 1_048_576;
/** Largest file that is sent from here, in bytes: a browser hashes it in one piece. The command takes larger ones. */
const MAX_FILE_BYTES = 500_000_000;

const path = (number) => `${electionPath()}/roll-imports/${number}`;

function progress(name, stage, done = 0, total = 0) {
  state.sending = { name, stage, done, total };
  changed();
}

/** Puts an import into the list, or in its place there. */
function keep(found) {
  const others = (state.imports ?? []).filter((each) => each.import !== found.import);
  state.imports = [found, ...others].sort((a, b) => b.import - a.import);
  changed();
}

/** Sends a file, from where its import stands, and has it checked. Nothing is put on the roll. */
export async function sendFile(file) {
  try {
    if (file.size === 0) throw new Known("emptyFile");
    if (file.size > MAX_FILE_BYTES) throw new Known("largeFile");
    progress(file.name, "hashing");
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const body = { name: file.name, bytes: file.size, sha256 };
    let found = await ask("POST", `${electionPath()}/roll-imports`, { body });
    keep(found);
    let at = found.uploaded;
    while (found.status === "uploading" && at < file.size) {
      progress(file.name, "sending", at, file.size);
      const bytes = await file.slice(at, at + PART_BYTES).arrayBuffer();
      at = (await ask("POST", `${path(found.import)}/parts?from=${at}`, { bytes })).uploaded;
    }
    if (["uploading", "checking"].includes(found.status)) {
      found = await ask("POST", `${path(found.import)}/check`);
    }
    keep(found);
  } finally {
    state.sending = undefined;
    changed();
  }
}

/** Begins a piece of work on an import: check, commit, revert. It goes on behind the answer. */
export async function work(number, what) {
  keep(await ask("POST", `${path(number)}/${what}`));
}

/** Ends an import that has put nobody on the roll. */
export async function discard(number) {
  keep(await ask("DELETE", path(number)));
}

/** Reads what the check of an import found, once. */
export async function readReport(number) {
  state.reports.set(number, await ask("GET", `${path(number)}/report`));
  changed();
}

/** Gives the report to the official as a file. */
export async function saveReport(number) {
  save(`import-${number}.csv`, "text/csv", await ask("GET", `${path(number)}/report.csv`));
}

/** Gives a text to the official as a file. */
export function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  URL.revokeObjectURL(address);
}
