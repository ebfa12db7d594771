// What both clients in JavaScript do alike; each is tried by a program of its own.
import { createHash } from 'node:crypto';

const { CLIENT_WAY, CLIENT_URL, CLIENT_USER, CLIENT_PASSWORD, CLIENT_TOKEN, CLIENT_EXPIRED_TOKEN, CLIENT_TABLE_PREFIX } = process.env;
const direct = CLIENT_WAY === 'direct';

class NotRun extends Error {}
const gateOnly = () => {
  if (direct) throw new NotRun('gate only');
};

const TYPES = `SELECT
    toUInt8(255) AS u8, toUInt16(65535) AS u16, toUInt32(4294967295) AS u32, toUInt64('18446744073709551615') AS u64,
    toUInt128('340282366920938463463374607431768211455') AS u128,
    toUInt256('115792089237316195423570985008687907853269984665640564039457584007913129639935') AS u256,
    toInt64('-9223372036854775808') AS i64, toFloat64(0.1) AS f64, toDecimal128('12345678901234567890.0123456789', 10) AS d128,
    'Grüße 😀 \\t\\n\\x01 "\\'\\\\' AS s, toFixedString('abc', 4) AS fs, toDate('2026-02-28') AS d,
    toDateTime64('2026-02-28 12:34:56.789012', 6, 'UTC') AS dt, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS u,
    CAST('b', 'Enum8(\\'a\\' = 1, \\'b\\' = 2)') AS e, toIPv4('192.0.2.1') AS ip4, toIPv6('2001:db8::1') AS ip6, [1, 2, 3] AS a,
    tuple(1, 'x') AS t, map('k', 1, 'l', 2) AS m, CAST(NULL, 'Nullable(Int32)') AS n, toLowCardinality('low') AS lc, true AS b`;

// ClickHouse ends a statement with its caller's connection only where it is told to, and reads alone.
const LONG = 'SELECT sum(sleepEachRow(0.1)) FROM numbers(100000)';
const LONG_SETTINGS = {
  readonly: '1',
  max_block_size: '1',
  function_sleep_max_microseconds_per_block: '0',
  cancel_http_readonly_queries_on_client_close: 1,
};

const sha = (...pieces) => {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex').slice(0, 16);
};

// What differs from run to run: ids, times, addresses.
const steady = (text) =>
  String(text)
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<id>')
    .replace(/\b[0-9a-f]{32}\b/g, '<id>')
    .replace(/\d{4}-\d\d-\d\dT[\d:]+Z, \d+s ago/g, '<time>')
    .replace(/(localhost|127\.0\.0\.1):\d+/g, '<host>')
    .replaceAll(CLIENT_TABLE_PREFIX, '<prefix>');

const credentials = (token = CLIENT_TOKEN) =>
  direct ? { username: CLIENT_USER, password: CLIENT_PASSWORD } : { access_token: token };

export async function main({ createClient, codings, insertCodings, rows }) {
  const make = (more = {}, token) =>
    createClient({ url: CLIENT_URL, ...credentials(token), log: { level: 127 }, application: 'clients', ...more });
  const client = make();
  const table = (name) => CLIENT_TABLE_PREFIX + name;
  const json = async (query, more = {}) => (await client.query({ query, format: 'JSONCompactEachRow', ...more })).json();

  // Row by row, as they come.
  const summed = async (asked, query, more = {}) => {
    const answer = await asked.query({ query, format: 'JSONCompactEachRow', ...more });
    const hash = createHash('sha256');
    let count = 0;
    for await (const piece of answer.stream()) {
      for (const row of piece) {
        hash.update(row.text);
        count++;
      }
    }
    return { rows: count, checksum: hash.digest('hex').slice(0, 16), coding: answer.response_headers['content-encoding'] ?? null };
  };

  const streamed = async (asked, first, count, name = 'stream') => {
    await asked.insert({ table: table(name), values: rows(first, count), format: 'JSONEachRow' });
    const where = `WHERE id BETWEEN ${first} AND ${first + count - 1}`;
    return (await json(`SELECT count(), sum(id), max(name) FROM ${table(name)} ${where}`))[0];
  };

  const withClient = async (asked, use) => {
    try {
      return await use(asked);
    } finally {
      await asked.close();
    }
  };

  const each = async (all, use) => {
    const value = {};
    for (const [name, compression] of Object.entries(all)) {
      try {
        value[name] = await withClient(make({ compression }), use);
      } catch (error) {
        value[name] = { error: steady(error.message) };
      }
    }
    return value;
  };

  const cases = {
    async connect() {
      const ping = await client.ping();
      if (!ping.success) throw ping.error;
      const select = await client.ping({ select: true });
      if (!select.success) throw select.error;
      return (await json('SELECT version()'))[0][0];
    },
    async 'read.types'() {
      const answer = await (await client.query({ query: TYPES, format: 'JSONCompact', clickhouse_settings: { output_format_json_quote_64bit_integers: 1, output_format_json_quote_decimals: 1 } })).json();
      return {
        names: answer.meta.map(({ name }) => name),
        types: answer.meta.map(({ type }) => type),
        values: answer.data[0].map((value) => JSON.stringify(value)),
      };
    },
    'read.table': () => json('SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20'),
    async 'read.formats'() {
      const query = 'SELECT id, region, amount, placed FROM sales.orders ORDER BY id LIMIT 3';
      const value = {};
      for (const format of ['TabSeparated', 'CSV', 'JSONEachRow', 'JSONCompactEachRow', 'JSONCompactEachRowWithNamesAndTypes', 'JSONObjectEachRow']) {
        value[format] = await (await client.query({ query, format })).text();
      }
      const answer = await (await client.query({ query, format: 'JSON' })).json();
      value.JSON = { ...answer, statistics: Object.keys(answer.statistics) };
      for (const format of ['Parquet', 'Arrow', 'Native', 'RowBinary']) {
        const { stream } = await client.exec({ query: `${query} FORMAT ${format}` });
        const pieces = [];
        for await (const piece of stream) pieces.push(piece);
        value[format] = sha(...pieces);
      }
      return value;
    },
    async 'read.large'() {
      const { rows, checksum } = await summed(client, 'SELECT number, toString(number) FROM numbers(2000000)');
      return { rows, checksum };
    },
    'read.compressed': () => each(codings, (asked) => summed(asked, 'SELECT number, toString(number) FROM numbers(200000)')),
    'read.empty': () => json('SELECT id FROM sales.orders WHERE id < 0'),
    async headers() {
      const query_id = crypto.randomUUID();
      const answer = await client.query({ query: 'SELECT count() FROM sales.orders', format: 'JSONEachRow', query_id, clickhouse_settings: { wait_end_of_query: 1 } });
      await answer.text();
      const command = await client.command({ query: 'SELECT count() FROM numbers(1000) FORMAT Null', clickhouse_settings: { wait_end_of_query: 1 } });
      const headers = answer.response_headers;
      // In browsers it parses no summary for its user.
      const summary = command.summary ?? JSON.parse(command.response_headers['x-clickhouse-summary']);
      return {
        query_id: answer.query_id === query_id && headers['x-clickhouse-query-id'] === query_id,
        read_rows: summary.read_rows,
        timezone: headers['x-clickhouse-timezone'] ?? null,
        format: headers['x-clickhouse-format'] ?? null,
        type: headers['content-type'] ?? null,
      };
    },
    async parameters() {
      const query_params = {
        n: 18446744073709551615n, i: -7, f: 0.5, s: `quotes ' " \` backslash \\ tab \t newline \n unicode ü 😀`, long: 'x'.repeat(10000),
        a: ['a', "b'", 'c\\'], d: new Date(Date.UTC(2026, 1, 28, 12)), m: new Map([['k', 1]]), none: null, t: 'sales', o: 'orders',
      };
      const query = `SELECT toString({n:UInt64}), {i:Int32}, {f:Float64}, {s:String}, hex({s:String}), length({long:String}), {a:Array(String)},
        {d:DateTime('UTC')}, {m:Map(String, UInt8)}, {none:Nullable(String)}, (SELECT count() FROM {t:Identifier}.{o:Identifier})`;
      return { address: (await json(query, { query_params }))[0], form: (await json(query, { query_params, use_multipart_params: true }))[0] };
    },
    settings: () => json("SELECT getSetting('max_block_size')", { clickhouse_settings: { max_block_size: '1000' } }),
    async 'insert.rows'() {
      const values = Array.from({ length: 100 }, (_, id) => ({
        id, name: `name ${id} 'ü'\t\\`, amount: (id * 1.25).toFixed(2), at: 1772280000 + id, tags: ['a', `${id}`],
      }));
      const { executed } = await client.insert({ table: table('rows'), values, format: 'JSONEachRow' });
      return {
        executed,
        sums: (await json(`SELECT count(), sum(id), sum(amount) FROM ${table('rows')}`))[0],
        one: (await json(`SELECT * FROM ${table('rows')} WHERE id = 42`))[0],
      };
    },
    'insert.stream': () => streamed(client, 0, 100000),
    'insert.compressed': async () => {
      if (!insertCodings) throw new NotRun('this client sends bodies uncompressed');
      let first = 1000000;
      return each(insertCodings, (asked) => streamed(asked, (first += 100000), 10000));
    },
    async external() {
      throw new NotRun('this client sends no tables along');
    },
    'error.table': () => json('SELECT * FROM sales.nothing'),
    'error.syntax': () => json('SELEC 1'),
    // Which of its sentences this client shows depends on how the last pieces arrive: through Keyhouse 7 of 200 were `aborted` or another,
    // directly none of 200. That it is an error counts here.
    'error.mid_stream': () =>
      summed(client, "SELECT number, throwIf(number = 3000000, 'stop here') FROM numbers(4000000)").then(
        ({ rows }) => { throw new Error(`${rows} rows and no error`); },
        (error) => ({ error: error instanceof Error }),
      ),
    async 'refusal.table'() {
      gateOnly();
      return json('SELECT name, amount FROM hr.salaries');
    },
    async 'refusal.effect'() {
      gateOnly();
      return client.command({ query: 'DROP TABLE sales.orders' });
    },
    async 'token.expired'() {
      gateOnly();
      return withClient(make({}, CLIENT_EXPIRED_TOKEN), async (late) => (await late.query({ query: 'SELECT 1' })).json());
    },
    async 'token.refresh'() {
      throw new NotRun('this client does not ask for another token');
    },
    async cancel() {
      const stop = new AbortController();
      const began = Date.now();
      setTimeout(() => stop.abort(), 300);
      try {
        await json(LONG, { abort_signal: stop.signal, clickhouse_settings: LONG_SETTINGS });
      } catch (error) {
        return { back: Date.now() - began < 5000, says: steady(error.message) };
      }
    },
    session: () =>
      withClient(make({ session_id: crypto.randomUUID() }), async (asked) => {
        await asked.command({ query: 'CREATE TEMPORARY TABLE mine (x UInt8)' });
        await asked.command({ query: 'INSERT INTO mine VALUES (1), (2)' });
        const ask = async (query) => (await asked.query({ query, format: 'JSONCompactEachRow' })).json();
        const sum = await ask('SELECT sum(x) FROM mine');
        await asked.command({ query: 'SET max_threads = 3' });
        return [sum, await ask("SELECT getSetting('max_threads')")];
      }),
    async concurrency() {
      const numbers = await Promise.all(Array.from({ length: 20 }, (_, n) => json(`SELECT ${n}, sleep(0.1)`)));
      return numbers.map(([[n]]) => n).sort((a, b) => a - b);
    },
  };

  for (const [name, run] of Object.entries(cases)) {
    let told;
    try {
      told = { value: await run() };
    } catch (error) {
      const code = /^\d+$/.test(error.code) ? Number(error.code) : null;
      told = error instanceof NotRun ? { not_run: error.message } : { error: { code, says: steady(error.message) } };
    }
    console.log(JSON.stringify({ case: name, ...told }));
  }
  await client.close();
}
