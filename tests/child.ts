/**
 * Another process, for tests that need one: it runs a piece of JavaScript, waits to be told to go on, and is heard
 * line by line.
 *
 * @module
 */
const ROOT = new URL("..", import.meta.url);

const PRELUDE = `
  const go = () => Deno.stdin.read(new Uint8Array(1));
  const say = (line) => console.log(String(line));
`;

/** See {@link startChild}. */
export class Child {
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  readonly #stderr: Promise<string>;
  #heard = "";

  /** @internal */
  constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#stdin = process.stdin.getWriter();
    this.#stdout = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#stderr = new Response(process.stderr).text();
  }

  /** Lets the child return from one `await go()`. */
  async go(): Promise<void> {
    await this.#stdin.write(new Uint8Array(1));
  }

  /** The next line that the child says. Throws, with what it wrote to stderr, when it ends first. */
  async said(): Promise<string> {
    while (!this.#heard.includes("\n")) {
      const { done, value } = await this.#stdout.read();
      if (done) throw new Error(`The child ended: ${await this.#stderr}`);
      this.#heard += value;
    }
    const at = this.#heard.indexOf("\n");
    const line = this.#heard.slice(0, at);
    this.#heard = this.#heard.slice(at + 1);
    return line;
  }

  /** Kills it with no time to tidy up. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  /** Lets it run no further, until {@link resume}. */
  pause(): void {
    this.#process.kill("SIGSTOP");
  }

  /** Lets it run on. */
  resume(): void {
    this.#process.kill("SIGCONT");
  }

  /** Waits until it has ended, and throws when it failed; not when it was killed. */
  async ended(): Promise<void> {
    await this.#stdin.close().catch(() => {});
    while (!(await this.#stdout.read()).done);
    const { success, signal } = await this.#process.status;
    const stderr = await this.#stderr;
    if (!success && signal !== "SIGKILL") throw new Error(`The child failed: ${stderr}`);
  }
}

/**
 * Starts a process in the project's directory, with all permissions.
 *
 * @param code JavaScript with `await go()`, which waits for {@link Child.go}, and `say(line)`.
 */
export function startChild(code: string): Child {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["eval", PRELUDE + code],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  return new Child(command.spawn());
}
