//! Tables that come with a statement (21 and 22): their names, formats and columns, and what ClickHouse gets of them.

use super::{
    Deed::{Falsifies, Tells},
    Scene, Way, form, refused,
};
use crate::support::raw::{Form, Raw};

const ROWS: &str = "1\tone\n3\tthree\n";

/// A table of this name beside a statement.
fn with(sql: &str, name: &str) -> Form {
    Form::default().field("query", sql).field(&format!("{name}_structure"), "x UInt64, s String").file(name, "", ROWS)
}

fn taken(raw: Raw, form: &Form) -> Raw {
    raw.form("x", form)
}

/// What ClickHouse gets of a table with its columns named.
fn sent(sql: &str, name: &str, format: &str, structure: &str, content: impl AsRef<[u8]>) -> Form {
    let form = Form::default().field("query", sql).field(&format!("{name}_format"), format);
    form.field(&format!("{name}_structure"), structure).file(name, name, content)
}

/// Names that would stand for another table.
fn names() -> Vec<Way> {
    let no = |raw: Raw| refused(21, raw, 403, "upload-not-allowed", "has the name of another");
    let to = |sql: &str, name: &str| taken(Raw::post("/"), &with(sql, name));
    let described = Form::default().file("pub", "", ROWS);
    let mut ways = vec![
        // Named by the rule, whatever the statement says.
        no(to("SELECT a FROM pub", "pub")),
        no(to("SELECT * FROM pub", "pub")).does_everywhere(Falsifies),
        no(taken(Raw::post("/?query=SELECT * FROM pub&pub_structure=a UInt64, s String"), &described)).does_everywhere(Falsifies),
        no(taken(Raw::post("/?query=SELECT * FROM pub&pub_types=UInt64,String"), &described)).does_everywhere(Falsifies),
        no(to("SELECT 1", "pub")),
        no(to("SELECT x FROM default.pub", "pub")),
        no(taken(Raw::post("/?query=SELECT a FROM pub&pub_structure=a UInt64, s String"), &described)),
        no(taken(Raw::post("/?query=SELECT a FROM pub&pub_types=UInt64,String&pub_format=TSV"), &described)),
        no(taken(Raw::post("/"), &Form::default().field("query", "SELECT 1").field("pub_types", "UInt64,String").file("pub", "x.tsv", ROWS))),
        // Denied by the rule.
        no(to("SELECT x FROM hidden", "hidden")).by("engineers"),
        no(to("SELECT 1", "hidden")).by("engineers"),
        // Meant otherwise by the statement.
        no(to("WITH u AS (SELECT 1 AS x) SELECT x FROM u", "u")),
        no(to("WITH u AS (SELECT 1 AS x) SELECT * FROM (SELECT x FROM u)", "u")),
        no(to("SELECT x FROM default.u", "u")).by("engineers"),
        no(to("SELECT u.x, v.x FROM u CROSS JOIN default.u AS v", "u")).by("engineers"),
        no(to("SELECT 1 IN default.u", "u")).by("engineers"),
        no(to("INSERT INTO u SELECT 1, 'a'", "u")).by("engineers"),
        no(to("INSERT INTO default.u SELECT 1, 'a'", "u")).by("engineers"),
        refused(21, to("INSERT INTO log VALUES (1,'a')", "u"), 400, "not-understood", "takes no tables along").by("engineers"),
        refused(21, to("SELECT x FROM u CROSS JOIN sec.u", "u"), 403, "table-not-allowed", "sec.u"),
        refused(21, to("SELECT x FROM u CROSS JOIN sec.secret", "u"), 403, "table-not-allowed", "sec.secret"),
        refused(21, to("SELECT x FROM u CROSS JOIN t", "u"), 403, "table-not-allowed", "default.t"),
        refused(21, to("SELECT x FROM U", "u"), 403, "table-not-allowed", "default.U"),
    ];
    for name in ["pub`", "a b", "a.b", "sec.secret", "1u", "", "ü", "a\\\"; filename=\\\"b", "param_x", "default"] {
        let form = Form::default().field("query", "SELECT 1").file(name, "", ROWS);
        ways.push(refused(21, taken(Raw::post("/"), &form), 400, "malformed-body", ""));
    }
    let twice = with("SELECT x FROM u", "u").file("u", "", ROWS);
    ways.push(refused(21, taken(Raw::post("/"), &twice), 400, "malformed-body", "two tables `u`"));
    for name in ["u", "_data", "Pub", "secret"] {
        let sql = format!("SELECT sum(x), max(s) FROM {name}");
        ways.push(form(21, to(&sql, name), sent(&sql, name, "TabSeparated", "x UInt64, s String", ROWS)));
    }
    let sql = "SELECT a, s FROM pub WHERE a IN u";
    let one = Form::default().field("query", sql).field("u_types", "UInt64").file("u", "ids.csv", "1\n3\n");
    let wanted = Form::default().field("query", sql).field("u_format", "TabSeparated").field("u_types", "UInt64").file("u", "u", "1\n3\n");
    ways.push(form(21, taken(Raw::post("/"), &one), wanted));
    let sql = "INSERT INTO log SELECT x, s FROM u";
    let wanted = sent(sql, "u", "TabSeparated", "x UInt64, s String", ROWS);
    ways.push(form(21, to(sql, "u"), wanted).writes());
    ways
}

/// Formats that are more than rows, and columns that are more than names and types.
fn descriptions() -> Vec<Way> {
    let sql = "SELECT count() FROM t";
    let secret = "((SELECT s FROM sec.secret))";
    let table = |format: &str, structure: &str, content: &str| {
        Form::default().field("query", sql).field("t_format", format).field("t_structure", structure).file("t", "", content)
    };
    let mut ways = Vec::new();
    let evaluated =
        Form::default().field("query", "SELECT * FROM t").field("t_format", "Values").field("t_structure", "s String").file("t", "", secret);
    let way = refused(22, taken(Raw::post("/"), &evaluated), 403, "upload-not-allowed", "formats of plain rows");
    ways.push(way.does(None, Tells));
    for format in [
        "Values",
        "values",
        "VALUES",
        "Template",
        "TemplateIgnoreSpaces",
        "CustomSeparated",
        "Regexp",
        "Protobuf",
        "ProtobufSingle",
        "ProtobufList",
        "CapnProto",
        "Avro",
        "AvroConfluent",
        "MySQLDump",
        "SQLInsert",
        "Npy",
        "LineAsString",
        "RawBLOB",
        "JSONAsString",
        "Nonsense",
        "tsv",
        "",
    ] {
        let no = |raw: Raw| refused(22, raw, 403, "upload-not-allowed", "formats of plain rows");
        ways.push(no(taken(Raw::post("/"), &table(format, "s String", secret))));
        let named = Form::default().file("t", "", secret);
        ways.push(no(taken(Raw::post(&format!("/?query={sql}&t_structure=s String&t_format={format}")), &named)));
        ways.push(no(taken(Raw::post(&format!("/?t_types=String&t_format={format}")), &named.field("query", sql))));
    }
    for structure in [
        "s String DEFAULT file('/etc/passwd')",
        "s String ALIAS (SELECT s FROM sec.secret)",
        "s String MATERIALIZED 1",
        "s String EPHEMERAL",
        "s String DEFAULT 1",
        "s DEFAULT 1",
        "s String CODEC(ZSTD)",
        "s String TTL now()",
        "s String COMMENT 'x'",
        "s String, INDEX i s TYPE minmax",
        "s String; DROP TABLE victim",
        "s String) SELECT 1",
        "s",
        "",
        ",",
        "s String,",
        "(s String)",
        "* EXCEPT s",
    ] {
        ways.push(refused(22, taken(Raw::post("/"), &table("TSV", structure, "x\n")), 400, "malformed-body", "cannot be read; send `t_structure`"));
        let named = Form::default().field("query", sql).file("t", "", "x\n");
        let address = format!("/?t_structure={}", structure.replace('+', "%2B"));
        ways.push(refused(22, taken(Raw::post(&address), &named), 400, "malformed-body", "cannot be read; send `t_structure`"));
    }
    for types in ["s String", "String DEFAULT 1", "", "String,", "String)"] {
        let form = Form::default().field("query", sql).field("t_types", types).file("t", "", "x\n");
        ways.push(refused(22, taken(Raw::post("/"), &form), 400, "malformed-body", "cannot be read"));
    }
    let bare = Form::default().field("query", sql).file("t", "", "x\n");
    ways.push(refused(22, taken(Raw::post("/"), &bare), 400, "malformed-body", "cannot be read"));
    ways.push(refused(22, taken(Raw::post("/?t_types=String"), &table("TSV", "s String", "x\n")), 400, "malformed-body", "cannot be read"));
    let again = table("TSV", "s String", "x\n").field("t_format", "Values");
    ways.push(refused(22, taken(Raw::post("/"), &again), 400, "malformed-parameter", "`t_format`"));
    ways.push(refused(22, taken(Raw::post("/?t_format=TSV"), &table("Values", "s String", secret)), 400, "malformed-parameter", "`t_format`"));
    ways.push(refused(
        22,
        taken(Raw::post("/"), &table("TSV", "s String", "x\n").field("o_format", "TSV")),
        400,
        "parameter-not-allowed",
        "`o_format`",
    ));
    ways.push(refused(
        22,
        taken(Raw::post("/"), &table("TSV", "s String", "x\n").field("T_format", "TSV")),
        400,
        "parameter-not-allowed",
        "`T_format`",
    ));
    // Without a form they describe nothing.
    ways.push(refused(
        22,
        Raw::post(&format!("/?query={sql}&t_format=Values&t_structure=s String")).body(""),
        403,
        "setting-not-allowed",
        "`t_format`",
    ));
    for head in [
        "Content-Disposition: form-data; name=\"t\"; filename=\"\"\r\nContent-Transfer-Encoding: base64",
        "Content-Disposition: form-data; name=\"t\"; filename=\"\"\r\nContent-Transfer-Encoding: quoted-printable",
        "Content-Disposition: form-data; filename=\"t\"",
        "X-Any: x",
    ] {
        let form = Form::default().field("query", sql).part(head, "x\n");
        ways.push(refused(22, taken(Raw::post("/?t_types=String"), &form), 400, "malformed-body", ""));
    }

    for (format, columns, content) in [
        ("TSV", "s String", "((SELECT s FROM sec.secret))\n"),
        ("CSV", "x UInt64, s String", "1,\"(SELECT s FROM sec.secret)\"\n2,b\n"),
        ("JSONEachRow", "x UInt64, s String", "{\"x\":1,\"s\":\"a\"}\n"),
        ("RowBinary", "s String", "\u{2}ab"),
        ("TabSeparatedWithNames", "s String", "s\na\n"),
        ("TSV", "`a b` Array(Nullable(String)), d DateTime", "[]\t2026-01-01 00:00:00\n"),
    ] {
        // The old server reads columns word by word.
        let taken_by = |way: Way| if columns.contains('`') { way.not_old() } else { way };
        let written = table(format, columns, content);
        ways.push(taken_by(form(22, taken(Raw::post("/"), &written), sent(sql, "t", format, columns, content))));
        let named = Form::default().field("query", sql).file("t", "file.name", content);
        let raw = taken(Raw::post(&format!("/?t_structure={columns}&t_format={format}")), &named);
        ways.push(taken_by(form(22, raw, sent(sql, "t", format, columns, content))));
    }
    // How a part is disposed of says nothing to ClickHouse either.
    let disposed = Form::default().field("query", sql).part("Content-Disposition: attachment; name=\"t\"; filename=\"\"", "x\n");
    let wanted = Form::default().field("query", sql).field("t_format", "TabSeparated").field("t_types", "String").file("t", "t", "x\n");
    ways.push(form(22, taken(Raw::post("/?t_types=String"), &disposed), wanted));
    // A comment is not a column, and goes no further.
    let commented = table("TSV", "s /* DEFAULT 1 */ String -- x", "a\n");
    ways.push(form(22, taken(Raw::post("/"), &commented), sent(sql, "t", "TSV", "s String", "a\n")).not_old());
    ways
}

pub fn all() -> Vec<Way> {
    [names(), descriptions()].into_iter().flatten().collect()
}

#[tokio::test]
async fn a_table_that_comes_along_stands_for_no_other_and_is_rows_alone() {
    let scene = Scene::begin(|plan| plan).await;
    scene.goes(&all()).await;
}

/// A boundary that the caller guesses, or content that looks like one, ends no part.
#[tokio::test]
async fn content_that_looks_like_a_form_stays_content() {
    let scene = Scene::begin(|plan| plan).await;
    let content = "a\r\n--keyhouse-\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nDROP TABLE victim\r\n--y--\r\n";
    let form_of = Form::default().field("query", "SELECT count() FROM t").field("t_types", "String").file("t", "", content);
    let wanted =
        Form::default().field("query", "SELECT count() FROM t").field("t_format", "TabSeparated").field("t_types", "String").file("t", "t", content);
    let way = form(22, Raw::post("/").form("x", &form_of), wanted);
    scene.goes(&[way]).await;
    for body in [
        "",
        "--x--\r\n",
        "--x\r\n",
        "--y\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT 1\r\n--y--\r\n",
        "--x\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT 1\r\n--x",
        "--x\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT 1",
        "--x\nContent-Disposition: form-data; name=\"query\"\n\nSELECT 1\n--x--\n",
        "--x\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT \0\r\n--x--\r\n",
    ] {
        let raw = Raw::post("/").header("Content-Type: multipart/form-data; boundary=x").body(body);
        let answer = scene.ask(&raw, "analysts").await;
        assert_eq!(answer.status, 400, "{body:?}: {}", answer.text());
    }
}
