// @clickhouse/client with a bearer token: one JSON line for each statement, read by tests/it/clients.rs.
// usage: NODE_EXTRA_CA_CERTS=CA_FILE node client.mjs URL TOKEN STATEMENT...; without a token where that is empty
// The authority comes by the environment: with `tls: {ca_cert}` this client refuses to send a token.
import { createClient } from '@clickhouse/client';

const [url, access_token, ...statements] = process.argv.slice(2);
const client = createClient({ url, ...(access_token && { access_token }), log: { level: 127 } });
const say = (what) => console.log(JSON.stringify(what));

// What this client offers to ask when it connects: whether anybody is there, and whether they answer a SELECT.
const select = await client.ping({ select: true });
say({ ping: (await client.ping()).success, select: select.success, refused: select.error?.message });
for (const query of statements) {
  try {
    if (query.startsWith('SELECT')) {
      const answer = await client.query({ query, format: 'JSONCompactEachRow' });
      say({ rows: (await answer.json()).map((row) => row.map(String)) });
    } else {
      say({ done: (await client.command({ query })).query_id });
    }
  } catch (error) {
    say({ refused: error.message, code: error.code });
  }
}
await client.close();
