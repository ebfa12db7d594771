import { Readable } from 'node:stream';
import { createClient } from '@clickhouse/client';
import { main } from './cases.mjs';

await main({
  createClient,
  // `zstd` needs Node.js 22.15; before, the client says so.
  codings: { none: {}, gzip: { response: true }, br: { response: { codec: 'br' } }, zstd: { response: { codec: 'zstd' } } },
  insertCodings: { gzip: { request: true }, br: { request: { codec: 'br' } }, zstd: { request: { codec: 'zstd' } } },
  rows: (first, count) =>
    Readable.from((function* () {
      for (let id = first; id < first + count; id++) yield { id, name: `name ${id}` };
    })(), { objectMode: true }),
});
