/**
 * Requests that HTTP implementations are known to read differently (RFC 9112; the classes of request smuggling that
 * published corpora collect), each as bytes. They ask for {@link TARGET}.
 *
 * @module
 */

/** What all cases ask for. */
export const TARGET = "/votes";

/** A case: what is sent, and the bodies of the requests that a server may read from it. Without `bodies` it must be refused. */
export type HttpCase = Readonly<{ name: string; sent: string; bodies?: readonly string[] }>;

const HOST = "Host: a.test";
const post = (headers: string, body = "", line = `POST ${TARGET} HTTP/1.1`) =>
  `${line}\r\n${headers}\r\n\r\n${body}`;
/** A POST that is hidden in another's body. */
const HIDDEN = post(`${HOST}\r\nContent-Length: 6`, "hidden");
const chunked = (body: string, more = "") => post(`${HOST}\r\nTransfer-Encoding: chunked${more}`, body);
const sized = (length: string, body = "abc") => post(`${HOST}\r\nContent-Length: ${length}`, body);
const encoded = (coding: string) => post(`${HOST}\r\nTransfer-Encoding: ${coding}`, "3\r\nabc\r\n0\r\n\r\n");
const field = (line: string) => post(`${HOST}\r\n${line}\r\nContent-Length: 3`, "abc");
const line = (text: string) => post(`${HOST}\r\nContent-Length: 3`, "abc", text.replace("@", TARGET));
const WHOLE = ["abc"];

const framing: readonly HttpCase[] = [
  { name: "Content-Length", sent: sized("3"), bodies: WHOLE },
  { name: "Content-Length with zeros before it", sent: sized("003"), bodies: WHOLE },
  { name: "Content-Length with white space around it", sent: sized(" \t3 "), bodies: WHOLE },
  { name: "Content-Length of 0", sent: sized("0", ""), bodies: [""] },
  { name: "no length: no body", sent: post(HOST), bodies: [""] },
  ...[
    "+3",
    "-3",
    "0x3",
    "3a",
    "3 3",
    "3, 3",
    "3,4",
    "3;a=b",
    "",
    "3.0",
    "1e1",
    "\u00b3",
    "18446744073709551619",
  ].map(
    (length) => ({ name: `Content-Length: ${JSON.stringify(length)}`, sent: sized(length) }),
  ),
  {
    name: "two equal Content-Lengths",
    sent: post(`${HOST}\r\nContent-Length: 3\r\nContent-Length: 3`, "abc"),
  },
  {
    name: "two different Content-Lengths",
    sent: post(`${HOST}\r\nContent-Length: 3\r\nContent-Length: ${3 + HIDDEN.length}`, `abc${HIDDEN}`),
  },
  {
    name: "Content-Length before Transfer-Encoding (CL.TE)",
    sent: post(
      `${HOST}\r\nContent-Length: ${HIDDEN.length + 5}\r\nTransfer-Encoding: chunked`,
      `0\r\n\r\n${HIDDEN}`,
    ),
  },
  {
    name: "Transfer-Encoding before Content-Length (TE.CL)",
    sent: post(
      `${HOST}\r\nTransfer-Encoding: chunked\r\nContent-Length: 4`,
      `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`,
    ),
  },
  ...[
    "xchunked",
    "chunked, identity",
    "identity",
    "gzip",
    "chunked, chunked",
    "\u000bchunked",
    "chunked;a=b",
    '"chunked"',
    "chunked\r\nTransfer-Encoding: identity",
    "chunked\r\n , identity",
    "chunke\u0064\u0000",
  ].map((coding) => ({ name: `Transfer-Encoding: ${JSON.stringify(coding)}`, sent: encoded(coding) })),
  { name: "Transfer-Encoding in capitals", sent: encoded("CHUNKED"), bodies: WHOLE },
  {
    name: "Transfer-Encoding with a space before its colon",
    sent: post(`${HOST}\r\nTransfer-Encoding : chunked`, "3\r\nabc\r\n0\r\n\r\n"),
  },
  {
    name: "Content-Length with a space before its colon",
    sent: post(`${HOST}\r\nContent-Length : 3`, "abc"),
  },
  {
    name: "Transfer-Encoding in HTTP/1.0",
    sent: post(
      `${HOST}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked`,
      "3\r\nabc\r\n0\r\n\r\n",
      `POST ${TARGET} HTTP/1.0`,
    ),
  },
];

const chunks: readonly HttpCase[] = [
  { name: "chunks", sent: chunked("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), bodies: WHOLE },
  { name: "chunk size in capitals", sent: chunked("A\r\n0123456789\r\n0\r\n\r\n"), bodies: ["0123456789"] },
  { name: "chunk size with zeros before it", sent: chunked("0003\r\nabc\r\n0\r\n\r\n"), bodies: WHOLE },
  { name: "chunk extension", sent: chunked('3;a=b;c="d"\r\nabc\r\n0\r\n\r\n'), bodies: WHOLE },
  { name: "trailer", sent: chunked("3\r\nabc\r\n0\r\nX-A: b\r\n\r\n"), bodies: WHOLE },
  {
    name: "Content-Length as a trailer",
    sent: chunked("3\r\nabc\r\n0\r\nX-Content-Length: 9\r\n\r\n"),
    bodies: WHOLE,
  },
  ...["0x3", "+3", "-3", " 3", "g", "", "3 3", "fffffffffffffffff", "3\u0000"].map((size) => ({
    name: `chunk size ${JSON.stringify(size)}`,
    sent: chunked(`${size}\r\nabc\r\n0\r\n\r\n`),
  })),
  { name: "chunk size that ends with LF only", sent: chunked("3\nabc\r\n0\r\n\r\n") },
  { name: "chunk that ends with LF only", sent: chunked("3\r\nabc\n0\r\n\r\n") },
  { name: "chunk longer than its size", sent: chunked("3\r\nabcd\r\n0\r\n\r\n") },
  { name: "chunk extension with LF only", sent: chunked(`3;a\nabc\r\n0\r\n\r\n`) },
  { name: "last chunk that ends with LF only", sent: chunked("3\r\nabc\r\n0\n\r\n") },
];

const heads: readonly HttpCase[] = [
  { name: "empty line before the request", sent: `\r\n${sized("3")}`, bodies: WHOLE },
  { name: "field without a value", sent: field("X-A:"), bodies: WHOLE },
  { name: "field of other bytes than ASCII", sent: field("X-A: \u00e4"), bodies: WHOLE },
  {
    name: "field of an unknown name that looks like another",
    sent: field("Content_Length: 9"),
    bodies: WHOLE,
  },
  ...[
    "X-A : b",
    "X-A",
    ": b",
    " X-A: b",
    "X A: b",
    "X-A: b\u0000",
    "X-\u0000A: b",
    "X-A: b\rX-B: c",
    "X(A): b",
    "X-\u00e4: b",
    "X-A: b\r\n folded",
  ].map((text) => ({ name: `field ${JSON.stringify(text)}`, sent: field(text) })),
  { name: "lines that end with LF only", sent: sized("3").replaceAll("\r\n", "\n") },
  { name: "lines that end with CR only", sent: sized("3").replaceAll("\r\n", "\r") },
  {
    name: "head that ends with LF only",
    sent: `POST ${TARGET} HTTP/1.1\r\n${HOST}\r\nContent-Length: 3\r\n\nabc`,
  },
  {
    name: "white space before the first field",
    sent: `POST ${TARGET} HTTP/1.1\r\n X-A: b\r\n${HOST}\r\n\r\n`,
  },
  { name: "no Host", sent: post("Content-Length: 3", "abc") },
  { name: "two Hosts", sent: post(`${HOST}\r\n${HOST}\r\nContent-Length: 3`, "abc") },
  { name: "Host twice in one field", sent: post("Host: a.test, b.test\r\nContent-Length: 3", "abc") },
  { name: "Host with a path", sent: post("Host: a.test/b\r\nContent-Length: 3", "abc") },
  { name: "Host with a user", sent: post("Host: u@a.test\r\nContent-Length: 3", "abc") },
  { name: "Host with white space", sent: post("Host: a test\r\nContent-Length: 3", "abc") },
  { name: "a head that is too large", sent: field(`X-A: ${"a".repeat(17 * 1024)}`) },
  {
    name: "too many fields",
    sent: field(Array.from({ length: 2_000 }, (_, i) => `X-${i}: aaaa`).join("\r\n")),
  },
];

const lines: readonly HttpCase[] = [
  // RFC 9112 section 3 allows a reader to split the line at white space.
  { name: "two spaces before the target", sent: line("POST  @ HTTP/1.1"), bodies: WHOLE },
  { name: "two spaces after the target", sent: line("POST @  HTTP/1.1"), bodies: WHOLE },
  ...[
    "POST\t@ HTTP/1.1",
    "POST @ HTTP/1.1 ",
    " POST @ HTTP/1.1",
    "POST @",
    "POST @ HTTP/1",
    "POST @ HTTP/1.10",
    "POST @ HTTP/11.1",
    "POST @ http/1.1",
    "POST @ HTTP/2.0",
    "POST @ HTTP/0.9",
    "POST @ HTTP/1.2",
    "POST @ HTTPS/1.1",
    "POST @ b HTTP/1.1",
    "PO ST @ HTTP/1.1",
    "P\u0000ST @ HTTP/1.1",
    "post @ HTTP/1.1",
    "POST @\u0000 HTTP/1.1",
    "POST  HTTP/1.1",
    "PRI * HTTP/2.0",
    "CONNECT @ HTTP/1.1",
  ].map((text) => ({ name: `line ${JSON.stringify(text)}`, sent: line(text) })),
];

const several: readonly HttpCase[] = [
  { name: "two requests at once", sent: sized("3") + sized("2", "de"), bodies: ["abc", "de"] },
  {
    name: "three, one of them in chunks",
    sent: sized("1", "a") + chunked("1\r\nb\r\n0\r\n\r\n") + sized("1", "c"),
    bodies: ["a", "b", "c"],
  },
  { name: "a request in a body", sent: sized(String(HIDDEN.length), HIDDEN), bodies: [HIDDEN] },
  {
    name: "a request in a chunk",
    sent: chunked(`${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`),
    bodies: [HIDDEN],
  },
];

/** All of them. */
export const HTTP_CASES: readonly HttpCase[] = [...framing, ...chunks, ...heads, ...lines, ...several];
