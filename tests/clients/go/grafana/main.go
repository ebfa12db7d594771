// What Grafana asks: one JSON line for each case.
//
// This is not the official data source itself, which the Go module proxy does not serve, but clickhouse-go with the options
// that it sets (pkg/plugin/driver.go), through database/sql as there. The other data source, Altinity's, sends plain HTTP.
package main

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"keyhouse.test/clients/go/cases"
)

var panels *sql.DB

func trust() *tls.Config {
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(cases.Must(os.ReadFile(os.Getenv("CLIENT_CA"))))
	return &tls.Config{RootCAs: authorities, ServerName: os.Getenv("CLIENT_HOST")}
}

// The user and password of the data source. Keyhouse wants the name that the token is for, or none, and without a name
// clickhouse-go sends no password.
func account() (string, string) {
	if cases.Direct {
		return os.Getenv("CLIENT_USER"), os.Getenv("CLIENT_PASSWORD")
	}
	return "bob", os.Getenv("CLIENT_OTHER_TOKEN")
}

// What stands beside the token of whoever looks at a dashboard, with "Forward Grafana HTTP Headers".
func forwarded() map[string]string {
	headers := map[string]string{
		"X-Grafana-User": "alice", "X-Grafana-Org-Id": "1", "X-Datasource-Uid": "P1", "X-Dashboard-Uid": "D1", "X-Panel-Id": "2",
		"X-Dashboard-Title": "Sales",
	}
	if !cases.Direct {
		headers["X-Id-Token"] = os.Getenv("CLIENT_TOKEN")
	}
	return headers
}

// With "Forward OAuth Identity" a panel asks with the token of whoever looks at it; what has nobody, with the account.
func source(token string, headers map[string]string, settings clickhouse.Settings) *sql.DB {
	options := &clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{os.Getenv("CLIENT_HOST") + ":" + os.Getenv("CLIENT_PORT")},
		TLS:         trust(),
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionGZIP},
		ClientInfo:  clickhouse.ClientInfo{Products: []struct{ Name, Version string }{{"grafana", "12.3.0"}, {"clickhouse-datasource", "4.12.0"}}},
		HttpHeaders: headers,
		Settings:    settings,
		DialTimeout: 10 * time.Second,
		ReadTimeout: 60 * time.Second,
		Auth:        clickhouse.Auth{Database: "default"},
	}
	if cases.Direct || token == "" {
		options.Auth.Username, options.Auth.Password = account()
	} else {
		options.GetJWT = func(context.Context) (string, error) { return os.Getenv(token), nil }
	}
	return clickhouse.OpenDB(options)
}

func rows(db *sql.DB, query string) ([][]string, error) {
	return rowsIn(context.Background(), db, query)
}

func rowsIn(ctx context.Context, db *sql.DB, query string) ([][]string, error) {
	found, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	all := [][]string{}
	for found.Next() {
		row, err := scan(found)
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, found.Err()
}

func scan(found *sql.Rows) ([]string, error) {
	columns, err := found.ColumnTypes()
	if err != nil {
		return nil, err
	}
	var places []any
	for _, column := range columns {
		places = append(places, reflect.New(column.ScanType()).Interface())
	}
	if err := found.Scan(places...); err != nil {
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

// The health check, and what the query editor lists: by the account, as there is no token then.
func connect() (any, error) {
	db := source("", nil, clickhouse.Settings{"limit": 0})
	defer db.Close()
	if err := db.Ping(); err != nil {
		return nil, err
	}
	value := map[string]any{}
	for _, query := range []string{
		"SELECT version()",
		"SHOW DATABASES LIKE 's%'",
		`SHOW TABLES FROM "sales"`,
		`DESC TABLE "sales"."orders"`,
		"SELECT database, name FROM system.tables WHERE database = 'sales' ORDER BY database, name",
		"SELECT database, table, name, type, comment FROM system.columns WHERE (database, table) IN (('sales', 'orders')) ORDER BY database, table, position",
		"SELECT name FROM system.functions WHERE name LIKE 'toStartOf%' ORDER BY name",
		"SELECT DISTINCT region FROM sales.orders ORDER BY region SETTINGS max_execution_time=10",
	} {
		listed, err := rows(db, query)
		if err != nil {
			value[query] = cases.Told(err)
		} else {
			value[query] = listed
		}
	}
	return value, nil
}

func readTypes() (any, error) {
	found, err := panels.Query(cases.Types)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	names, err := found.Columns()
	if err != nil {
		return nil, err
	}
	columns, err := found.ColumnTypes()
	if err != nil {
		return nil, err
	}
	var told []string
	for _, column := range columns {
		told = append(told, column.DatabaseTypeName())
	}
	found.Next()
	values, err := scan(found)
	return map[string]any{"names": names, "types": told, "values": values}, err
}

// A table, and a time series as the macros of the query editor write it.
func readTable() (any, error) {
	table, err := rows(panels, "SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20")
	if err != nil {
		return nil, err
	}
	series, err := rows(panels, `SELECT toStartOfInterval(toDateTime(placed), INTERVAL 86400 second) as time, sum(amount) AS total, region
		FROM sales.orders WHERE ( placed >= toDateTime(1767225600) AND placed <= toDateTime(1767571200) )
		GROUP BY time, region ORDER BY time ASC, region LIMIT 100`)
	return map[string]any{"table": table, "series": series}, err
}

// Altinity's data source: how it sends a statement, and with which of its switches.
func altinity(method, query string, parameters url.Values, coding string) (*http.Response, []byte, error) {
	if method == http.MethodGet {
		parameters.Set("query", query)
		query = ""
	}
	request, err := http.NewRequest(method, os.Getenv("CLIENT_URL")+"/?"+parameters.Encode(), strings.NewReader(query))
	if err != nil {
		return nil, nil, err
	}
	request.SetBasicAuth(account())
	request.Header.Set("User-Agent", "Grafana/12.3.0")
	if coding != "" {
		request.Header.Set("Accept-Encoding", coding)
	}
	transport := &http.Transport{TLSClientConfig: trust(), DisableCompression: true}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, body, err
}

func readFormats() (any, error) {
	value := map[string]any{}
	query := "SELECT id, region, amount, placed FROM sales.orders ORDER BY id LIMIT 3 FORMAT JSON"
	for name, parameters := range map[string]url.Values{
		"plain":    {},
		"database": {"database": {"sales"}},
		"logs":     {"output_format_json_quote_64bit_integers": {"1"}, "database": {"sales"}},
		"cors":     {"add_http_cors_header": {"1"}},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			answer, body, err := altinity(method, query, parameters, "")
			if err != nil {
				return nil, err
			}
			parameters.Del("query")
			var whole map[string]any
			if err := json.Unmarshal(body, &whole); err != nil {
				value[name+" "+method] = fmt.Sprint(answer.StatusCode, " ", cases.Steady(string(body)))
				continue
			}
			// How long it took.
			delete(whole, "statistics")
			value[name+" "+method] = whole
		}
	}
	return value, nil
}

func summed(db *sql.DB, query string) (map[string]any, error) {
	found, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	sum, count := sha256.New(), 0
	for found.Next() {
		var number uint64
		var text string
		if err := found.Scan(&number, &text); err != nil {
			return nil, err
		}
		fmt.Fprintln(sum, number, text)
		count++
	}
	return map[string]any{"rows": count, "checksum": fmt.Sprintf("%x", sum.Sum(nil)[:8])}, found.Err()
}

func readLarge() (any, error) {
	return summed(panels, "SELECT number, toString(number) FROM numbers(2000000)")
}

func readCompressed() (any, error) {
	official, err := summed(panels, "SELECT number, toString(number) FROM numbers(200000)")
	if err != nil {
		return nil, err
	}
	value := map[string]any{"official gzip": official}
	for _, coding := range []string{"", "gzip", "deflate", "br", "zstd"} {
		parameters := url.Values{"enable_http_compression": {"1"}}
		query := "SELECT number, toString(number) FROM numbers(200000) FORMAT JSONCompactEachRow"
		answer, body, err := altinity(http.MethodPost, query, parameters, coding)
		if err != nil {
			return nil, err
		}
		told := map[string]any{"status": answer.StatusCode, "coding": answer.Header.Get("Content-Encoding")}
		if told["coding"] == "gzip" {
			undone, err := gzip.NewReader(strings.NewReader(string(body)))
			if err != nil {
				return nil, err
			}
			if body, err = io.ReadAll(undone); err != nil {
				return nil, err
			}
		}
		// Of other codings the standard library undoes none; their bytes are ClickHouse's own.
		told["checksum"] = fmt.Sprintf("%x", sha256.Sum256(body))[:16]
		value["altinity "+coding] = told
	}
	return value, nil
}

func readEmpty() (any, error) { return rows(panels, "SELECT id FROM sales.orders WHERE id < 0") }

func headers() (any, error) { return nil, cases.NotRun("the data source shows none") }

func parameters() (any, error) {
	return nil, cases.NotRun("Grafana writes values into the statement")
}

// The row limit, and settings of the data source; with those that it enforces its health check wants readonly to be 0.
func settings() (any, error) {
	db := source("CLIENT_TOKEN", forwarded(), clickhouse.Settings{"limit": 10, "max_threads": "2"})
	defer db.Close()
	limited, err := rows(db, "SELECT id FROM sales.orders ORDER BY id")
	if err != nil {
		return nil, err
	}
	threads, err := rows(db, "SELECT getSetting('max_threads')")
	if err != nil {
		return nil, err
	}
	readonly, err := rows(db, "SELECT value FROM system.settings WHERE name='readonly'")
	return map[string]any{"limited": len(limited), "threads": threads, "readonly": readonly}, err
}

func writes() (any, error) { return nil, cases.NotRun("Grafana reads") }

func external() (any, error) { return nil, cases.NotRun("Grafana sends no tables along") }

func errorTable() (any, error) { return rows(panels, "SELECT * FROM sales.nothing") }

func errorSyntax() (any, error) { return rows(panels, "SELEC 1") }

func errorMidStream() (any, error) {
	return summed(panels, "SELECT number, toString(throwIf(number = 3000000, 'stop here')) FROM numbers(4000000)")
}

func refusalTable() (any, error) {
	if err := cases.GateOnly(); err != nil {
		return nil, err
	}
	return rows(panels, "SELECT name, amount FROM hr.salaries")
}

func refusalEffect() (any, error) {
	if err := cases.GateOnly(); err != nil {
		return nil, err
	}
	return rows(panels, "DROP TABLE sales.orders")
}

func tokenExpired() (any, error) {
	if err := cases.GateOnly(); err != nil {
		return nil, err
	}
	db := source("CLIENT_EXPIRED_TOKEN", nil, nil)
	defer db.Close()
	return rows(db, "SELECT 1")
}

func tokenRefresh() (any, error) {
	return nil, cases.NotRun("Grafana renews the token before it passes it on")
}

func cancel() (any, error) {
	// "Enforce read only" of the data source, and what ClickHouse needs to end a statement with its connection.
	db := source("CLIENT_TOKEN", forwarded(), clickhouse.Settings{
		"readonly": 1, "max_block_size": 1, "function_sleep_max_microseconds_per_block": 0,
		"cancel_http_readonly_queries_on_client_close": 1,
	})
	defer db.Close()
	ctx, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()
	began := time.Now()
	_, err := rowsIn(ctx, db, "SELECT sum(sleepEachRow(0.1)) FROM numbers(100000)")
	return map[string]any{"back": time.Since(began) < 5*time.Second, "deadline": errors.Is(err, context.DeadlineExceeded)}, nil
}

func session() (any, error) { return nil, cases.NotRun("Grafana has no sessions") }

// A dashboard of twenty panels.
func concurrency() (any, error) {
	numbers, failed := make([]string, 20), make([]error, 20)
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			found, err := rows(panels, fmt.Sprintf("SELECT %d, sleep(0.1)", 100+n))
			failed[n] = err
			if err == nil {
				numbers[n] = found[0][0]
			}
		})
	}
	all.Wait()
	slices.Sort(numbers)
	return numbers, errors.Join(failed...)
}

func main() {
	panels = source("CLIENT_TOKEN", forwarded(), clickhouse.Settings{"limit": 0})
	defer panels.Close()
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
		{Name: "insert.rows", Run: writes},
		{Name: "insert.stream", Run: writes},
		{Name: "insert.compressed", Run: writes},
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
