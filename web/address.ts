/**
 * Which client an address belongs to, for limits.
 *
 * @module
 */

/**
 * The key under which an address is limited: an IPv4 address is its own, also when it is written as an IPv6 one
 * (`::ffff:192.0.2.1`); an IPv6 address is its network of 64 bits, because one sender has all addresses of it (RFC 6177).
 */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [plain = ""] = address.split("%");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain);
  if (mapped?.[1] !== undefined) return mapped[1];
  const [before = "", after] = plain.split("::");
  const groups = before === "" ? [] : before.split(":");
  if (after !== undefined) {
    const behind = after === "" ? 0 : after.split(":").length + (after.includes(".") ? 1 : 0);
    while (groups.length + behind < 8) groups.push("0");
    if (after !== "") groups.push(...after.split(":"));
  }
  return groups.slice(0, 4).map((group) => parseInt(group, 16).toString(16)).join(":");
}
