import com.clickhouse.client.api.ServerException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** com.clickhouse:clickhouse-jdbc: one JSON line for each case. */
public class Jdbc extends Cases {
    interface Use {
        Object with(Connection connection) throws Exception;
    }

    static Connection connection;

    static Connection connect(String token, Map<String, String> more) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("sslrootcert", System.getenv("CLIENT_CA"));
        properties.setProperty("client_name", "clients/1");
        properties.setProperty("max_open_connections", "20");
        if (DIRECT) {
            properties.setProperty("user", System.getenv("CLIENT_USER"));
            properties.setProperty("password", System.getenv("CLIENT_PASSWORD"));
        } else {
            properties.setProperty("bearer_token", System.getenv(token));
        }
        properties.putAll(more);
        return DriverManager.getConnection("jdbc:clickhouse:" + System.getenv("CLIENT_URL") + "/default", properties);
    }

    static Object own(Map<String, String> more, Use use) throws Exception {
        try (Connection own = connect("CLIENT_TOKEN", more)) {
            return use.with(own);
        }
    }

    static List<List<String>> rows(ResultSet result) throws SQLException {
        List<List<String>> all = new ArrayList<>();
        while (result.next()) {
            List<String> row = new ArrayList<>();
            for (int column = 1; column <= result.getMetaData().getColumnCount(); column++) {
                // A tuple has no text of its own.
                row.add(result.getObject(column) instanceof Object[] tuple ? Arrays.deepToString(tuple) : result.getString(column));
            }
            all.add(row);
        }
        return all;
    }

    static List<List<String>> ask(Connection connection, String query) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(query)) {
            return rows(result);
        }
    }

    static List<List<String>> ask(String query) throws SQLException {
        return ask(connection, query);
    }

    interface Listed {
        ResultSet of(DatabaseMetaData data) throws SQLException;
    }

    static Object named(Listed listed, String column) {
        try (ResultSet result = listed.of(connection.getMetaData())) {
            List<String> names = new ArrayList<>();
            while (result.next()) names.add(result.getString(column));
            return names;
        } catch (SQLException error) {
            return told(error);
        }
    }

    /** With what tools ask next: schemas, tables, columns, types. */
    static Object connected() throws SQLException {
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("valid", connection.isValid(5));
        value.put("version", connection.getMetaData().getDatabaseProductVersion());
        value.put("schemas", named(data -> data.getSchemas(null, "sales"), "TABLE_SCHEM"));
        value.put("tables", named(data -> data.getTables(null, "sales", "%", null), "TABLE_NAME"));
        value.put("columns", named(data -> data.getColumns(null, "sales", "orders", "%"), "TYPE_NAME"));
        value.put("keys", named(data -> data.getPrimaryKeys(null, "sales", "orders"), "COLUMN_NAME"));
        value.put("types", named(DatabaseMetaData::getTypeInfo, "TYPE_NAME"));
        return value;
    }

    static Object types() throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(TYPES)) {
            ResultSetMetaData data = result.getMetaData();
            List<String> names = new ArrayList<>();
            List<String> types = new ArrayList<>();
            for (int column = 1; column <= data.getColumnCount(); column++) {
                names.add(data.getColumnName(column));
                types.add(data.getColumnTypeName(column) + " " + data.getColumnType(column) + " " + data.getColumnClassName(column));
            }
            return Map.of("names", names, "types", types, "values", rows(result).get(0));
        }
    }

    static Object formats() throws NotRun {
        throw new NotRun("JDBC gives rows, and no body");
    }

    static Map<String, Object> summed(Connection connection, String query) throws Exception {
        MessageDigest sum = MessageDigest.getInstance("SHA-256");
        long count = 0;
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(query)) {
            while (result.next()) {
                sum.update((result.getLong(1) + " " + result.getString(2) + "\n").getBytes(StandardCharsets.UTF_8));
                count++;
            }
        }
        return Map.of("rows", count, "checksum", HexFormat.of().formatHex(sum.digest()).substring(0, 16));
    }

    static Object large() throws Exception {
        return summed(connection, "SELECT number, toString(number) FROM numbers(2000000)");
    }

    static final Map<String, Map<String, String>> COMPRESSIONS = new LinkedHashMap<>();

    static {
        COMPRESSIONS.put("none", Map.of("compress", "false"));
        for (String method : List.of("LZ4", "ZSTD")) {
            COMPRESSIONS.put("native " + method, Map.of("decompress", "true", "compression.method", method));
            COMPRESSIONS.put("http " + method, Map.of("decompress", "true", "compression.method", method, "client.use_http_compression", "true"));
        }
    }

    static Object each(Use use) {
        Map<String, Object> value = new LinkedHashMap<>();
        COMPRESSIONS.forEach((name, compression) -> {
            try {
                value.put(name, own(compression, use));
            } catch (Exception error) {
                value.put(name, told(error));
            }
        });
        return value;
    }

    static Object compressed() {
        return each(own -> summed(own, "SELECT number, toString(number) FROM numbers(200000)"));
    }

    static Object headers() throws NotRun {
        throw new NotRun("JDBC shows no header");
    }

    /** The driver writes the values into the statement. */
    static Object parameters() throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(
            "SELECT ?, ?, ?, ?, hex(?), length(?), ?, ? FROM sales.orders WHERE id = ? AND region = ?")) {
            String special = "quotes ' \" ` backslash \\ tab \t newline \n question ? unicode ü 😀";
            statement.setBigDecimal(1, new BigDecimal("18446744073709551615"));
            statement.setInt(2, -7);
            statement.setDouble(3, 0.5);
            statement.setString(4, special);
            statement.setString(5, special);
            statement.setString(6, "x".repeat(10000));
            statement.setArray(7, connection.createArrayOf("String", new String[] {"a", "b'", "c\\"}));
            statement.setObject(8, null);
            statement.setLong(9, 42);
            statement.setString(10, "south");
            return rows(statement.executeQuery());
        }
    }

    static Object settings() throws Exception {
        return own(Map.of("clickhouse_setting_max_block_size", "1000"), own -> ask(own, "SELECT getSetting('max_block_size')"));
    }

    static Object insertRows() throws SQLException {
        int[] counts;
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO " + PREFIX + "rows (id, name, amount, at, tags) VALUES (?, ?, ?, ?, ?)")) {
            for (int id = 0; id < 100; id++) {
                statement.setLong(1, id);
                statement.setString(2, "name " + id + " 'ü'\t\\");
                statement.setBigDecimal(3, BigDecimal.valueOf(id * 125L, 2));
                statement.setObject(4, Instant.ofEpochSecond(1772280000L + id).atZone(ZoneOffset.UTC));
                statement.setArray(5, connection.createArrayOf("String", new String[] {"a", Integer.toString(id)}));
                statement.addBatch();
            }
            counts = statement.executeBatch();
        }
        return Map.of("counts", counts.length, "sums", ask("SELECT count(), sum(id), sum(amount) FROM " + PREFIX + "rows"),
            "one", ask("SELECT * FROM " + PREFIX + "rows WHERE id = 42"));
    }

    static Object streamed(Connection connection, int first, int count) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO " + PREFIX + "stream (id, name) VALUES (?, ?)")) {
            for (int id = first; id < first + count; id++) {
                statement.setLong(1, id);
                statement.setString(2, "name " + id);
                statement.addBatch();
                if ((id + 1) % 10000 == 0) statement.executeBatch();
            }
        }
        return ask(connection, "SELECT count(), sum(id), max(name) FROM " + PREFIX + "stream WHERE id >= " + first + " AND id < " + (first + count));
    }

    static Object insertStream() throws Exception {
        return streamed(connection, 0, 100000);
    }

    /** Of inserts also those that the driver sends as RowBinary. */
    static Object insertCompressed() throws Exception {
        int[] first = {1000000};
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("VALUES", each(own -> streamed(own, first[0] += 100000, 10000)));
        value.put("RowBinary", own(Map.of("beta.row_binary_for_simple_insert", "true"), own -> streamed(own, first[0] += 100000, 10000)));
        return value;
    }

    static Object external() throws NotRun {
        throw new NotRun("JDBC sends no tables along");
    }

    static Object refusedTable() throws Exception {
        gateOnly();
        return ask("SELECT name, amount FROM hr.salaries");
    }

    static Object refusedEffect() throws Exception {
        gateOnly();
        try (Statement statement = connection.createStatement()) {
            return statement.executeUpdate("DROP TABLE sales.orders");
        }
    }

    static Object expired() throws Exception {
        gateOnly();
        try (Connection late = connect("CLIENT_EXPIRED_TOKEN", Map.of())) {
            return ask(late, "SELECT 1");
        }
    }

    static Object refresh() throws NotRun {
        throw new NotRun("this driver does not ask for another token");
    }

    static Object cancel() throws Exception {
        Map<String, String> settings = Map.of("clickhouse_setting_max_block_size", "1", "clickhouse_setting_function_sleep_max_microseconds_per_block", "0");
        return own(settings, own -> {
            ExecutorService other = Executors.newSingleThreadExecutor();
            try (Statement statement = own.createStatement()) {
                long began = System.nanoTime();
                Future<Object> asked = other.submit(() -> statement.executeQuery("SELECT sum(sleepEachRow(0.1)) FROM numbers(100000)"));
                Thread.sleep(300);
                String why = "it was not refused";
                // It sends KILL QUERY with its own id.
                statement.cancel();
                try {
                    asked.get();
                } catch (Exception error) {
                    why = String.valueOf(told(error).get("code"));
                }
                return Map.of("back", System.nanoTime() - began < 5_000_000_000L, "why", why);
            } finally {
                other.shutdownNow();
            }
        });
    }

    static Object session() throws Exception {
        return own(Map.of("clickhouse_setting_session_id", UUID.randomUUID().toString()), own -> {
            try (Statement statement = own.createStatement()) {
                statement.execute("CREATE TEMPORARY TABLE mine (x UInt8)");
                statement.executeUpdate("INSERT INTO mine VALUES (1), (2)");
                List<List<String>> sum = ask(own, "SELECT sum(x) FROM mine");
                statement.execute("SET max_threads = 3");
                return List.of(sum, ask(own, "SELECT getSetting('max_threads')"));
            }
        });
    }

    static Object concurrency() throws Exception {
        ExecutorService several = Executors.newFixedThreadPool(20);
        try {
            List<Future<String>> asked = new ArrayList<>();
            for (int n = 0; n < 20; n++) {
                String query = "SELECT " + n + ", sleep(0.1)";
                asked.add(several.submit(() -> ask(query).get(0).get(0)));
            }
            List<Integer> numbers = new ArrayList<>();
            for (Future<String> one : asked) numbers.add(Integer.parseInt(one.get()));
            return numbers.stream().sorted().toList();
        } finally {
            several.shutdownNow();
        }
    }

    /** The code that ClickHouse gave is that of the cause, or of the SQLException itself. */
    static Map<String, Object> told(Throwable error) {
        Integer code = null;
        String says = error.getMessage();
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof SQLException sql) {
                says = sql.getMessage();
                if (sql.getErrorCode() != 0) code = sql.getErrorCode();
            }
            if (cause instanceof ServerException server) code = server.getCode();
        }
        return told(code, says);
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Callable<Object>> cases = new LinkedHashMap<>();
        cases.put("connect", Jdbc::connected);
        cases.put("read.types", Jdbc::types);
        cases.put("read.table", () -> ask("SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20"));
        cases.put("read.formats", Jdbc::formats);
        cases.put("read.large", Jdbc::large);
        cases.put("read.compressed", Jdbc::compressed);
        cases.put("read.empty", () -> ask("SELECT id FROM sales.orders WHERE id < 0"));
        cases.put("headers", Jdbc::headers);
        cases.put("parameters", Jdbc::parameters);
        cases.put("settings", Jdbc::settings);
        cases.put("insert.rows", Jdbc::insertRows);
        cases.put("insert.stream", Jdbc::insertStream);
        cases.put("insert.compressed", Jdbc::insertCompressed);
        cases.put("external", Jdbc::external);
        cases.put("error.table", () -> ask("SELECT * FROM sales.nothing"));
        cases.put("error.syntax", () -> ask("SELEC 1"));
        cases.put("error.mid_stream", () -> summed(connection, "SELECT number, toString(throwIf(number = 3000000, 'stop here')) FROM numbers(4000000)"));
        cases.put("refusal.table", Jdbc::refusedTable);
        cases.put("refusal.effect", Jdbc::refusedEffect);
        cases.put("token.expired", Jdbc::expired);
        cases.put("token.refresh", Jdbc::refresh);
        cases.put("cancel", Jdbc::cancel);
        cases.put("session", Jdbc::session);
        cases.put("concurrency", Jdbc::concurrency);
        connection = connect("CLIENT_TOKEN", Map.of());
        run(cases, Jdbc::told);
        connection.close();
    }
}
