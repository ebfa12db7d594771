// jose as a judge of tokens, read by tests/it/differential: the first line is {set, issuer, audience, algorithms}, every other
// one a token as a JSON string; for each token one line, null where it is accepted and else the words it is refused with.
// Strict: no skew, one type, and every claim that a token must have.
import { createInterface } from 'node:readline';
import { createLocalJWKSet, jwtVerify } from 'jose';

const lines = createInterface({ input: process.stdin, crlfDelay: Infinity })[Symbol.asyncIterator]();
const { set, ...expected } = JSON.parse((await lines.next()).value);
const keys = createLocalJWKSet(set);
const options = { ...expected, typ: 'JWT', clockTolerance: 0, requiredClaims: ['exp', 'iss', 'aud', 'sub'] };

for await (const line of lines) {
  const says = await jwtVerify(JSON.parse(line), keys, options).then(() => null, (error) => `${error.code}: ${error.message}`);
  process.stdout.write(`${JSON.stringify(says)}\n`);
}
