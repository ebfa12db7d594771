import { createClient } from '@clickhouse/client-web';
import { main } from '../js/cases.mjs';

await main({
  createClient,
  codings: { none: {}, gzip: { response: true }, br: { response: { codec: 'br' } } },
  // It sends arrays, not streams, and bodies as they are.
  rows: (first, count) => Array.from({ length: count }, (_, n) => ({ id: first + n, name: `name ${first + n}` })),
});
