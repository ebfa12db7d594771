// clickhouse-go over HTTP: one JSON line for each case.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"keyhouse.test/clients/go/cases"
)

var conn driver.Conn

func options(token string) *clickhouse.Options {
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(cases.Must(os.ReadFile(os.Getenv("CLIENT_CA"))))
	options := &clickhouse.Options{
		Protocol:   clickhouse.HTTP,
		Addr:       []string{os.Getenv("CLIENT_HOST") + ":" + os.Getenv("CLIENT_PORT")},
		TLS:        &tls.Config{RootCAs: authorities},
		ClientInfo: clickhouse.ClientInfo{Products: []struct{ Name, Version string }{{"clients", "1"}}},
	}
	if cases.Direct {
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
	rows, err := conn.Query(context.Background(), cases.Types)
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
			told = map[string]any{"error": cases.Steady(err.Error())}
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
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+cases.Prefix+"rows")
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
	sums, err := ask(ctx, conn, "SELECT count(), sum(id), sum(amount) FROM "+cases.Prefix+"rows")
	if err != nil {
		return nil, err
	}
	one, err := ask(ctx, conn, "SELECT * FROM "+cases.Prefix+"rows WHERE id = 42")
	return map[string]any{"sums": sums, "one": one}, err
}

func streamed(conn driver.Conn, first, count int) (any, error) {
	ctx := context.Background()
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+cases.Prefix+"stream")
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
	return ask(ctx, conn, "SELECT count(), sum(id), max(name) FROM "+cases.Prefix+"stream WHERE id >= ? AND id < ?", first, first+count)
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
	if err := cases.GateOnly(); err != nil {
		return nil, err
	}
	return ask(context.Background(), conn, "SELECT name, amount FROM hr.salaries")
}

func refusalEffect() (any, error) {
	if err := cases.GateOnly(); err != nil {
		return nil, err
	}
	return "done", conn.Exec(context.Background(), "DROP TABLE sales.orders")
}

func tokenExpired() (any, error) {
	if err := cases.GateOnly(); err != nil {
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
	return nil, cases.NotRun("this client asks for a token for every request, but not for another one when it is refused")
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

func main() {
	conn = cases.Must(clickhouse.Open(options("CLIENT_TOKEN")))
	defer conn.Close()
	cases.Run([]cases.Case{
		{Name: "connect", Run: connect},
		{Name: "read.types", Run: readTypes},
		{Name: "read.table", Run: readTable},
		{Name: "read.formats", Run: readFormats},
		{Name: "read.large", Run: readLarge},
		{Name: "read.compressed", Run: readCompressed},
		{Name: "read.empty", Run: readEmpty},
		{Name: "headers", Run: headers},
		{Name: "parameters", Run: parameters},
		{Name: "settings", Run: settings},
		{Name: "insert.rows", Run: insertRows},
		{Name: "insert.stream", Run: insertStream},
		{Name: "insert.compressed", Run: insertCompressed},
		{Name: "external", Run: external},
		{Name: "error.table", Run: errorTable},
		{Name: "error.syntax", Run: errorSyntax},
		{Name: "error.mid_stream", Run: errorMidStream},
		{Name: "refusal.table", Run: refusalTable},
		{Name: "refusal.effect", Run: refusalEffect},
		{Name: "token.expired", Run: tokenExpired},
		{Name: "token.refresh", Run: tokenRefresh},
		{Name: "cancel", Run: cancel},
		{Name: "session", Run: session},
		{Name: "concurrency", Run: concurrency},
	})
}
