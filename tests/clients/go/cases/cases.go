// Package cases is what the programs in Go do alike: the statement of all types, what does not count as a difference, a line for each
// case.
package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Types is a row of many types.
const Types = `SELECT
    toUInt8(255) AS u8, toUInt16(65535) AS u16, toUInt32(4294967295) AS u32, toUInt64('18446744073709551615') AS u64,
    toUInt128('340282366920938463463374607431768211455') AS u128,
    toUInt256('115792089237316195423570985008687907853269984665640564039457584007913129639935') AS u256,
    toInt64('-9223372036854775808') AS i64, toFloat64(0.1) AS f64, toDecimal128('12345678901234567890.0123456789', 10) AS d128,
    'Grüße 😀 \t\n\x01 "\'\\' AS s, toFixedString('abc', 4) AS fs, toDate('2026-02-28') AS d,
    toDateTime64('2026-02-28 12:34:56.789012', 6, 'UTC') AS dt, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS u,
    CAST('b', 'Enum8(\'a\' = 1, \'b\' = 2)') AS e, toIPv4('192.0.2.1') AS ip4, toIPv6('2001:db8::1') AS ip6, [1, 2, 3] AS a,
    tuple(1, 'x') AS t, map('k', 1, 'l', 2) AS m, CAST(NULL, 'Nullable(Int32)') AS n, toLowCardinality('low') AS lc, true AS b`

// NotRun says why a client has no such thing.
type NotRun string

func (why NotRun) Error() string { return string(why) }

var (
	// Direct is whether ClickHouse itself is asked.
	Direct = os.Getenv("CLIENT_WAY") == "direct"
	// Prefix is that of the program's own tables.
	Prefix = os.Getenv("CLIENT_TABLE_PREFIX")
)

// GateOnly is an error where there is no Keyhouse.
func GateOnly() error {
	if Direct {
		return NotRun("gate only")
	}
	return nil
}

// Must is the value, or the program's end.
func Must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

var (
	ids  = regexp.MustCompile(`[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}`)
	ago  = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:]+Z, \d+s ago`)
	host = regexp.MustCompile(`(localhost|127\.0\.0\.1):\d+`)
)

// Steady is without what differs from run to run: ids, times, addresses, the build.
func Steady(text string) string {
	text, _, _ = strings.Cut(text, " (version ")
	text = host.ReplaceAllString(ago.ReplaceAllString(ids.ReplaceAllString(text, "<id>"), "<time>"), "<host>")
	return strings.ReplaceAll(text, Prefix, "<prefix>")
}

// Told is an error as its user sees it.
func Told(err error) map[string]any {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		return map[string]any{"code": exception.Code, "says": Steady(err.Error())}
	}
	return map[string]any{"code": nil, "says": Steady(err.Error())}
}

// Case is one line.
type Case struct {
	Name string
	Run  func() (any, error)
}

// Run prints a line for each.
func Run(cases []Case) {
	lines := json.NewEncoder(os.Stdout)
	lines.SetEscapeHTML(false)
	for _, one := range cases {
		line := map[string]any{"case": one.Name}
		value, err := one.Run()
		var why NotRun
		switch {
		case errors.As(err, &why):
			line["not_run"] = why
		case err != nil:
			line["error"] = Told(err)
		default:
			line["value"] = value
		}
		Must(0, lines.Encode(line))
	}
}
