// clickhouse-go over HTTP: one JSON line for each case.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
)

const types = `SELECT
    toUInt8(255) AS u8, toUInt16(65535) AS u16, toUInt32(4294967295) AS u32, toUInt64('18446744073709551615') AS u64,
    toUInt128('340282366920938463463374607431768211455') AS u128,
    toUInt256('115792089237316195423570985008687907853269984665640564039457584007913129639935') AS u256,
    toInt64('-9223372036854775808') AS i64, toFloat64(0.1) AS f64, toDecimal128('12345678901234567890.0123456789', 10) AS d128,
    'Grüße 😀 \t\n\x01 "\'\\' AS s, toFixedString('abc', 4) AS fs, toDate('2026-02-28') AS d,
    toDateTime64('2026-02-28 12:34:56.789012', 6, 'UTC') AS dt, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS u,
    CAST('b', 'Enum8(\'a\' = 1, \'b\' = 2)') AS e, toIPv4('192.0.2.1') AS ip4, toIPv6('2001:db8::1') AS ip6, [1, 2, 3] AS a,
    tuple(1, 'x') AS t, map('k', 1, 'l', 2) AS m, CAST(NULL, 'Nullable(Int32)') AS n, toLowCardinality('low') AS lc, true AS b`

type notRun string

func (why notRun) Error() string { return string(why) }

var (
	direct = os.Getenv("CLIENT_WAY") == "direct"
	prefix = os.Getenv("CLIENT_TABLE_PREFIX")
	conn   driver.Conn
)

func gateOnly() error {
	if direct {
		return notRun("gate only")
	}
	return nil
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func options(token string) *clickhouse.Options {
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(must(os.ReadFile(os.Getenv("CLIENT_CA"))))
	options := &clickhouse.Options{
		Protocol:   clickhouse.HTTP,
		Addr:       []string{os.Getenv("CLIENT_HOST") + ":" + os.Getenv("CLIENT_PORT")},
		TLS:        &tls.Config{RootCAs: authorities},
		ClientInfo: clickhouse.ClientInfo{Products: []struct{ Name, Version string }{{"clients", "1"}}},
	}
	if direct {
		options.Auth = clickhouse.Auth{Username: os.Getenv("CLIENT_USER"), Password: os.Getenv("CLIENT_PASSWORD")}
	} else {
		options.GetJWT = func(context.Context) (string, error) { return os.Getenv(token), nil }
	}
	return options
}

// A connection of its own, made otherwise than the usual one.
func with(change func(*clickhouse.Options), use func(driver.Conn) (any, error)) (any, error) {
	own := options("CLIENT_TOKEN")
	change(own)
	conn, err := clickhouse.Open(own)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return use(conn)
}

func set(settings clickhouse.Settings, more ...clickhouse.QueryOption) context.Context {
	return clickhouse.Context(context.Background(), append(more, clickhouse.WithSettings(settings))...)
}

// The rows as text, column by column, as the client gives them.
func ask(ctx context.Context, conn driver.Conn, query string, args ...any) (any, error) {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := [][]string{}
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func scan(rows driver.Rows) ([]string, error) {
	var places []any
	for _, column := range rows.ColumnTypes() {
		places = append(places, reflect.New(column.ScanType()).Interface())
	}
	if err := rows.Scan(places...); err != nil {
		return nil, err
	}
	var row []string
	for _, place := range places {
		value := reflect.ValueOf(place).Elem()
		if value.Kind() == reflect.Pointer {
			value = value.Elem()
		}
		if !value.IsValid() {
			row = append(row, "NULL")
		} else if value.Kind() == reflect.Struct {
			row = append(row, fmt.Sprint(value.Addr().Interface()))
		} else {
			row = append(row, fmt.Sprint(value.Interface()))
		}
	}
	return row, nil
}

func short(sum hash.Hash) string { return fmt.Sprintf("%x", sum.Sum(nil)[:8]) }

func connect() (any, error) {
	if err := conn.Ping(context.Background()); err != nil {
		return nil, err
	}
	version, err := conn.ServerVersion()
	if err != nil {
		return nil, err
	}
	return version.Version.String(), nil
}

func readTypes() (any, error) {
	rows, err := conn.Query(context.Background(), types)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var told []string
	for _, column := range rows.ColumnTypes() {
		told = append(told, column.DatabaseTypeName())
	}
	rows.Next()
	values, err := scan(rows)
	return map[string]any{"names": rows.Columns(), "types": told, "values": values}, err
}

// By database/sql, as most users of Go would.
func readTable() (any, error) {
	db := clickhouse.OpenDB(options("CLIENT_TOKEN"))
	defer db.Close()
	rows, err := db.Query("SELECT id, region, toString(amount) FROM sales.orders WHERE id < ? ORDER BY id LIMIT 20", 1000)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all [][]any
	for rows.Next() {
		var id uint64
		var region, amount sql.NullString
		if err := rows.Scan(&id, &region, &amount); err != nil {
			return nil, err
		}
		all = append(all, []any{id, region.String, amount.String})
	}
	return all, rows.Err()
}

func readFormats() (any, error) {
	value := map[string]any{}
	for _, format := range []string{"TabSeparated", "CSV", "JSONEachRow", "JSONCompactEachRow", "Native", "RowBinary", "Parquet", "Arrow"} {
		stream, err := conn.QueryFormat(context.Background(), format, "SELECT id, region, amount, placed FROM sales.orders ORDER BY id LIMIT 3")
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(stream)
		if err := errors.Join(err, stream.Close()); err != nil {
			return nil, err
		}
		if utf8.Valid(body) && !strings.Contains(string(body), "\x00") {
			value[format] = string(body)
		} else {
			value[format] = fmt.Sprintf("%x", sha256.Sum256(body))[:16]
		}
	}
	return value, nil
}

func summed(conn driver.Conn, query string) (any, error) {
	rows, err := conn.Query(context.Background(), query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sum, count := sha256.New(), 0
	for rows.Next() {
		var number uint64
		var text string
		if err := rows.Scan(&number, &text); err != nil {
			return nil, err
		}
		fmt.Fprintln(sum, number, text)
		count++
	}
	return map[string]any{"rows": count, "checksum": short(sum)}, rows.Err()
}

func readLarge() (any, error) {
	return summed(conn, "SELECT number, toString(number) FROM numbers(2000000)")
}

var compressions = []struct {
	name   string
	method clickhouse.CompressionMethod
}{
	{"none", clickhouse.CompressionNone},
	{"lz4", clickhouse.CompressionLZ4},
	{"zstd", clickhouse.CompressionZSTD},
	{"gzip", clickhouse.CompressionGZIP},
	{"deflate", clickhouse.CompressionDeflate},
	{"br", clickhouse.CompressionBrotli},
}

func each(use func(driver.Conn) (any, error)) (any, error) {
	value := map[string]any{}
	for _, compression := range compressions {
		told, err := with(func(options *clickhouse.Options) {
			options.Compression = &clickhouse.Compression{Method: compression.method, Level: 3}
		}, use)
		if err != nil {
			told = map[string]any{"error": steady(err.Error())}
		}
		value[compression.name] = told
	}
	return value, nil
}

func readCompressed() (any, error) {
	return each(func(conn driver.Conn) (any, error) {
		return summed(conn, "SELECT number, toString(number) FROM numbers(200000)")
	})
}

func readEmpty() (any, error) {
	return ask(context.Background(), conn, "SELECT id FROM sales.orders WHERE id < 0")
}

// This client shows no header; what it asked when it connected is all that it tells.
func headers() (any, error) {
	version, err := conn.ServerVersion()
	if err != nil {
		return nil, err
	}
	ctx := set(clickhouse.Settings{"wait_end_of_query": 1}, clickhouse.WithQueryID(uuid.NewString()))
	if _, err := ask(ctx, conn, "SELECT count() FROM sales.orders"); err != nil {
		return nil, err
	}
	return map[string]any{"timezone": version.Timezone.String(), "revision": version.Revision}, nil
}

func parameters() (any, error) {
	return ask(context.Background(), conn, `SELECT {n:UInt64}, {i:Int32}, {f:Float64}, {s:String}, hex({s:String}), length({long:String}),
		{a:Array(String)}, {d:DateTime('UTC')}, {none:Nullable(String)}, (SELECT count() FROM {t:Identifier}.{o:Identifier})`,
		clickhouse.Named("n", uint64(18446744073709551615)), clickhouse.Named("i", -7), clickhouse.Named("f", 0.5),
		clickhouse.Named("s", "quotes ' \" ` backslash \\ tab \t newline \n unicode ü 😀"),
		clickhouse.Named("long", strings.Repeat("x", 10000)), clickhouse.Named("a", []string{"a", "b'", "c\\"}),
		clickhouse.DateNamed("d", time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC), clickhouse.Seconds),
		clickhouse.Named("none", nil), clickhouse.Named("t", "sales"), clickhouse.Named("o", "orders"))
}

func settings() (any, error) {
	return ask(set(clickhouse.Settings{"max_block_size": 1000}), conn, "SELECT getSetting('max_block_size')")
}

func insertRows() (any, error) {
	ctx := context.Background()
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+prefix+"rows")
	if err != nil {
		return nil, err
	}
	for id := range 100 {
		name, amount := fmt.Sprintf("name %d 'ü'\t\\", id), fmt.Sprintf("%.2f", float64(id)*1.25)
		if err := batch.Append(uint64(id), name, amount, time.Unix(1772280000+int64(id), 0), []string{"a", fmt.Sprint(id)}); err != nil {
			return nil, err
		}
	}
	if err := batch.Send(); err != nil {
		return nil, err
	}
	sums, err := ask(ctx, conn, "SELECT count(), sum(id), sum(amount) FROM "+prefix+"rows")
	if err != nil {
		return nil, err
	}
	one, err := ask(ctx, conn, "SELECT * FROM "+prefix+"rows WHERE id = 42")
	return map[string]any{"sums": sums, "one": one}, err
}

func streamed(conn driver.Conn, first, count int) (any, error) {
	ctx := context.Background()
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+prefix+"stream")
	if err != nil {
		return nil, err
	}
	for id := first; id < first+count; id++ {
		if err := batch.Append(uint64(id), fmt.Sprint("name ", id)); err != nil {
			return nil, err
		}
		// Each block goes out by itself.
		if id%10000 == 9999 {
			if err := batch.Flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := batch.Send(); err != nil {
		return nil, err
	}
	return ask(ctx, conn, "SELECT count(), sum(id), max(name) FROM "+prefix+"stream WHERE id >= ? AND id < ?", first, first+count)
}

func insertStream() (any, error) { return streamed(conn, 0, 100000) }

func insertCompressed() (any, error) {
	first := 1000000
	return each(func(conn driver.Conn) (any, error) {
		first += 100000
		return streamed(conn, first, 10000)
	})
}

func external() (any, error) {
	table, err := ext.NewTable("sent", ext.Column("id", "UInt64"), ext.Column("what", "String"))
	if err != nil {
		return nil, err
	}
	for id := range uint64(5) {
		if err := table.Append(id, fmt.Sprint("what ", id)); err != nil {
			return nil, err
		}
	}
	ctx := clickhouse.Context(context.Background(), clickhouse.WithExternalTable(table))
	return ask(ctx, conn, "SELECT o.id, o.region, s.what FROM sales.orders AS o JOIN sent AS s ON s.id = o.id ORDER BY o.id")
}

func errorTable() (any, error) { return ask(context.Background(), conn, "SELECT * FROM sales.nothing") }

func errorSyntax() (any, error) { return ask(context.Background(), conn, "SELEC 1") }

func errorMidStream() (any, error) {
	rows, err := conn.Query(context.Background(), "SELECT number, throwIf(number = 3000000, 'stop here') FROM numbers(4000000)")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	count := 0
	for rows.Next() {
		count++
	}
	return count, rows.Err()
}

func refusalTable() (any, error) {
	if err := gateOnly(); err != nil {
		return nil, err
	}
	return ask(context.Background(), conn, "SELECT name, amount FROM hr.salaries")
}

func refusalEffect() (any, error) {
	if err := gateOnly(); err != nil {
		return nil, err
	}
	return "done", conn.Exec(context.Background(), "DROP TABLE sales.orders")
}

func tokenExpired() (any, error) {
	if err := gateOnly(); err != nil {
		return nil, err
	}
	late, err := clickhouse.Open(options("CLIENT_EXPIRED_TOKEN"))
	if err != nil {
		return nil, err
	}
	defer late.Close()
	return ask(context.Background(), late, "SELECT 1")
}

func tokenRefresh() (any, error) {
	return nil, notRun("this client asks for a token for every request, but not for another one when it is refused")
}

func cancel() (any, error) {
	// ClickHouse ends a statement with its caller's connection only where it is told to, and reads alone.
	ctx, stop := context.WithTimeout(set(clickhouse.Settings{
		"readonly": 1, "max_block_size": 1, "function_sleep_max_microseconds_per_block": 0,
		"cancel_http_readonly_queries_on_client_close": 1,
	}), 300*time.Millisecond)
	defer stop()
	began := time.Now()
	_, err := ask(ctx, conn, "SELECT sum(sleepEachRow(0.1)) FROM numbers(100000)")
	return map[string]any{"back": time.Since(began) < 5*time.Second, "deadline": errors.Is(err, context.DeadlineExceeded)}, nil
}

func session() (any, error) {
	ctx := context.Background()
	return with(func(options *clickhouse.Options) {
		options.Settings = clickhouse.Settings{"session_id": uuid.NewString()}
		options.MaxOpenConns = 1
	}, func(conn driver.Conn) (any, error) {
		for _, statement := range []string{"CREATE TEMPORARY TABLE mine (x UInt8)", "INSERT INTO mine VALUES (1), (2)"} {
			if err := conn.Exec(ctx, statement); err != nil {
				return nil, err
			}
		}
		sum, err := ask(ctx, conn, "SELECT sum(x) FROM mine")
		if err != nil {
			return nil, err
		}
		if err := conn.Exec(ctx, "SET max_threads = 3"); err != nil {
			return nil, err
		}
		threads, err := ask(ctx, conn, "SELECT getSetting('max_threads')")
		return []any{sum, threads}, err
	})
}

func concurrency() (any, error) {
	return with(func(options *clickhouse.Options) { options.MaxOpenConns = 20 }, func(conn driver.Conn) (any, error) {
		numbers, failed := make([]int, 20), make([]error, 20)
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				var told, slept uint8
				failed[n] = conn.QueryRow(context.Background(), fmt.Sprintf("SELECT %d, sleep(0.1)", n)).Scan(&told, &slept)
				numbers[n] = int(told)
			})
		}
		all.Wait()
		slices.Sort(numbers)
		return numbers, errors.Join(failed...)
	})
}

var (
	ids  = regexp.MustCompile(`[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}`)
	ago  = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:]+Z, \d+s ago`)
	host = regexp.MustCompile(`(localhost|127\.0\.0\.1):\d+`)
)

// What differs from run to run: ids, times, addresses.
func steady(text string) string {
	text, _, _ = strings.Cut(text, " (version ")
	text = host.ReplaceAllString(ago.ReplaceAllString(ids.ReplaceAllString(text, "<id>"), "<time>"), "<host>")
	return strings.ReplaceAll(text, prefix, "<prefix>")
}

func main() {
	conn = must(clickhouse.Open(options("CLIENT_TOKEN")))
	defer conn.Close()
	lines := json.NewEncoder(os.Stdout)
	lines.SetEscapeHTML(false)
	for _, one := range []struct {
		name string
		run  func() (any, error)
	}{
		{"connect", connect},
		{"read.types", readTypes},
		{"read.table", readTable},
		{"read.formats", readFormats},
		{"read.large", readLarge},
		{"read.compressed", readCompressed},
		{"read.empty", readEmpty},
		{"headers", headers},
		{"parameters", parameters},
		{"settings", settings},
		{"insert.rows", insertRows},
		{"insert.stream", insertStream},
		{"insert.compressed", insertCompressed},
		{"external", external},
		{"error.table", errorTable},
		{"error.syntax", errorSyntax},
		{"error.mid_stream", errorMidStream},
		{"refusal.table", refusalTable},
		{"refusal.effect", refusalEffect},
		{"token.expired", tokenExpired},
		{"token.refresh", tokenRefresh},
		{"cancel", cancel},
		{"session", session},
		{"concurrency", concurrency},
	} {
		line := map[string]any{"case": one.name}
		value, err := one.run()
		var why notRun
		var exception *clickhouse.Exception
		switch {
		case errors.As(err, &why):
			line["not_run"] = why
		case errors.As(err, &exception):
			line["error"] = map[string]any{"code": exception.Code, "says": steady(err.Error())}
		case err != nil:
			line["error"] = map[string]any{"code": nil, "says": steady(err.Error())}
		default:
			line["value"] = value
		}
		must(0, lines.Encode(line))
	}
}
