/**
 * What anybody may read of an election, and the figures of votes in it: for tests of results that are withheld.
 *
 * @module
 */
import { eventually } from "./eventually.ts";

/** For what a loaded machine does in a while, in milliseconds. */
const DEADLINE_MS = 120_000;
/** What lists contests and candidates as they stand, and no votes. */
const NAMES = ["", "/manifest", "/stations"].map((end) => `/v1/elections/{election}${end}`);

/** Numbers above 0 beside the name of a contest or candidate, anywhere in an answer. */
export function figuresIn(value: unknown, found: string[] = []): string[] {
  if (typeof value !== "object" || value === null) return found;
  const members = Object.entries(value);
  const isNamed = "candidate" in value || "contest" in value || "CandidateId" in value;
  for (const [name, each] of members) {
    const isFigure = typeof each === "number" && each !== 0;
    if (isFigure && (isNamed || name === "Count" || name === "votes")) found.push(JSON.stringify(value));
    figuresIn(each, found);
  }
  return found;
}

type OpenApi = Readonly<{
  paths: Record<string, {
    get?: Readonly<{
      security?: readonly object[];
      parameters?: readonly Readonly<{ name: string; in: string; schema?: { enum?: string[] } }>[];
    }>;
  }>;
}>;

/** What anybody may read of the election, with each value of what an address may choose from. */
async function publicAddresses(origin: string, election: string): Promise<string[]> {
  const { paths }: OpenApi = await (await fetch(`${origin}/openapi.json`)).json();
  const parts: Record<string, string> = { election, contest: "mayor", candidate: "ann" };
  return Object.entries(paths).flatMap(([path, { get }]) => {
    const isRead = get !== undefined && (get.security ?? []).length === 0;
    if (!isRead || NAMES.includes(path) || /stream$|photo$|oembed|^\/docs/.test(path)) return [];
    const address = path.replaceAll(/\{(\w+)\}/g, (_, name) => parts[name] ?? "1");
    const choices = get.parameters?.filter(({ in: where, schema }) => where === "query" && schema?.enum) ??
      [];
    const asked = choices.flatMap(({ name, schema }) => schema!.enum!.map((value) => `${name}=${value}`));
    return [address, ...asked.map((query) => `${address}?${query}`)];
  });
}

/** An answer; waits while the server takes no more requests of this address. */
export async function read(url: string): Promise<Response> {
  let answer!: Response;
  await eventually(`${url} is answered`, async () => {
    answer = await fetch(url);
    if (answer.status !== 429) return true;
    await answer.body?.cancel();
    return false;
  }, DEADLINE_MS);
  return answer;
}

/** Figures that tell of votes at an address; `undefined` when it has no answer. */
export async function figuresAt(origin: string, address: string): Promise<string[] | undefined> {
  const answer = await read(`${origin}${address}`);
  const text = await answer.text();
  if (answer.status !== 200) return undefined;
  const type = answer.headers.get("content-type") ?? "";
  if (type.startsWith("application/json")) return figuresIn(JSON.parse(text));
  if (type.startsWith("text/csv")) {
    const [head, ...rows] = text.trim().split(/\r?\n/);
    return /candidate|votes/.test(head!) ? rows.filter((row) => /(^|,)[1-9]\d*(,|$)/.test(row)) : [];
  }
  return /(leads|tied) with|(candidate|contest)="/.test(text) ? [text] : [];
}

/** Figures that tell of votes in what anybody may read; `answered` counts the answers that had something to say. */
export async function leaks(
  origin: string,
  election: string,
): Promise<Readonly<{ found: string[]; answered: number }>> {
  const found: string[] = [];
  let answered = 0;
  for (const address of await publicAddresses(origin, election)) {
    const figures = await figuresAt(origin, address);
    if (figures !== undefined) answered++;
    found.push(...(figures ?? []).map((figure) => `${address}: ${figure}`));
  }
  return { found, answered };
}

/** Names of the events of the stream, as they come, until the signal aborts. */
export async function listen(
  origin: string,
  election: string,
  events: string[],
  signal: AbortSignal,
): Promise<void> {
  const { body } = await fetch(`${origin}/v1/elections/${election}/stream`);
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  signal.addEventListener("abort", () => reader.cancel(), { once: true });
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    events.push(...[...read.value.matchAll(/^event: ?(\w+)/gm)].map(([, name]) => name!));
  }
}
