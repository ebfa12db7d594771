import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Function;

/** What the programs in Java do alike: a row of many types, what does not count as a difference, a line for each case. */
class Cases {
    static final String TYPES = """
        SELECT toUInt8(255) AS u8, toUInt16(65535) AS u16, toUInt32(4294967295) AS u32, toUInt64('18446744073709551615') AS u64,
        toUInt128('340282366920938463463374607431768211455') AS u128,
        toUInt256('115792089237316195423570985008687907853269984665640564039457584007913129639935') AS u256,
        toInt64('-9223372036854775808') AS i64, toFloat64(0.1) AS f64, toDecimal128('12345678901234567890.0123456789', 10) AS d128,
        'Grüße 😀 \\t\\n\\x01 "\\'\\\\' AS s, toFixedString('abc', 4) AS fs, toDate('2026-02-28') AS d,
        toDateTime64('2026-02-28 12:34:56.789012', 6, 'UTC') AS dt, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS u,
        CAST('b', 'Enum8(\\'a\\' = 1, \\'b\\' = 2)') AS e, toIPv4('192.0.2.1') AS ip4, toIPv6('2001:db8::1') AS ip6, [1, 2, 3] AS a,
        tuple(1, 'x') AS t, map('k', 1, 'l', 2) AS m, CAST(NULL, 'Nullable(Int32)') AS n, toLowCardinality('low') AS lc, true AS b""";

    static class NotRun extends Exception {
        NotRun(String why) {
            super(why);
        }
    }

    static final boolean DIRECT = "direct".equals(System.getenv("CLIENT_WAY"));
    static final String PREFIX = System.getenv("CLIENT_TABLE_PREFIX");

    static void gateOnly() throws NotRun {
        if (DIRECT) throw new NotRun("gate only");
    }

    /** What differs from run to run is left out: ids, times, addresses, the build. */
    static String steady(String said) {
        return said.replaceAll("[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", "<id>")
            .replaceAll("\\d{4}-\\d\\d-\\d\\dT[\\d:]+Z, \\d+s ago", "<time>")
            .replaceAll(" \\(version [^)]*\\)\\)?", "")
            .replaceAll("(localhost|127\\.0\\.0\\.1):\\d+", "<host>")
            .replace(PREFIX, "<prefix>");
    }

    static Map<String, Object> told(Integer code, String says) {
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("code", code);
        told.put("says", steady(String.valueOf(says)));
        return told;
    }

    /** Prints a line for each; `told` is an error as the client's user sees it. */
    static void run(Map<String, Callable<Object>> cases, Function<Throwable, Map<String, Object>> told) {
        Gson gson = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
        cases.forEach((name, run) -> {
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("case", name);
            try {
                line.put("value", run.call());
            } catch (NotRun why) {
                line.put("not_run", why.getMessage());
            } catch (Exception error) {
                line.put("error", told.apply(error));
            }
            System.out.println(gson.toJson(line));
        });
    }
}
