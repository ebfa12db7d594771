import com.clickhouse.client.api.Client;
import com.clickhouse.client.api.CompressionMethod;
import com.clickhouse.client.api.ServerException;
import com.clickhouse.client.api.command.CommandSettings;
import com.clickhouse.client.api.data_formats.ClickHouseBinaryFormatReader;
import com.clickhouse.client.api.insert.InsertSettings;
import com.clickhouse.client.api.query.GenericRecord;
import com.clickhouse.client.api.query.QueryResponse;
import com.clickhouse.client.api.query.QuerySettings;
import com.clickhouse.data.ClickHouseColumn;
import com.clickhouse.data.ClickHouseFormat;
import java.io.OutputStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** com.clickhouse:client-v2: one JSON line for each case. */
public class Program extends Cases {
    interface Use {
        Object with(Client client) throws Exception;
    }

    static Client client;

    static Client.Builder builder(String token) {
        Client.Builder builder = new Client.Builder()
            .addEndpoint(System.getenv("CLIENT_URL"))
            .setRootCertificate(System.getenv("CLIENT_CA"))
            .setMaxConnections(20)
            .setClientName("clients/1");
        return DIRECT
            ? builder.setUsername(System.getenv("CLIENT_USER")).setPassword(System.getenv("CLIENT_PASSWORD"))
            : builder.useBearerTokenAuth(System.getenv(token));
    }

    static Object own(Consumer<Client.Builder> change, Use use) throws Exception {
        Client.Builder builder = builder("CLIENT_TOKEN");
        change.accept(builder);
        try (Client own = builder.build()) {
            return use.with(own);
        }
    }

    static String text(GenericRecord record, ClickHouseColumn column) {
        String name = column.getColumnName();
        Object value = column.isArray() ? record.getList(name) : record.getObject(name);
        return value instanceof Object[] several ? Arrays.deepToString(several) : String.valueOf(value);
    }

    static List<List<String>> rows(List<GenericRecord> records) {
        List<List<String>> all = new ArrayList<>();
        for (GenericRecord record : records) {
            all.add(record.getSchema().getColumns().stream().map(column -> text(record, column)).toList());
        }
        return all;
    }

    static List<List<String>> ask(String query) {
        return rows(client.queryAll(query));
    }

    static String digest(byte[] body) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body)).substring(0, 16);
    }

    static Object connect() throws Exception {
        if (!client.ping()) throw new Exception("no answer to a ping");
        client.loadServerInfo();
        return client.getServerVersion();
    }

    static Object types() {
        GenericRecord row = client.queryAll(TYPES).get(0);
        var columns = row.getSchema().getColumns();
        return Map.of(
            "names", columns.stream().map(column -> column.getColumnName()).toList(),
            "types", columns.stream().map(column -> column.getOriginalTypeName()).toList(),
            "values", columns.stream().map(column -> text(row, column)).toList());
    }

    static byte[] body(Client client, String query, QuerySettings settings) throws Exception {
        try (QueryResponse response = client.query(query, settings).get()) {
            return response.getInputStream().readAllBytes();
        }
    }

    static Object formats() throws Exception {
        Map<String, Object> value = new LinkedHashMap<>();
        for (ClickHouseFormat format : List.of(ClickHouseFormat.TabSeparated, ClickHouseFormat.CSV, ClickHouseFormat.JSONEachRow,
            ClickHouseFormat.JSONCompactEachRow, ClickHouseFormat.Native, ClickHouseFormat.RowBinary, ClickHouseFormat.Parquet,
            ClickHouseFormat.Arrow)) {
            byte[] body = body(client, "SELECT id, region, amount, placed FROM sales.orders ORDER BY id LIMIT 3", new QuerySettings().setFormat(format));
            String shown = new String(body, StandardCharsets.UTF_8);
            boolean isText = Arrays.equals(shown.getBytes(StandardCharsets.UTF_8), body) && !shown.contains("\0");
            value.put(format.name(), isText ? shown : digest(body));
        }
        return value;
    }

    static Map<String, Object> summed(Client client, String query) throws Exception {
        MessageDigest sum = MessageDigest.getInstance("SHA-256");
        long count = 0;
        try (QueryResponse response = client.query(query).get()) {
            ClickHouseBinaryFormatReader reader = client.newBinaryFormatReader(response);
            while (reader.next() != null) {
                sum.update((reader.getLong(1) + " " + reader.getString(2) + "\n").getBytes(StandardCharsets.UTF_8));
                count++;
            }
            return Map.of("rows", count, "checksum", HexFormat.of().formatHex(sum.digest()).substring(0, 16));
        }
    }

    static Object large() throws Exception {
        return summed(client, "SELECT number, toString(number) FROM numbers(2000000)");
    }

    static final Map<String, Consumer<Client.Builder>> COMPRESSIONS = new LinkedHashMap<>();

    static {
        COMPRESSIONS.put("none", builder -> builder.compressServerResponse(false));
        COMPRESSIONS.put("native lz4", builder -> builder.compressServerResponse(true).compressClientRequest(true).compressionMethod(CompressionMethod.LZ4));
        COMPRESSIONS.put("native zstd", builder -> builder.compressServerResponse(true).compressClientRequest(true).compressionMethod(CompressionMethod.ZSTD));
        COMPRESSIONS.put("http lz4", builder -> builder.compressServerResponse(true).compressClientRequest(true).useHttpCompression(true)
            .compressionMethod(CompressionMethod.LZ4));
        COMPRESSIONS.put("http zstd", builder -> builder.compressServerResponse(true).compressClientRequest(true).useHttpCompression(true)
            .compressionMethod(CompressionMethod.ZSTD));
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
        return each(client -> summed(client, "SELECT number, toString(number) FROM numbers(200000)"));
    }

    static Object headers() throws Exception {
        String id = UUID.randomUUID().toString();
        QuerySettings settings = new QuerySettings().setQueryId(id).waitEndOfQuery(true);
        try (QueryResponse response = client.query("SELECT number FROM numbers(1000)", settings).get()) {
            response.getInputStream().readAllBytes();
            return Map.of("query_id", id.equals(response.getQueryId()), "read_rows", response.getReadRows(),
                "timezone", response.getTimeZone().getID(), "format", response.getFormat().name());
        }
    }

    static Object parameters() throws Exception {
        String query = """
            SELECT {n:UInt64}, {i:Int32}, {f:Float64}, {s:String}, hex({s:String}), length({long:String}), {a:Array(String)},
            {none:Nullable(String)}, (SELECT count() FROM {t:Identifier}.{o:Identifier})""";
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("n", "18446744073709551615");
        parameters.put("i", -7);
        parameters.put("f", 0.5);
        parameters.put("s", "quotes ' \" ` backslash \\ tab \t newline \n unicode ü 😀");
        parameters.put("long", "x".repeat(10000));
        parameters.put("a", List.of("a", "b'", "c"));
        parameters.put("none", null);
        parameters.put("t", "sales");
        parameters.put("o", "orders");
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("address", either(() -> rows(client.queryAll(query, parameters))));
        value.put("form", either(() -> own(builder -> builder.useHttpFormDataForQuery(true), form -> rows(form.queryAll(query, parameters)))));
        return value;
    }

    static Object either(Callable<Object> one) {
        try {
            return one.call();
        } catch (Exception error) {
            return told(error);
        }
    }

    static Object settings() {
        return rows(client.queryAll("SELECT getSetting('max_block_size')", new QuerySettings().serverSetting("max_block_size", "1000")));
    }

    /** A row of the table; the client asks for its columns by these names. */
    public static class Row {
        private final int id;

        Row(int id) {
            this.id = id;
        }

        public long getId() {
            return id;
        }

        public String getName() {
            return "name " + id + " 'ü'\t\\";
        }

        public BigDecimal getAmount() {
            return BigDecimal.valueOf(id * 125L, 2);
        }

        public LocalDateTime getAt() {
            return LocalDateTime.ofEpochSecond(1772280000L + id, 0, ZoneOffset.UTC);
        }

        public List<String> getTags() {
            return List.of("a", Integer.toString(id));
        }
    }

    static Object insertRows() throws Exception {
        String[] parts = (PREFIX + "rows").split("\\.");
        client.register(Row.class, client.getTableSchema(parts[1], parts[0]));
        List<Row> rows = new ArrayList<>();
        for (int id = 0; id < 100; id++) rows.add(new Row(id));
        try (var response = client.insert(parts[1], rows, new InsertSettings().setDatabase(parts[0])).get()) {
            return Map.of("written", response.getWrittenRows(), "sums", ask("SELECT count(), sum(id), sum(amount) FROM " + PREFIX + "rows"),
                "one", ask("SELECT * FROM " + PREFIX + "rows WHERE id = 42"));
        }
    }

    static Object streamed(Client client, int first, int count) throws Exception {
        client.insert(PREFIX + "stream", (OutputStream out) -> {
            for (int id = first; id < first + count; id++) out.write((id + "\tname " + id + "\n").getBytes(StandardCharsets.UTF_8));
            out.close();
        }, ClickHouseFormat.TabSeparated, new InsertSettings()).get().close();
        return rows(client.queryAll("SELECT count(), sum(id), max(name) FROM " + PREFIX + "stream WHERE id >= " + first + " AND id < " + (first + count)));
    }

    static Object insertStream() throws Exception {
        return streamed(client, 0, 100000);
    }

    static Object insertCompressed() {
        int[] first = {1000000};
        return each(client -> streamed(client, first[0] += 100000, 10000));
    }

    static Object external() throws NotRun {
        throw new NotRun("this client sends no tables along");
    }

    static Object refusedTable() throws NotRun {
        gateOnly();
        return ask("SELECT name, amount FROM hr.salaries");
    }

    static Object refusedEffect() throws Exception {
        gateOnly();
        client.execute("DROP TABLE sales.orders").get();
        return "done";
    }

    static Object expired() throws NotRun {
        gateOnly();
        try (Client late = builder("CLIENT_EXPIRED_TOKEN").build()) {
            return rows(late.queryAll("SELECT 1"));
        }
    }

    static Object refresh() throws NotRun {
        throw new NotRun("this client is told of a new token, but does not ask for one");
    }

    static Object cancel() throws Exception {
        String id = UUID.randomUUID().toString();
        // ClickHouse ends a statement with its caller's connection only where it is told to, and reads alone.
        QuerySettings settings = new QuerySettings().setQueryId(id).serverSetting("readonly", "1").serverSetting("max_block_size", "1")
            .serverSetting("function_sleep_max_microseconds_per_block", "0").serverSetting("cancel_http_readonly_queries_on_client_close", "1");
        return own(builder -> builder.useAsyncRequests(true), own -> {
            long began = System.nanoTime();
            CompletableFuture<QueryResponse> asked = own.query("SELECT sum(sleepEachRow(0.1)) FROM numbers(100000)", settings);
            TimeUnit.MILLISECONDS.sleep(300);
            own.cancelTransportRequest(id);
            boolean refused = false;
            try {
                asked.get(5, TimeUnit.SECONDS).close();
            } catch (Exception error) {
                refused = true;
            }
            return Map.of("back", System.nanoTime() - began < 5_000_000_000L, "refused", refused);
        });
    }

    static Object session() throws Exception {
        return own(builder -> builder.setSessionId(UUID.randomUUID().toString()), own -> {
            own.execute("CREATE TEMPORARY TABLE mine (x UInt8)").get();
            own.execute("INSERT INTO mine VALUES (1), (2)").get();
            var sum = rows(own.queryAll("SELECT sum(x) FROM mine"));
            own.execute("SET max_threads = 3", new CommandSettings()).get();
            return List.of(sum, rows(own.queryAll("SELECT getSetting('max_threads')")));
        });
    }

    static Object concurrency() throws Exception {
        return own(builder -> builder.useAsyncRequests(true), own -> {
            List<CompletableFuture<com.clickhouse.client.api.query.Records>> asked = new ArrayList<>();
            for (int n = 0; n < 20; n++) asked.add(own.queryRecords("SELECT " + n + ", sleep(0.1)"));
            List<Long> numbers = new ArrayList<>();
            for (var one : asked) {
                try (var records = one.get()) {
                    for (GenericRecord record : records) numbers.add(record.getLong(1));
                }
            }
            return numbers.stream().sorted().toList();
        });
    }

    static Map<String, Object> told(Throwable error) {
        Throwable first = error;
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof ServerException) {
                first = cause;
                break;
            }
        }
        return told(first instanceof ServerException server ? server.getCode() : null, first.getMessage());
    }

    public static void main(String[] arguments) {
        Map<String, Callable<Object>> cases = new LinkedHashMap<>();
        cases.put("connect", Program::connect);
        cases.put("read.types", Program::types);
        cases.put("read.table", () -> ask("SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20"));
        cases.put("read.formats", Program::formats);
        cases.put("read.large", Program::large);
        cases.put("read.compressed", Program::compressed);
        cases.put("read.empty", () -> ask("SELECT id FROM sales.orders WHERE id < 0"));
        cases.put("headers", Program::headers);
        cases.put("parameters", Program::parameters);
        cases.put("settings", Program::settings);
        cases.put("insert.rows", Program::insertRows);
        cases.put("insert.stream", Program::insertStream);
        cases.put("insert.compressed", Program::insertCompressed);
        cases.put("external", Program::external);
        cases.put("error.table", () -> ask("SELECT * FROM sales.nothing"));
        cases.put("error.syntax", () -> ask("SELEC 1"));
        cases.put("error.mid_stream", () -> summed(client, "SELECT number, toString(throwIf(number = 3000000, 'stop here')) FROM numbers(4000000)"));
        cases.put("refusal.table", Program::refusedTable);
        cases.put("refusal.effect", Program::refusedEffect);
        cases.put("token.expired", Program::expired);
        cases.put("token.refresh", Program::refresh);
        cases.put("cancel", Program::cancel);
        cases.put("session", Program::session);
        cases.put("concurrency", Program::concurrency);
        client = builder("CLIENT_TOKEN").build();
        run(cases, Program::told);
        client.close();
    }
}
