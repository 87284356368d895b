/**
 * Certificates for tests of TLS, made with openssl: an authority, a broker's, a client's, and another authority.
 *
 * @module
 */

/** Paths of PEM files. */
export type Certificates = Readonly<{
  ca: string;
  broker: Readonly<{ cert: string; key: string }>;
  client: Readonly<{ cert: string; key: string }>;
  /** An authority that nobody trusts. */
  otherCa: string;
}>;

/** Makes them in a directory. */
export async function makeCertificates(directory: string): Promise<Certificates> {
  const authority = async (name: string) => {
    await openssl(directory, [
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", `/CN=${name}`],
      ...["-keyout", `${name}.key`, "-out", `${name}.pem`],
    ]);
    return `${directory}/${name}.pem`;
  };
  const leaf = async (name: string) => {
    await openssl(directory, [
      ...["req", "-newkey", "rsa:2048", "-nodes", "-subj", `/CN=${name}`],
      ...["-keyout", `${name}.key`, "-out", `${name}.csr`],
    ]);
    await Deno.writeTextFile(`${directory}/${name}.ext`, "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    await openssl(directory, [
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
      ...["-days", "2", "-extfile", `${name}.ext`, "-out", `${name}.pem`],
    ]);
    return { cert: `${directory}/${name}.pem`, key: `${directory}/${name}.key` };
  };
  const ca = await authority("ca");
  return {
    ca,
    broker: await leaf("broker"),
    client: await leaf("client"),
    otherCa: await authority("other"),
  };
}

async function openssl(cwd: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args: [...args], cwd }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
