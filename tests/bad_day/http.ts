/**
 * Requests that are wrong before anybody looks at their signature: method, address, and HTTP itself. Each is of a
 * vote that is signed rightly, so that it would be taken if it got through.
 *
 * @module
 */
import { utf8 } from "../../shared/bytes.ts";
import type { ProblemType } from "../../shared/problem.ts";
import { rawBytes, type RawRequest } from "../raw_http.ts";
import { type Endpoint, ENDPOINTS, honest, type Row } from "./scene.ts";

const POST_ONLY = ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"];
const READ_ONLY = ["/v1/manifest", "/health/live", "/health/ready", "/metrics", "/openapi.json"];

/** Methods that an address does not take. */
export function methods(): Row[] {
  const rows: Row[] = [];
  for (const endpoint of ["vote", "batch"] as const) {
    for (const method of POST_ONLY) {
      const bodiless = ["GET", "HEAD", "TRACE"].includes(method);
      const { target, headers, body } = honest(endpoint);
      rows.push({
        what: `${method} ${target}`,
        request: { method, target, headers, ...(!bodiless && { body }) },
        reason: "method-not-allowed",
        says: /use POST/,
        allow: "POST",
      });
    }
  }
  for (const target of READ_ONLY) {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      rows.push({
        what: `${method} ${target}`,
        request: { method, target, body: "{}" },
        reason: "method-not-allowed",
        says: /use GET/,
        allow: "GET, HEAD",
      });
    }
  }
  return rows;
}

/** Addresses that look like one there is. */
export function addresses(endpoint: Endpoint): Row[] {
  const { path } = ENDPOINTS[endpoint];
  const rows: Row[] = [];
  const notFound = /see \/openapi\.json|the path must be /;
  for (
    const target of [
      `/${path}`,
      `${path}/`,
      `${path}//`,
      path.replace("/v1", "/v1/."),
      path.replace("/v1", "/x/../v1"),
      path.replace("/v1", "/x/%2e%2e/v1"),
      path.replace("votes", "vote%73"),
      path.replace("/votes", "%2Fvotes"),
      path.toUpperCase(),
      `${path}%00`,
      `${path}%`,
      `${path}%zz`,
      `${path};a=b`,
      `${path}%20`,
      `${path}.json`,
      `${path}#x`,
      `/v2${path}`,
      "/",
      `/${"v1/".repeat(2_000)}votes`,
    ]
  ) {
    rows.push({
      what: `address ${target.slice(0, 40)}`,
      request: { ...honest(endpoint), target },
      reason: "not-found",
      says: notFound,
    });
  }
  for (const query of ["?", "?a=1", "?__proto__=1", "?%"]) {
    rows.push({
      what: `address ${path}${query}`,
      request: { ...honest(endpoint), target: path + query },
      reason: "query-not-allowed",
      says: /leave the query string out/,
    });
  }
  for (const host of [`"<>`, "a b", "a/b", "a?b", "a#b", "a@b", `x${path}#`, "[::1", "a:99999", ""]) {
    const request = honest(endpoint);
    rows.push({
      what: `host ${host}`,
      request: { ...request, headers: [...request.headers!, ["Host", host]] },
      reason: "not-http",
      says: /Host header and the address must make a URL|must be HTTP/,
    });
  }
  return rows;
}

/** HTTP that is none, or that two servers in a row could take for two different things. */
export function shapes(): { what: string; bytes: Uint8Array<ArrayBuffer>; reason?: ProblemType }[] {
  const request = honest("vote");
  const length = String((request.body as Uint8Array).length);
  const size = (request.body as Uint8Array).length.toString(16);
  const whole = new TextDecoder("latin1").decode(rawBytes(request));
  const [head] = whole.split("\r\n\r\n");
  const body = whole.slice(head.length + 4);
  const inChunks = `${size}\r\n${body}\r\n0\r\n\r\n`;
  const bare = head.replace(/\r\nContent-Length: \d+/, "");
  const shape = (what: string, text: string, reason: ProblemType | undefined = "not-http") => ({
    what,
    bytes: Uint8Array.from(text, (character) => character.charCodeAt(0)),
    reason,
  });
  const withHead = (what: string, line: string, sent = body, of = head) =>
    shape(what, `${of}\r\n${line}\r\n\r\n${sent}`);
  const tooLarge = (what: string, text: string) => shape(what, text, "head-too-large");
  // What there is no answer to: the connection is closed.
  const closed = (what: string, text: string) => ({ ...shape(what, text), reason: undefined });
  return [
    withHead("Content-Length and Transfer-Encoding", "Transfer-Encoding: chunked", inChunks),
    withHead("two lengths", "Content-Length: 3"),
    withHead("a list of lengths", `Content-Length: ${length}, ${length}`, body, bare),
    withHead("a negative length", "Content-Length: -1", body, bare),
    withHead("a length with a sign", `Content-Length: +${length}`, body, bare),
    withHead("a length in hex", "Content-Length: 0x10", body, bare),
    withHead("a length beyond all numbers", `Content-Length: ${"9".repeat(40)}`, body, bare),
    withHead("a chunk size that is none", "Transfer-Encoding: chunked", `zz\r\n${body}\r\n0\r\n\r\n`, bare),
    withHead(
      "a chunk size beyond all numbers",
      "Transfer-Encoding: chunked",
      `${"f".repeat(20)}\r\n${body}`,
      bare,
    ),
    withHead("a chunk longer than it says", "Transfer-Encoding: chunked", `1\r\n${body}\r\n0\r\n\r\n`, bare),
    withHead("a chunk size with a sign", "Transfer-Encoding: chunked", `+${inChunks}`, bare),
    withHead(
      "chunks that end in line feeds",
      "Transfer-Encoding: chunked",
      inChunks.replaceAll("\r\n", "\n"),
      bare,
    ),
    withHead("an unknown transfer coding", "Transfer-Encoding: xchunked", inChunks, bare),
    withHead("chunked before another coding", "Transfer-Encoding: chunked, identity", inChunks, bare),
    withHead("a space before the colon", "Transfer-Encoding : chunked", inChunks, bare),
    withHead("a folded header", "X-A: a\r\n b"),
    withHead("a header with a zero byte", "X-A: a\0b"),
    withHead("a header with a bare carriage return", "X-A: a\rb"),
    withHead("a header without a name", ": a"),
    withHead("a header without a colon", "nonsense"),
    withHead("two hosts", "Host: other.test"),
    tooLarge("20 KiB of one header", `${head}\r\nX-A: ${"a".repeat(20_000)}\r\n\r\n${body}`),
    tooLarge("5,000 headers", `${head}\r\n${"X-A: a\r\n".repeat(5_000)}\r\n${body}`),
    tooLarge("20 KiB of address", `POST /${"v".repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`),
    shape("no host", `${head.replace(/\r\nHost: [^\r]+/, "")}\r\n\r\n${body}`),
    shape("no address", `${head.replace(" /v1/votes", "")}\r\n\r\n${body}`),
    shape("an address without a slash", `${head.replace(" /v1", " v1")}\r\n\r\n${body}`),
    shape("an address with backslashes", `${head.replace("/v1/votes", "\\v1\\votes")}\r\n\r\n${body}`),
    shape("an address with raw bytes", `${head.replace("/v1/votes", "/v1/v\xf6tes")}\r\n\r\n${body}`),
    closed("HTTP/0.9", `POST /v1/votes\r\n\r\n${body}`),
    shape("HTTP/3.0", `${head.replace("HTTP/1.1", "HTTP/3.0")}\r\n\r\n${body}`),
    shape("HTTP/2's preface", `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"\0".repeat(30)}`),
    shape("a method in small letters", `${head.replace("POST", "post")}\r\n\r\n${body}`),
    shape("an unknown method", `${head.replace("POST", "VOTE")}\r\n\r\n${body}`),
    closed("CONNECT", "CONNECT gateway.test:80 HTTP/1.1\r\nHost: gateway.test\r\n\r\n"),
    shape("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    shape("zero bytes", "\0".repeat(100)),
    shape("a mail server's greeting", "EHLO gateway.test\r\n\r\n"),
  ];
}

/** Two requests on one connection, the first followed by bytes that belong to no request. */
export function trailing(first: RawRequest, garbage: string): Uint8Array<ArrayBuffer> {
  const bytes = rawBytes(first);
  const rest = utf8(garbage);
  const joined = new Uint8Array(bytes.length + rest.length);
  joined.set(bytes);
  joined.set(rest, bytes.length);
  return joined;
}
