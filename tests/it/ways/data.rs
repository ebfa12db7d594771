//! The data of INSERTs: what goes on as it came, what is undone on the way, and what never looks whole when it is not.

use aws_lc_rs::digest::{SHA256, digest};

use super::{Scene, Way, insert, refused};
use crate::support::{
    client::Caller,
    coding::{BLOCKS, TAKEN, block_lz4, brotli, gzip, hex},
    raw::{Form, Raw, chunked},
    recorder::Ending,
    script::Script,
};

const HEAD: &str = "INSERT INTO log FORMAT TabSeparated";
const ROWS: &str = "1\tone\n2\tSELECT s FROM sec.secret\n";

/// To an address that holds the head.
fn behind_the_head() -> Raw {
    Raw::post(&format!("/?query={HEAD}"))
}

fn coded(raw: Raw, token: &str) -> Raw {
    raw.header(&format!("Content-Encoding: {token}"))
}

pub fn inserts() -> Vec<Way> {
    let plain = format!("{HEAD}\n{ROWS}");
    let pieces: Vec<&[u8]> = ROWS.as_bytes().chunks(3).collect();
    let mut ways = vec![
        insert(30, behind_the_head().body(ROWS), &plain).framed(true),
        insert(30, behind_the_head().chunks(&pieces), &plain).framed(false),
        insert(30, Raw::post("/").body(&plain), &plain).framed(true),
        insert(30, Raw::post("/").chunks(&plain.as_bytes().chunks(7).collect::<Vec<_>>()), &plain).framed(false),
        insert(
            30,
            Raw::post("/?query=INSERT INTO log").body(format!("FORMAT TabSeparated\n{ROWS}")),
            format!("INSERT INTO log\nFORMAT TabSeparated\n{ROWS}"),
        ),
        insert(
            30,
            Raw::post("/?query=INSERT INTO log FORMAT").body(format!("TabSeparated\n{ROWS}")),
            format!("INSERT INTO log FORMAT\nTabSeparated\n{ROWS}"),
        ),
        insert(30, Raw::post("/?query=INSERT INTO log VALUES").body("(1,'one')"), "INSERT INTO log VALUES\n(1,'one')"),
        insert(30, Raw::post("/?query=INSERT INTO log VALUES (1,'one'),").body("(2,'two')"), "INSERT INTO log VALUES (1,'one'),\n(2,'two')"),
        insert(30, Raw::post("/").body("INSERT INTO log (s, id) VALUES ('one', 1)"), "INSERT INTO log (s, id) VALUES ('one', 1)"),
        insert(
            30,
            Raw::post("/?query=INSERT INTO log FORMAT RowBinary").body(b"\x01\0\0\0\0\0\0\0\x02\xff\xfe"),
            b"INSERT INTO log FORMAT RowBinary\n\x01\0\0\0\0\0\0\0\x02\xff\xfe",
        ),
        // Here the line feed is a part of the data, so the old server reads a row more than one may think: it is the same.
        insert(
            30,
            Raw::post("/").body(b"INSERT INTO log FORMAT RowBinary\n\x01\0\0\0\0\0\0\0\x02\xff\xfe"),
            b"INSERT INTO log FORMAT RowBinary\n\x01\0\0\0\0\0\0\0\x02\xff\xfe",
        ),
        insert(30, behind_the_head().body(""), format!("{HEAD}\n")),
    ];
    for (token, code) in TAKEN {
        let old = |way: Way| if ["gzip", "deflate"].contains(&token) { way } else { way.not_old() };
        let data = code(ROWS.as_bytes());
        // A ClickHouse that does not know a coding says so itself.
        let as_it_came = |raw: Raw| insert(23, raw, &data).with("query", HEAD).coded(token);
        ways.push(old(as_it_came(coded(behind_the_head(), token).body(&data)).framed(true)));
        ways.push(old(as_it_came(coded(behind_the_head(), token).chunks(&data.chunks(5).collect::<Vec<_>>())).framed(false)));
        ways.push(old(insert(23, coded(Raw::post("/"), token).body(code(plain.as_bytes())), &plain).framed(false)));
        let rest = code(format!("FORMAT TabSeparated\n{ROWS}").as_bytes());
        let sent = format!("INSERT INTO log\nFORMAT TabSeparated\n{ROWS}");
        ways.push(old(insert(23, coded(Raw::post("/?query=INSERT INTO log"), token).body(rest), sent).framed(false)));
        if token != "br" {
            let members: Vec<u8> = ROWS.as_bytes().chunks(20).flat_map(code).collect();
            ways.push(old(insert(25, coded(behind_the_head(), token).body(&members), &members).with("query", HEAD).coded(token)));
            let members: Vec<u8> = plain.as_bytes().chunks(20).flat_map(code).collect();
            ways.push(old(insert(25, coded(Raw::post("/"), token).body(members), &plain)));
        }
        // What was cut before it was sent goes on as it came, too: it is ClickHouse that reads it, and today's takes
        // these two for whole.
        let cut = &data[..data.len() - 1];
        let way = insert(23, coded(behind_the_head(), token).body(cut), cut).with("query", HEAD).coded(token).not_old();
        ways.push(if ["zstd", "lz4"].contains(&token) { way } else { way.not_today() });
        let both = code(&block_lz4(ROWS.as_bytes()));
        let to = coded(Raw::post(&format!("/?query={HEAD}&decompress=1")), token);
        ways.push(old(insert(27, to.body(&both), &both).with("query", HEAD).with("decompress", "1").coded(token)));
        ways.push(old(insert(27, coded(Raw::post("/?decompress=1"), token).body(code(&block_lz4(plain.as_bytes()))), &plain)));
    }
    for (_, code) in BLOCKS {
        let data: Vec<u8> = ROWS.as_bytes().chunks(20).flat_map(code).collect();
        let to = Raw::post(&format!("/?query={HEAD}&decompress=1"));
        ways.push(insert(26, to.clone().body(&data), &data).with("query", HEAD).with("decompress", "1").framed(true));
        ways.push(insert(26, to.chunks(&data.chunks(5).collect::<Vec<_>>()), &data).with("query", HEAD).with("decompress", "1").framed(false));
        let whole: Vec<u8> = plain.as_bytes().chunks(20).flat_map(code).collect();
        ways.push(insert(26, Raw::post("/?decompress=1").body(whole), &plain));
    }
    ways
}

/// Data that begins with SETTINGS, which servers before 22.4 take for a part of the statement.
fn settings() -> Vec<Way> {
    let no = |raw: Raw| refused(30, raw, 400, "not-understood", "SETTINGS").by("engineers");
    let mut ways = Vec::new();
    for data in [
        "SETTINGS max_threads=1 1\tone\n",
        "settings a=1\n",
        "sEtTiNgS",
        " \t\r\n SETTINGS a=1\n",
        "/* c */SETTINGS a=1\n",
        "/* /* */ */ SETTINGS a=1\n",
        "-- c\nSETTINGS a=1\n",
        "# c\nSETTINGS a=1\n",
        "// c\nSETTINGS a=1\n",
        "\u{a0}\u{3000}SETTINGS a=1\n",
        "SETTINGS/**/a=1\n",
        "SETTINGS`a`=1\n",
    ] {
        let bytes = data.as_bytes();
        ways.push(no(behind_the_head().body(data)));
        ways.push(no(behind_the_head().chunks(&bytes.chunks(1).collect::<Vec<_>>())));
        ways.push(no(Raw::post("/").body(format!("{HEAD} {data}"))));
        ways.push(no(Raw::post("/?query=INSERT INTO log VALUES").body(data)));
        for (token, code) in TAKEN {
            ways.push(no(coded(behind_the_head(), token).body(code(bytes))));
            ways.push(no(coded(Raw::post("/"), token).body(code(format!("{HEAD} {data}").as_bytes()))));
        }
        for (_, code) in BLOCKS {
            let cut: Vec<u8> = bytes.chunks(3).flat_map(code).collect();
            ways.push(no(Raw::post(&format!("/?query={HEAD}&decompress=1")).body(&cut)));
            ways.push(no(coded(Raw::post(&format!("/?query={HEAD}&decompress=1")), "gzip").body(gzip(&cut))));
        }
    }
    for data in ["SETTING\t1\n", "SETTINGSX\t1\n", "SETTINGS_\t1\n", "'SETTINGS'\t1\n", "1\tSETTINGS a=1\n", "\"SETTINGS\" a=1\n", "\tSETTING", "S"] {
        ways.push(insert(30, behind_the_head().body(data), format!("{HEAD}\n{data}")));
        ways.push(insert(30, behind_the_head().chunks(&data.as_bytes().chunks(1).collect::<Vec<_>>()), format!("{HEAD}\n{data}")));
        ways.push(insert(30, coded(behind_the_head(), "br").body(brotli(data.as_bytes())), brotli(data.as_bytes())).with("query", HEAD).coded("br"));
    }
    ways
}

#[tokio::test]
async fn data_goes_on_as_it_came_and_never_as_a_part_of_the_statement() {
    let scene = Scene::begin(|plan| plan).await;
    scene.goes(&inserts()).await;
    scene.goes(&settings()).await;
}

/// A shorter statement is allowed, and no longer blanks: servers from 21 to 22.3 read up to their own limit for SETTINGS.
#[tokio::test]
async fn settings_behind_blanks_are_no_data_however_they_come() {
    let scene = Scene::begin(|plan| plan.section("limits", "{statement_size: 1KiB}")).await;
    let mut ways = Vec::new();
    for blanks in [" ".repeat(3000), format!("/*{}*/", "x".repeat(3000)), format!("-- {}\n", "x".repeat(3000)), " ".repeat(1023)] {
        let data = format!("{blanks}SETTINGS a=1 (1,'a')");
        let whole = format!("INSERT INTO log FORMAT Values{data}");
        let no = |raw: Raw| refused(30, raw, 413, "statement-too-long", "1024 bytes").by("engineers");
        let head = Raw::post("/?query=INSERT INTO log FORMAT Values");
        for cut in [1, 700, blanks.len(), data.len()] {
            ways.push(no(head.clone().chunks(&data.as_bytes().chunks(cut).collect::<Vec<_>>())));
            ways.push(no(Raw::post("/").chunks(&whole.as_bytes().chunks(cut).collect::<Vec<_>>())));
        }
    }
    scene.goes(&ways).await;
}

/// The ways of an INSERT with values.
fn with_values(tuples: &str) -> [Raw; 7] {
    let (head, tuples) = ("INSERT INTO log VALUES", tuples.replace('+', "%2B"));
    let (sql, plain) = (format!("{head} {tuples}"), tuples.replace("%2B", "+"));
    let whole = format!("{head} {plain}");
    [
        Raw::post("/").body(&whole),
        Raw::post(&format!("/?query={sql}")).body(""),
        Raw::post(&format!("/?query={head}")).body(&plain),
        coded(Raw::post("/"), "gzip").body(gzip(whole.as_bytes())),
        coded(Raw::post(&format!("/?query={head}")), "gzip").body(gzip(plain.as_bytes())),
        Raw::post("/?decompress=1").body(block_lz4(whole.as_bytes())),
        Raw::post("/").form("x", &Form::default().field("query", &whole)),
    ]
}

/// Tuples that a rule opens, and that go on as a part of the statement.
pub fn expressions() -> Vec<Way> {
    let mut ways = Vec::new();
    for tuples in ["(1, concat('a','b')), (2, upper('c'))", "(1, 'plain')", "(1+1, toString(2+3))"] {
        for (index, raw) in with_values(tuples).into_iter().enumerate() {
            // The line feed between address and body stands in what was understood.
            let space = if index == 2 || index == 4 { '\n' } else { ' ' };
            ways.push(insert(149, raw, format!("INSERT INTO log VALUES{space}{tuples}")).opened());
        }
    }
    ways
}

/// Tuples are statements where the rule says so, and judged like any other.
#[tokio::test]
async fn values_are_read_where_a_rule_opens_them_and_are_data_elsewhere() {
    let scene = Scene::begin(|plan| plan).await;
    let mut table = expressions();
    for (tuples, reason, says) in [
        ("(1, (SELECT s FROM sec.secret))", "table-not-allowed", "sec.secret"),
        ("(1, 'a'), (2, (SELECT max(s) FROM sec.secret))", "table-not-allowed", "sec.secret"),
        ("(1, file('/etc/passwd'))", "function-not-allowed", "`file`"),
        ("(1, dictGet('d', 'x', 1))", "function-not-allowed", "`dictGet`"),
        ("(1, 'a') (2, joinGet('j', 'x', 1))", "function-not-allowed", "`joinGet`"),
    ] {
        table.extend(with_values(tuples).map(|raw| refused(149, raw, 403, reason, says).by("openers")));
    }
    // Without the rule the same is data, whatever it looks like, and goes with both settings.
    for tuples in ["(1, (SELECT s FROM sec.secret))", "(1, concat('a','b'))"] {
        for values in ["VALUES", "FORMAT Values"] {
            let sql = format!("INSERT INTO log {values} {tuples}");
            table.push(insert(149, Raw::post("/").body(&sql), &sql).not_old().not_today());
        }
    }
    scene.goes(&table).await;
}

/// A body that is cut is not whole at the upstream either, and the caller is told.
#[tokio::test]
async fn a_cut_body_never_ends_cleanly_at_the_upstream() {
    let whole = format!("{HEAD}\n{}", ROWS.repeat(1000));
    let zipped = gzip(whole.as_bytes());
    let blocks: Vec<u8> = whole.as_bytes().chunks(1000).flat_map(block_lz4).collect();
    let open = |body: &[u8]| {
        let whole = chunked(&[body]);
        whole[..whole.len() - b"0\r\n\r\n".len()].to_vec()
    };
    for (what, raw, reason) in [
        (
            "an end that does not come, of chunks",
            behind_the_head().header("Transfer-Encoding: chunked").unframed(open(ROWS.as_bytes())),
            "body-broken",
        ),
        (
            "a chunk that is none",
            behind_the_head().header("Transfer-Encoding: chunked").unframed([&open(ROWS.as_bytes())[..], b"zz\r\n"].concat()),
            "body-broken",
        ),
        ("a length that does not come", behind_the_head().header("Content-Length: 1000").unframed(ROWS), "body-broken"),
        (
            "a length that does not come, behind the head in the body",
            Raw::post("/").header(&format!("Content-Length: {}", whole.len() + 1)).unframed(&whole),
            "body-broken",
        ),
        (
            "an end that does not come, of chunks with the head",
            Raw::post("/").header("Transfer-Encoding: chunked").unframed(open(whole.as_bytes())),
            "body-broken",
        ),
        ("coded data that does not come", coded(behind_the_head(), "gzip").header("Content-Length: 100000").unframed(&zipped), "body-broken"),
        ("a coded INSERT that does not come", coded(Raw::post("/"), "gzip").header("Content-Length: 100000").unframed(&zipped), "body-broken"),
        ("gzip cut short", coded(Raw::post("/"), "gzip").body(&zipped[..zipped.len() - 9]), "malformed-body"),
        ("gzip without its checksum", coded(Raw::post("/"), "gzip").body(&zipped[..zipped.len() - 8]), "malformed-body"),
        ("a block cut short", Raw::post("/?decompress=1").body(&blocks[..blocks.len() - 1]), "malformed-body"),
        ("a block that is wrong", Raw::post("/?decompress=1").body([&blocks[..], &[0; 25]].concat()), "malformed-body"),
    ] {
        let scene = Scene::begin(|plan| plan).await;
        let mut caller = scene.caller().await;
        caller.send(raw.with_token(scene.token("engineers"))).await;
        // Who has sent all that was announced and then says no more has left.
        if what.contains("does not come") {
            caller.falls_silent().await;
        }
        let answer = caller.answer().await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (400, Some(reason)), "{what}: {}", answer.text());
        is_cut(&scene, what).await;
        let record = scene.record_of(&answer).await;
        assert_eq!((&record["outcome"], &record["reason"]), (&"refused".into(), &reason.into()), "{what}: {record}");
    }
}

/// SHA-256 in hex.
fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whatever the upstream heard ended before its end.
async fn is_cut(scene: &Scene, what: &str) {
    let heard = scene.recorder.wait(what, |heard| heard.iter().all(|one| one.ending.is_some())).await;
    assert!(heard.len() <= 1, "{what}: {heard:?}");
    assert!(heard.iter().all(|one| !one.whole && one.ending == Some(Ending::CallerGone)), "{what}: {heard:?}");
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_never_whole_at_the_upstream() {
    let scene = Scene::begin(|plan| plan.section("limits", "{max_insert_bytes: 1KiB, form_size: 4KiB, decoding_ratio: 50}")).await;
    // As long as may be: what stands between head and data counts as data.
    let longest = "1\tone\n".repeat(170);
    let fits = |raw: Raw, body: &str| insert(29, raw, format!("{HEAD}\n{body}"));
    scene.goes(&[fits(behind_the_head().body(&longest), &longest), fits(behind_the_head().chunks(&[longest.as_bytes()]), &longest)]).await;
    let heard = scene.recorder.requests().len();
    let many = "1\tone\n".repeat(171 * 2);
    // Text that hardly packs.
    let noise: String = (0..100_u32).map(|at| hash(&at.to_le_bytes())).collect();
    // 28 MiB of rows behind a head, packed to 90 bytes.
    let bomb =
        hex("cbffff3fe88dd4630d5dd8c96d6ceb7bcea914bd2c2a3698c8017b4bb0dd44df075663672c1c264fb3bd2f98e358a38fbcff1b0afd85ffff7ff04b00c4610180eefd1f\
         ffffffe0970088c30200ddfbbf1801c02f011045040006");
    let form = |size: usize| Form::default().field("query", "SELECT x FROM u").field("u_types", "String").file("u", "", vec![b'x'; size]);
    for (what, raw, says) in [
        ("a length", behind_the_head().body(&many), "max_insert_bytes"),
        ("chunks", behind_the_head().chunks(&many.as_bytes().chunks(100).collect::<Vec<_>>()), "max_insert_bytes"),
        ("a head in the body", Raw::post("/").body(format!("{HEAD}\n{many}")), "max_insert_bytes"),
        ("undone", coded(Raw::post("/"), "gzip").body(gzip(format!("{HEAD}\n{many}").as_bytes())), "max_insert_bytes"),
        ("coded", coded(behind_the_head(), "gzip").body(gzip(noise.as_bytes())), "max_insert_bytes"),
        ("blocks", Raw::post(&format!("/?query={HEAD}&decompress=1")).body(block_lz4(noise.as_bytes())), "max_insert_bytes"),
        ("a form", Raw::post("/").form("x", &form(4096)), "form_size"),
        (
            "a form in chunks",
            Raw::post("/").header("Content-Type: multipart/form-data; boundary=x").chunks(&form(9000).written("x").chunks(512).collect::<Vec<_>>()),
            "form_size",
        ),
    ] {
        let answer = scene.ask(&raw, if what.contains("form") { "analysts" } else { "engineers" }).await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (413, Some("body-too-large")), "{what}: {}", answer.text());
        assert!(answer.text().contains(says), "{what}: {}", answer.text());
    }
    let after = scene.recorder.wait("all to be over", |heard| heard.iter().all(|one| one.ending.is_some())).await.split_off(heard);
    assert!(after.iter().all(|one| !one.whole && one.ending == Some(Ending::CallerGone)), "{after:?}");

    let scene = Scene::begin(|plan| plan.section("limits", "{decoding_ratio: 50}")).await;
    let rows = format!("{HEAD}\n{}", "1\tone\n".repeat(1024 * 1024));
    for (token, body) in [("br", bomb), ("gzip", gzip(rows.as_bytes())), ("zstd", TAKEN[3].1(rows.as_bytes()))] {
        let answer = scene.ask(&coded(Raw::post("/"), token).body(body), "engineers").await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (413, Some("body-too-large")), "{token}: {}", answer.text());
        assert!(answer.text().contains("decoding_ratio"), "{}", answer.text());
    }
    let heard = scene.recorder.wait("all to be over", |heard| heard.len() == 3 && heard.iter().all(|one| one.ending.is_some())).await;
    assert!(
        heard.iter().all(|one| !one.whole && one.body.len() < 4 * 1024 * 1024),
        "{:?}",
        heard.iter().map(|one| one.body.len()).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let scene = Scene::begin(|plan| plan.section("limits", "{data_timeout: 300ms, body_timeout: 400ms}")).await;
    let form = "--x\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT";
    let cases = [
        ("data", "engineers", behind_the_head().header("Content-Length: 1000").unframed(ROWS), "data_timeout", 1),
        ("data in chunks", "engineers", behind_the_head().header("Transfer-Encoding: chunked").unframed("6\r\n1\tone\n\r\n"), "data_timeout", 1),
        (
            "data behind a head in the body",
            "engineers",
            Raw::post("/").header("Content-Length: 1000").unframed(format!("{HEAD}\n{ROWS}")),
            "data_timeout",
            1,
        ),
        ("nothing behind the head", "engineers", behind_the_head().header("Content-Length: 1000"), "data_timeout", 0),
        ("blanks behind the head", "engineers", behind_the_head().header("Content-Length: 1000").unframed("  /* "), "data_timeout", 0),
        ("a statement", "analysts", Raw::post("/").header("Content-Length: 1000").unframed("SELECT a FROM pub"), "body_timeout", 0),
        (
            "a coded one",
            "analysts",
            coded(Raw::post("/"), "gzip").header("Content-Length: 1000").unframed(&gzip(b"SELECT 1")[..9]),
            "body_timeout",
            0,
        ),
        (
            "a form",
            "analysts",
            Raw::post("/").header("Content-Type: multipart/form-data; boundary=x").header("Content-Length: 1000").unframed(form),
            "body_timeout",
            0,
        ),
        ("a head", "engineers", Raw::post("/").header("Content-Length: 1000").unframed("INSERT INTO log FORMAT"), "body_timeout", 0),
    ];
    let mut callers: Vec<Caller> = Vec::new();
    for (_, group, raw, ..) in &cases {
        let mut caller = scene.caller().await;
        caller.send(raw.with_token(scene.token(group))).await;
        callers.push(caller);
    }
    let mut begun = 0;
    for (mut caller, (what, _, _, says, heard)) in callers.into_iter().zip(cases) {
        let answer = caller.answer().await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (408, Some("body-timeout")), "{what}: {}", answer.text());
        assert!(answer.text().contains(says), "{what}: {}", answer.text());
        begun += heard;
    }
    let heard = scene.recorder.wait("all to be over", |heard| heard.len() == begun && heard.iter().all(|one| one.ending.is_some())).await;
    assert!(heard.iter().all(|one| !one.whole && one.ending == Some(Ending::CallerGone)), "{heard:?}");
}

#[tokio::test]
async fn an_answer_in_the_middle_of_an_upload_reaches_the_caller() {
    // What asks for settings would be answered so too: it is asked before, on the connection that the one worker keeps.
    let scene = Scene::begin(|plan| plan.section("workers", "1")).await;
    scene.goes(&[insert(30, behind_the_head().body(ROWS), format!("{HEAD}\n{ROWS}"))]).await;
    scene.recorder.answers_before_the_body(Script::exception(404, 60, "Table default.log does not exist"));
    let mut caller = scene.caller().await;
    caller.send(behind_the_head().header("Content-Length: 100000000").unframed(ROWS).with_token(scene.token("engineers"))).await;
    let answer = caller.answer().await;
    assert_eq!((answer.status, answer.header("x-clickhouse-exception-code")), (404, Some("60")), "{}", answer.text());
    assert!(answer.text().contains("does not exist"), "{}", answer.text());
    assert_eq!(scene.record_of(&answer).await["clickhouse_code"], 60);
}

#[tokio::test]
async fn a_caller_who_leaves_in_the_middle_of_an_upload_takes_it_along() {
    let scene = Scene::begin(|plan| plan).await;
    for raw in [
        behind_the_head().header("Content-Length: 1000").unframed(ROWS),
        coded(Raw::post("/"), "gzip").header("Content-Length: 1000").unframed(gzip(format!("{HEAD}\n{ROWS}").as_bytes())),
    ] {
        let before = scene.recorder.requests().len();
        let mut caller = scene.caller().await;
        caller.send(raw.with_token(scene.token("engineers"))).await;
        scene.recorder.wait("the data", |heard| heard.len() > before && heard[before].text().ends_with("sec.secret\n")).await;
        drop(caller);
        let heard = scene.recorder.wait("the caller to be gone", |heard| heard[before].ending.is_some()).await;
        assert!(!heard[before].whole && heard[before].ending == Some(Ending::CallerGone), "{heard:?}");
        let record = scene.house.wait_records(before + 1).await.remove(before);
        assert_ne!(record["outcome"], "answered", "{record}");
    }
}

#[tokio::test]
async fn who_waits_for_a_go_ahead_is_told_a_no_instead() {
    let scene = Scene::begin(|plan| plan).await;
    let expects = |raw: Raw| raw.header("Expect: 100-continue").header("Content-Length: 6");
    for (group, raw, says) in [
        ("analysts", behind_the_head(), "403"),
        ("engineers", Raw::post("/?query=INSERT INTO hidden FORMAT TabSeparated"), "403"),
        ("engineers", Raw::post("/?query=INSERT INTO sec.secret FORMAT TabSeparated"), "403"),
        ("engineers", Raw::post("/?query=INSERT INTO log FORMAT TabSeparated&x=1"), "403"),
        ("engineers", Raw::post("/x"), "404"),
        ("nobody", behind_the_head(), "403"),
    ] {
        let mut caller = scene.caller().await;
        caller.send(expects(raw).with_token(scene.token(group))).await;
        let line = String::from_utf8(caller.through("\r\n").await.unwrap()).unwrap();
        assert!(line.starts_with(&format!("HTTP/1.1 {says}")), "{line}");
    }
    assert!(scene.recorder.requests().is_empty() && scene.recorder.asked().len() <= 2);
    let mut caller = scene.caller().await;
    caller.send(expects(behind_the_head()).with_token(scene.token("engineers"))).await;
    let line = String::from_utf8(caller.through("\r\n").await.unwrap()).unwrap();
    assert!(line.starts_with("HTTP/1.1 100"), "{line}");
    caller.through("\r\n").await.unwrap();
    caller.send("1\tone\n").await;
    let answer = caller.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let heard = scene.recorder.requests();
    scene.house.wait_records(7).await;
    assert!(heard[0].header("expect").is_none() && heard[0].text() == format!("{HEAD}\n1\tone\n"), "{heard:?}");
    let other = Raw::post("/").header("Expect: 200-maybe").body("SELECT a FROM pub");
    scene.goes(&[refused(35, other, 400, "header-not-allowed", "`Expect`")]).await;
}

#[tokio::test]
async fn one_connection_carries_one_request_after_another_and_nothing_between() {
    let scene = Scene::begin(|plan| plan).await;
    let token = scene.token("analysts");
    // The smuggled one is the body of a ping, and stays that.
    let smuggled = Raw::get("/?query=SELECT a FROM pub").with_token(token);
    let mut caller = scene.caller().await;
    caller.send(Raw::get("/ping").body(&smuggled).with_token(token)).await;
    let answer = caller.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "Ok.\n"));
    assert!(scene.recorder.requests().is_empty());
    // What follows is the next answer, or none: never the smuggled one's.
    if caller.try_send(Raw::post("/").body("SELECT 1").with_token(token)).await.is_ok() {
        assert_eq!(caller.answer().await.text(), "1\n");
    }
    let heard: Vec<String> = scene.recorder.requests().iter().map(|heard| heard.text()).collect();
    assert!(heard.iter().all(|text| text == "SELECT 1"), "{heard:?}");

    // 33: the head of an answer without its body, and then the next one's.
    let mut caller = scene.caller().await;
    caller.send(Raw::by("HEAD", "/?query=SELECT a FROM pub").with_token(token)).await;
    let answer = caller.answer().await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-type"), Some("text/tab-separated-values; charset=UTF-8"));
    assert_eq!(scene.record_of(&answer).await["outcome"], "answered");
    caller.send(Raw::post("/").body("SELECT a FROM pub").with_token(token)).await;
    assert_eq!(caller.answer().await.text(), "1\n");

    // 35: of two lengths one counts, and what would follow by the other is not read.
    let mut caller = scene.caller().await;
    let heard = scene.recorder.requests().len();
    let body = [&chunked(&[b"SELECT 2"])[..], &smuggled].concat();
    let both = Raw::post("/").header("Content-Length: 5").header("Transfer-Encoding: chunked").unframed(body);
    caller.send(both.with_token(token)).await;
    assert_eq!(caller.answer().await.status, 200);
    caller.hung_up().await;
    let heard: Vec<String> = scene.recorder.requests().split_off(heard).iter().map(|heard| heard.text()).collect();
    assert_eq!(heard, ["SELECT 2"]);
}
