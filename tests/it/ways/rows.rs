//! The table: number by number, each attack in every spelling and its twin.

use super::{
    Deed::{Drops, Tells},
    Way, insert, not_http, read, refused,
};
use crate::support::{
    coding::{BLOCKS, TAKEN, block, block_lz4, block_none, block_zstd, brotli, gzip, hex},
    raw::{Form, Raw, chunked},
};

/// Names the table that nobody may read.
const SECRET: &str = "SELECT s FROM sec.secret";
const DROP: &str = "DROP TABLE victim";
/// What the harmless ones read.
const PUB: &str = "SELECT a FROM pub";

/// The secret table is named.
fn names_it(number: u16, raw: Raw) -> Way {
    refused(number, raw, 403, "table-not-allowed", "sec.secret")
}

/// The statement is not a read.
fn defines(number: u16, raw: Raw) -> Way {
    refused(number, raw, 403, "effect-not-allowed", "`define`")
}

pub fn all() -> Vec<Way> {
    [
        seams(),
        bodies_of_get(),
        names(),
        encodings_of_addresses(),
        forms(),
        content_types(),
        codings(),
        blocks(),
        lengths(),
        methods(),
        framings(),
        targets(),
        handlers(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// 1 to 5: a statement in two places is one.
fn seams() -> Vec<Way> {
    let split = |number, query: &str, body: &str| {
        let to = Raw::post(&format!("/?query={query}"));
        let (half, rest) = body.as_bytes().split_at(body.len() / 2);
        [to.clone().body(body), to.clone().chunks(&[body.as_bytes()]), to.chunks(&[half, rest])].map(|raw| (number, raw))
    };
    let mut ways = Vec::new();
    for (query, body) in [("SELECT s", "\nFROM sec.secret"), ("SELECT s", "FROM sec.secret"), ("SELECT 1, s", " FROM sec.secret")] {
        ways.extend(split(1, query, body).map(|(number, raw)| names_it(number, raw).does_everywhere(Tells)));
    }
    ways.extend(split(1, "SELECT 1", "\nFROM sec.secret").map(|(number, raw)| names_it(number, raw)));
    ways.extend(split(1, "SELECT a", "\nFROM pub").map(|(number, raw)| read(number, raw, "SELECT a\n\nFROM pub")));

    ways.extend(split(2, "SELECT 1 /*", "*/, (SELECT s FROM sec.secret)").map(|(number, raw)| names_it(number, raw).does_everywhere(Tells)));
    ways.extend(split(2, "SELECT 1 /* /*", "*/ */, (SELECT s FROM sec.secret)").map(|(number, raw)| names_it(number, raw).does(None, Tells)));
    ways.extend(split(2, "SELECT a /*", "FROM sec.secret */ FROM pub").map(|(number, raw)| read(number, raw, "SELECT a\nFROM pub")));

    ways.extend(split(3, "SELECT $x$", "$x$, (SELECT s FROM sec.secret)").map(|(number, raw)| names_it(number, raw).does(None, Tells)));
    ways.extend(split(3, "SELECT $$", "$$, (SELECT s FROM sec.secret)").map(|(number, raw)| names_it(number, raw).does(None, Tells)));
    ways.extend(split(3, "SELECT '", "', (SELECT s FROM sec.secret)").map(|(number, raw)| names_it(number, raw).does_everywhere(Tells)));
    ways.extend(
        split(3, "SELECT $x$'", "FROM sec.secret$x$, a FROM pub")
            .map(|(number, raw)| read(number, raw, "SELECT '\\'\nFROM sec.secret', a FROM pub").not_old()),
    );

    ways.extend(split(4, "SELECT 1 --", "DROP TABLE victim").map(|(number, raw)| refused(number, raw, 400, "not-understood", "TABLE")));
    ways.extend(split(4, "SELECT 1 --", ", (SELECT s FROM sec.secret)").map(|(number, raw)| names_it(number, raw).does_everywhere(Tells)));
    ways.extend(split(4, "-- SELECT 1", "DROP TABLE victim").map(|(number, raw)| defines(number, raw).does_everywhere(Drops)));
    ways.extend(split(4, "SELECT a --", "FROM pub").map(|(number, raw)| read(number, raw, "SELECT a\nFROM pub")));

    for address in ["/?query=", "/?query", "/?", "/?&", "/?query=%20", "/?query=%0A", "/?query=/**/", "/"] {
        let way = defines(5, Raw::post(address).body(DROP));
        // The old server takes an empty name for a setting.
        ways.push(if address == "/?&" { way.does(None, Drops) } else { way.does_everywhere(Drops) });
        let breaks = if address == "/?query=%0A" {
            "\n\n"
        } else if address.len() > "/?query=".len() {
            "\n"
        } else {
            ""
        };
        ways.push(read(5, Raw::post(address).body(PUB), &format!("{breaks}{PUB}")));
    }
    if let Some(twin) = ways.iter_mut().rfind(|way| way.number == 5 && way.raw.shown().contains("/?& ")) {
        twin.taken = [false, true];
    }
    ways
}

/// 6 and 7: GET and HEAD come without a body.
fn bodies_of_get() -> Vec<Way> {
    let mut ways = Vec::new();
    let union = " UNION ALL SELECT s FROM sec.secret";
    for method in ["GET", "HEAD"] {
        let says = if method == "GET" { "with a body" } else { "" };
        for (number, address, body) in [
            (6, "/?query=SELECT 'a'", union),
            (6, "/?query=SELECT 1", ""),
            (7, "/", SECRET),
            (7, "/?", SECRET),
            (7, "/?query=", SECRET),
            (7, "/", PUB),
        ] {
            let raw = Raw::by(method, address);
            if body.is_empty() {
                // A body of no bytes is none.
                ways.push(read(number, raw.clone().body(""), "SELECT 1"));
                ways.push(read(number, raw.clone().chunks(&[]), "SELECT 1"));
                ways.push(read(number, raw, "SELECT 1"));
                continue;
            }
            for raw in [raw.clone().body(body), raw.chunks(&[body.as_bytes()])] {
                let way = refused(number, raw, 405, "method-not-allowed", says);
                // Without a question mark a GET of `/` is a ping there.
                ways.push(if method == "GET" && body != PUB && address != "/" { way.does_everywhere(Tells) } else { way });
            }
        }
    }
    ways.push(read(7, Raw::get("/?query=SELECT a FROM pub"), PUB));
    ways.push(refused(7, Raw::get("/"), 400, "empty-statement", "no statement"));
    for path in ["/x?", "/query?", "//?", "/sec/secret?", "/x"] {
        let old = path.ends_with('?').then_some(Tells);
        let today = (path == "/query?").then_some(Tells);
        ways.push(refused(7, Raw::get(path).body(SECRET), 404, "unknown-path", "path `/`").does(old, today));
    }
    ways.push(refused(7, Raw::get("/?/").body(SECRET), 400, "parameter-not-allowed", "`/`"));
    ways
}

/// 8 to 11: the names of parameters.
fn names() -> Vec<Way> {
    let to = |number, address: &str| (number, Raw::post(address).body(""));
    let twice = |(number, raw)| refused(number, raw, 400, "malformed-parameter", "`query` stands there twice");
    let unknown = |(number, raw), says| refused(number, raw, 400, "parameter-not-allowed", says);
    let mut ways = vec![
        twice(to(8, "/?query=SELECT 1&query=SELECT s FROM sec.secret")),
        twice(to(8, "/?query=SELECT s FROM sec.secret&query=SELECT 1")).does_everywhere(Tells),
        twice(to(8, "/?query=SELECT 1&query=SELECT 1")),
        twice(to(8, "/?query=&query=SELECT s FROM sec.secret")),
        twice(to(8, "/?query=SELECT s FROM sec.secret&qu%65ry=SELECT 1")).does_everywhere(Tells),
        refused(8, Raw::get("/?query=SELECT s FROM sec.secret&query=SELECT 1"), 400, "malformed-parameter", "twice").does_everywhere(Tells),
        refused(8, Raw::post("/?database=default&database=sec").body(PUB), 400, "malformed-parameter", "`database`"),
        refused(8, Raw::post("/?default_format=TSV&default_format=JSON").body(PUB), 400, "malformed-parameter", "`default_format`"),
        refused(8, Raw::post("/?param_x=1&param_x=2").body(PUB), 400, "malformed-parameter", "`param_x`"),
        read(8, to(8, "/?query=SELECT a FROM pub").1, PUB),
        read(8, to(8, "/?&query=SELECT a FROM pub&").1, PUB).not_old(),
    ];
    for name in ["qu%65ry", "%71uery", "q%75%65r%79", "%71%75%65%72%79"] {
        ways.push(names_it(9, to(9, &format!("/?{name}={SECRET}")).1).does_everywhere(Tells));
        ways.push(read(9, to(9, &format!("/?{name}={PUB}")).1, PUB));
    }
    for name in ["QUERY", "Query", "querY", "Q%55ERY"] {
        let way = unknown(to(10, &format!("/?{name}={SECRET}")), "is not passed on");
        ways.push(way);
        ways.push(unknown(to(10, &format!("/?query=SELECT 1&{name}={SECRET}")), "is not passed on"));
    }
    for name in ["Database", "DEFAULT_FORMAT", "PARAM_x", "Decompress", "Session_Id"] {
        ways.push(unknown(to(10, &format!("/?query=SELECT 1&{name}=x")), "is not passed on"));
    }
    ways.push(read(10, Raw::post("/?database=default&session_id=ways&query_id=x").body(PUB), PUB));
    // In front of a statement it is a blank, today.
    ways.push(read(11, to(11, "/?query=%EF%BB%BFSELECT a FROM pub").1, PUB).not_old());
    for name in ["%EF%BB%BFquery", "%ef%bb%bfquery"] {
        ways.push(unknown(to(11, &format!("/?{name}={SECRET}")), "query"));
        ways.push(unknown(to(11, &format!("/?query=SELECT 1&{name}={SECRET}")), "query"));
    }
    // The old server takes the mark off the first name, where it stands there bare; today's takes no such address.
    let bare = |address: String| Raw::line(&format!("POST {}", address.replace(' ', "%20"))).body("");
    ways.push(unknown((11, bare(format!("/?\u{feff}query={SECRET}"))), "query").does(Tells, None));
    ways.push(unknown((11, bare(format!("/?query=SELECT 1&\u{feff}query={SECRET}"))), "query"));
    for name in ["%20query", "query%20", "query%00", "query[]", "que+ry"] {
        let (number, raw) = to(11, &format!("/?{name}={SECRET}"));
        let reason = if name.ends_with("%00") { "malformed-parameter" } else { "parameter-not-allowed" };
        ways.push(refused(number, raw, 400, reason, ""));
    }
    ways
}

/// 12: what stands encoded in an address is decoded once, and by one rule.
fn encodings_of_addresses() -> Vec<Way> {
    let to = |address: &str| Raw::post(address).body("");
    let mut ways = vec![
        names_it(12, to("/?query=SELECT+s+FROM+sec%2Esecret")).does_everywhere(Tells),
        names_it(12, to("/?query=SELECT%09s%0AFROM%0dsec%2esecret")).does_everywhere(Tells),
        names_it(12, to("/?query=%53%45%4c%45%43%54%20%73%20%46%52%4f%4d%20%73%65%63%2e%73%65%63%72%65%74")).does_everywhere(Tells),
        read(12, to("/?query=SELECT+1%2b1"), "SELECT 1+1"),
        read(12, to("/?query=SELECT+'a%2bb','%25','%2527'"), "SELECT 'a+b','%','%27'"),
        read(12, to("/?query=SELECT+a%0AFROM%20pub"), "SELECT a\nFROM pub"),
        read(12, to("/?query=SELECT '%C3%A9%F0%9F%8F%A0'"), "SELECT 'é🏠'"),
        refused(12, to("/?query=%2553ELECT+1"), 400, "not-understood", "where a statement was expected"),
    ];
    for bad in ["%zz", "%4", "%", "%u0053", "%-1", "% 41", "%00", "%ff", "%c0%a7", "%ed%a0%80", "%f4%90%80%80", "%C3"] {
        ways.push(refused(12, to(&format!("/?query=SELECT '{bad}'").replace("% 41", "%%2041")), 400, "malformed-parameter", "The address"));
        ways.push(refused(12, to(&format!("/?{}=1", bad.replace("% 41", "%%2041"))), 400, "malformed-parameter", "The address"));
    }
    ways
}

/// 13 to 15, 20: forms.
fn forms() -> Vec<Way> {
    let one = |sql: &str| Form::default().field("query", sql);
    let content_type = "Content-Type: multipart/form-data; boundary=x";
    let by_get = "/?query=sel&query=ect s from sec.secret";
    let mut ways = vec![
        refused(13, Raw::get(by_get).header(content_type), 415, "content-type", "with POST").does_everywhere(Tells),
        refused(13, Raw::get("/?query=SELECT 1").header(content_type), 415, "content-type", "with POST"),
        refused(13, Raw::by("HEAD", by_get).header(content_type), 415, "content-type", ""),
        refused(13, Raw::post(by_get).form("x", &one("")), 400, "malformed-parameter", "twice").does_everywhere(Tells),
        refused(13, Raw::get("/").form("x", &one(SECRET)), 415, "content-type", "with POST"),
    ];
    // Nothing of the form is left, so none is sent.
    ways.push(read(13, Raw::post("/?query=SELECT a FROM pub").form("x", &Form::default().field("param_unused", "1")), PUB).not_old());

    let appended = one(" UNION ALL SELECT s FROM sec.secret");
    for address in ["/?query=SELECT 'a'", "/?qu%65ry=SELECT 'a'"] {
        ways.push(refused(14, Raw::post(address).form("x", &appended), 400, "malformed-parameter", "`query`").does_everywhere(Tells));
    }
    ways.push(refused(14, Raw::post("/?query=%20").form("x", &one(PUB)), 400, "malformed-parameter", "`query`"));
    ways.push(names_it(14, Raw::post("/?query=").form("x", &one(SECRET))).does_everywhere(Tells));
    ways.push(names_it(14, Raw::post("/").form("x", &one(SECRET))).does_everywhere(Tells));
    ways.push(read(14, Raw::post("/?query=").form("x", &one(PUB)), PUB));
    ways.push(read(14, Raw::post("/").form("x", &one(PUB)), PUB));
    for name in ["session_id", "user", "database", "max_threads"] {
        ways.push(refused(14, Raw::post("/").form("x", &one(PUB).field(name, "x")), 400, "parameter-not-allowed", name));
    }

    let split = one("SELECT s FR").field("query", "OM sec.secret");
    ways.push(refused(15, Raw::post("/").form("x", &split), 400, "malformed-parameter", "`query`").does_everywhere(Tells));
    ways.push(refused(15, Raw::post("/").form("x", &one(PUB).field("query", "")), 400, "malformed-parameter", "`query`"));
    ways.push(refused(15, Raw::post("/").form("x", &one(PUB).field("QUERY", "")), 400, "parameter-not-allowed", "QUERY"));
    ways.push(refused(15, Raw::post("/?param_x=1").form("x", &one(PUB).field("param_x", "2")), 400, "malformed-parameter", "`param_x`"));
    ways.push(
        read(15, Raw::post("/").form("a-b_c'd", &one("SELECT {x:UInt8}, a FROM pub").field("param_x", "7")), "SELECT {x:UInt8}, a FROM pub")
            .with("param_x", "7")
            .not_old(),
    );

    for (token, code) in TAKEN {
        let coded = format!("Content-Encoding: {token}");
        for body in [one(PUB).written("x"), code(&one(PUB).written("x"))] {
            let raw = Raw::post("/").header(content_type).header(&coded).body(body);
            ways.push(refused(20, raw, 415, "content-encoding", "A form is not compressed"));
        }
    }
    let plain = |address: &str, header: &str| Raw::post(address).header(header).form("x", &one(PUB));
    ways.push(refused(20, plain("/", "Content-Encoding: xz"), 415, "content-encoding", "`xz`"));
    ways.push(refused(20, plain("/?decompress=1", "Accept: */*"), 415, "content-encoding", "A form is not compressed"));
    ways.push(read(20, plain("/", "Content-Encoding: identity"), PUB).not_old().not_today());
    ways.push(read(20, plain("/?decompress=0", "Accept: */*"), PUB));
    ways
}

/// 16 to 19: what a body is called.
fn content_types() -> Vec<Way> {
    let with = |content_type: &str, body: &[u8]| Raw::post("/").header(&format!("Content-Type: {content_type}")).body(body);
    let one = |sql: &str| Form::default().field("query", sql).written("x");
    let mut ways = Vec::new();
    for named in
        ["multipart/form-data-x; boundary=x", "multipart/form-dataZZ; boundary=x", "multipart/form-data-x", "multipart/form-data/x; boundary=x"]
    {
        ways.push(refused(16, with(named, b"query=DROP TABLE victim"), 415, "content-type", "multipart/form-data").does_everywhere(Drops));
        ways.push(refused(16, with(named, PUB.as_bytes()), 415, "content-type", "multipart/form-data"));
    }
    for named in ["multipart/mixed; boundary=x", "multipart/", "multipart/x-mixed-replace;boundary=x", "multipart/form-data x; boundary=x"] {
        ways.push(refused(16, with(named, PUB.as_bytes()), 415, "content-type", "multipart/form-data"));
    }
    for named in ["multipart/form-data", "multipart/form-data; boundary", "multipart/form-data; x=boundary"] {
        ways.push(refused(16, with(named, &one(PUB)), 415, "content-type", "boundary"));
    }
    for named in [
        "multipart/form-data; boundary=x",
        "multipart/form-data;boundary=x",
        "multipart/form-data; boundary=\"x\"",
        "multipart/form-data; charset=utf-8; boundary=x",
    ] {
        ways.push(read(16, with(named, &one(PUB)), PUB));
    }
    for named in
        ["Multipart/Form-Data; boundary=x", "MULTIPART/FORM-DATA; boundary=x", "multipart/Form-data; boundary=x", "Multipart/form-data; boundary=x"]
    {
        ways.push(refused(17, with(named, SECRET.as_bytes()), 415, "content-type", "written so").does_everywhere(Tells));
        ways.push(refused(17, with(named, &one(PUB)), 415, "content-type", "written so"));
    }
    for named in ["text/plain", "TEXT/PLAIN; charset=utf-8", "application/octet-stream", "application/json", "", "x", "text/multipart/form-data"] {
        ways.push(read(17, with(named, PUB.as_bytes()), PUB));
        ways.push(names_it(17, with(named, SECRET.as_bytes())).does_everywhere(Tells));
    }

    for named in ["=?utf-8?q?multipart/form-data?=; boundary=x", "=?UTF-8?B?bXVsdGlwYXJ0L2Zvcm0tZGF0YQ==?=; boundary=x"] {
        ways.push(refused(18, with(named, &one(SECRET)), 400, "header-not-allowed", "encoded word").does_everywhere(Tells));
        ways.push(refused(18, with(named, &one(PUB)), 400, "header-not-allowed", "encoded word"));
    }
    for header in
        ["Content-Encoding: =?utf-8?q?gzip?=", "X-ClickHouse-Database: =?utf-8?q?sec?=", "X-Any: =?utf-8?q?x?=", "User-Agent: a =? b", "Accept: a=?"]
    {
        ways.push(refused(18, Raw::post("/").header(header).body(PUB), 400, "header-not-allowed", "encoded word"));
    }
    ways.push(read(18, Raw::post("/").header("User-Agent: a=b?").header("X-Any: ?=").body(PUB), PUB));

    let urlencoded = |body: &str| with("application/x-www-form-urlencoded", body.as_bytes());
    ways.push(refused(19, urlencoded("SELECT s FROM sec.secret#query=SELECT+1"), 400, "not-understood", "cannot be read"));
    ways.push(names_it(19, urlencoded("SELECT s FROM sec.secret-- &query=SELECT+1")).does_everywhere(Tells));
    ways.push(names_it(19, urlencoded("SELECT s FROM sec.secret/*&query=SELECT+1*/")).does_everywhere(Tells));
    ways.push(refused(19, urlencoded("query=SELECT+s+FROM+sec.secret"), 400, "not-understood", "query"));
    ways.push(refused(19, urlencoded("query=DROP TABLE victim"), 400, "not-understood", "query"));
    ways.push(names_it(19, with("application/x-www-form-urlencoded; charset=utf-8", SECRET.as_bytes())).does_everywhere(Tells));
    ways.push(read(19, urlencoded(PUB), PUB));
    ways.push(read(19, urlencoded("SELECT '%41+b&query=c', a FROM pub"), "SELECT '%41+b&query=c', a FROM pub"));
    ways
}

/// 23 to 25: codings of a whole body.
fn codings() -> Vec<Way> {
    let coded = |token: &str, body: &[u8]| Raw::post("/").header(&format!("Content-Encoding: {token}")).body(body);
    let mut ways = Vec::new();
    for (token, code) in TAKEN {
        // Debian's 18.16 knows these two.
        let old = ["gzip", "deflate"].contains(&token);
        let taken = |way: Way| if old { way } else { way.not_old() };
        let does = |way: Way, deed| if old { way.does_everywhere(deed) } else { way.does(None, deed) };
        ways.push(does(defines(23, coded(token, &code(DROP.as_bytes()))), Drops));
        ways.push(does(names_it(23, coded(token, &code(SECRET.as_bytes()))), Tells));
        ways.push(taken(read(23, coded(token, &code(PUB.as_bytes())), PUB)));
        let packed = code(PUB.as_bytes());
        let pieces: Vec<&[u8]> = packed.chunks(1).collect();
        ways.push(taken(read(23, Raw::post("/").header(&format!("Content-Encoding: {token}")).chunks(&pieces), PUB)));
        let rest = Raw::post("/?query=SELECT s").header(&format!("Content-Encoding: {token}"));
        ways.push(does(names_it(23, rest.body(code(b"FROM sec.secret"))), Tells));
        ways.push(refused(23, coded(token, PUB.as_bytes()), 400, "malformed-body", "cannot be read"));
        ways.push(refused(23, coded(token, b""), 400, "malformed-body", "ends before"));
        // Cut by its last byte, where that is a part of it.
        ways.push(refused(23, coded(token, &packed[..packed.len() - 1]), 400, "malformed-body", "ends before"));
        ways.push(refused(23, Raw::get("/?query=SELECT 1").header(&format!("Content-Encoding: {token}")), 400, "malformed-body", "ends before"));
        for spelt in [token.to_uppercase(), format!(" {token}"), format!("{token} ")] {
            let way = read(24, coded(&spelt, &packed), PUB);
            ways.push(if spelt.contains(' ') { taken(way) } else { way.not_old() });
            let way = names_it(24, coded(&spelt, &code(SECRET.as_bytes())));
            ways.push(if spelt.contains(' ') { does(way, Tells) } else { way.does(None, Tells) });
        }
        for spelt in [format!("{token}, {token}"), format!("identity, {token}"), format!("{token};q=1"), format!("x-{token}"), format!("\"{token}\"")]
        {
            ways.push(refused(24, coded(&spelt, &packed), 415, "content-encoding", "is not undone here"));
        }
        let both = coded(token, &packed).header(&format!("Content-Encoding: {token}"));
        ways.push(refused(24, both, 400, "header-not-allowed", "twice"));
        if token == "br" {
            ways.push(refused(
                25,
                coded(token, &[code(b"SELECT 1"), code(b"; DROP TABLE victim")].concat()),
                400,
                "malformed-body",
                "goes on behind",
            ));
        } else {
            let members = |texts: &[&str]| coded(token, &texts.iter().flat_map(|text| code(text.as_bytes())).collect::<Vec<_>>());
            let way = names_it(25, members(&["SELECT 'a'", " UNION ALL SELECT s FROM sec.secret"]));
            ways.push(does(way, Tells));
            ways.push(refused(25, members(&["SELECT 1", "; DROP TABLE victim"]), 400, "several-statements", "one statement"));
            ways.push(does(defines(25, members(&["", DROP])), Drops));
            ways.push(taken(read(25, members(&["SELECT ", "a FROM", " pub"]), PUB)));
        }
        ways.push(refused(25, coded(token, &[&packed[..], b" junk"].concat()), 400, "malformed-body", ""));
    }
    let xz = "fd377a585a000004e6d6b4460200210116000000742fe5a301001044524f50205441424c452076696374696d00000000caa7d64efc3b314300012911320a700e1fb6f37d010000000004595a";
    let bz2 = "425a68393141592653597db47812000002178040003604d400082205002000314c00014d3134da27a43cb5fa0002c9e16c1772453850907db47812";
    // In its framing format, not packed.
    let snappy = "ff060000734e6150705901150000cf6e960c44524f50205441424c452076696374696d";
    for (token, body) in [("xz", hex(xz)), ("lzma", hex(xz)), ("bz2", hex(bz2)), ("snappy", hex(snappy))] {
        let way = refused(23, coded(token, &body), 415, "content-encoding", token);
        // This build of 26.9 is without bz2.
        ways.push(if token == "bz2" { way } else { way.does(None, Drops) });
    }
    for (token, body) in [("gz", gzip(DROP.as_bytes())), ("brotli", brotli(DROP.as_bytes())), ("zst", TAKEN[3].1(DROP.as_bytes()))] {
        ways.push(refused(24, coded(token, &body), 415, "content-encoding", token).does(None, Drops));
    }
    for token in ["gzip, zstd", "gzip,gzip", "x-gzip", "auto", "none", "", "compress", "*", "identity;q=0", "gzip identity", "\u{1}gzip"] {
        let way = Raw::post("/").header(&format!("Content-Encoding: {token}")).body(DROP);
        ways.push(match token {
            "\u{1}gzip" => not_http(24, way, 400),
            "auto" | "none" => refused(24, way, 415, "content-encoding", "is not undone here").does(None, Drops),
            "" => refused(24, way, 415, "content-encoding", "is not undone here").does_everywhere(Drops),
            _ => refused(24, way, 415, "content-encoding", "is not undone here"),
        });
    }
    // HTTP's own word for none, which no ClickHouse knows.
    ways.push(read(24, coded("identity", PUB.as_bytes()), PUB).not_old().not_today());
    ways.push(read(24, coded("IDENTITY", PUB.as_bytes()), PUB).not_old().not_today());
    ways
}

/// 26 to 29: compressed blocks, both layers, and how much comes out of them.
fn blocks() -> Vec<Way> {
    let to = |body: &[u8]| Raw::post("/?decompress=1").body(body);
    let mut ways = Vec::new();
    for (_, code) in BLOCKS {
        let two = |texts: [&str; 2]| texts.iter().flat_map(|text| code(text.as_bytes())).collect::<Vec<_>>();
        ways.push(names_it(26, to(&two(["SELECT 'a'", " UNION ALL SELECT s FROM sec.secret"]))).does_everywhere(Tells));
        ways.push(defines(26, to(&two(["/* SELECT 1 */", DROP]))).does_everywhere(Drops));
        ways.push(names_it(26, Raw::post("/?query=SELECT s&decompress=1").body(code(b"FROM sec.secret"))).does_everywhere(Tells));
        ways.push(read(26, to(&two(["SELECT a", " FROM pub"])), PUB));
        ways.push(read(26, to(&code(PUB.as_bytes())), PUB));
        let whole = code(PUB.as_bytes());
        ways.push(refused(26, to(&whole[..whole.len() - 1]), 400, "malformed-body", "ends before"));
        ways.push(refused(26, to(&[&whole[..], b" junk"].concat()), 400, "malformed-body", "ends before"));
        let mut wrong = whole.clone();
        wrong[3] ^= 1;
        ways.push(refused(26, to(&wrong), 400, "malformed-body", "checksum"));
        for (token, outer) in TAKEN {
            let both = |sql: &str| Raw::post("/?decompress=1").header(&format!("Content-Encoding: {token}")).body(outer(&code(sql.as_bytes())));
            let old = ["gzip", "deflate"].contains(&token);
            let way = names_it(27, both(SECRET));
            ways.push(if old { way.does_everywhere(Tells) } else { way.does(None, Tells) });
            let way = read(27, both(PUB), PUB);
            ways.push(if old { way } else { way.not_old() });
            // The other way round it is nothing.
            let swapped = Raw::post("/?decompress=1").header(&format!("Content-Encoding: {token}")).body(code(&outer(PUB.as_bytes())));
            ways.push(refused(27, swapped, 400, "malformed-body", "cannot be read"));
        }
    }
    // Each block in a codec of its own, which ClickHouse does not take.
    ways.push(read(26, to(&[block_lz4(b"SELECT a"), block_zstd(b" FROM"), block_none(b" pub")].concat()), PUB).not_today());
    ways.push(refused(26, to(b""), 400, "empty-statement", "no statement"));
    ways.push(refused(26, to(PUB.as_bytes()), 400, "malformed-body", "cannot be read"));
    ways.push(refused(26, to(&block(0x92, DROP.as_bytes(), 17)), 400, "malformed-body", "codec 0x92"));

    let secret = block_lz4(SECRET.as_bytes());
    let twin = block_lz4(PUB.as_bytes());
    for value in ["1", "true", "%31", "tru%65"] {
        ways.push(names_it(28, Raw::post(&format!("/?decompress={value}")).body(&secret)).does_everywhere(Tells));
        ways.push(read(28, Raw::post(&format!("/?decompress={value}")).body(&twin), PUB));
    }
    for value in ["0", "false"] {
        // The old server takes anything that does not begin with a 0 for a yes.
        let old_is_no = value == "0";
        let to = || Raw::post(&format!("/?decompress={value}"));
        ways.push(refused(28, to().body(&secret), 400, "not-utf8", "UTF-8").does((!old_is_no).then_some(Tells), None));
        ways.push(names_it(28, to().body(SECRET)).does(old_is_no.then_some(Tells), Tells));
        let way = read(28, to().body(PUB), PUB);
        ways.push(if old_is_no { way } else { way.not_old() });
    }
    for value in ["01", "", "2", "-1", "TRUE", "True", "yes", "on", "t", "%201", "1%20", "0x1", "1.0"] {
        let to = || Raw::post(&format!("/?decompress={value}"));
        let wrong = |raw| refused(28, raw, 400, "malformed-parameter", "`decompress` takes");
        let old_is_no = value.starts_with('0');
        let old_is_yes = !old_is_no && !value.is_empty();
        let today_is_yes = ["2", "TRUE", "True", "t"].contains(&value);
        ways.push(wrong(to().body(&secret)).does(old_is_yes.then_some(Tells), today_is_yes.then_some(Tells)));
        ways.push(wrong(to().body(SECRET)).does(old_is_no.then_some(Tells), None));
    }
    // Of two the old server takes the first, and today's the last.
    for (pair, old, today) in [
        ("decompress=0&decompress=1", None, Some(Tells)),
        ("decompress=1&decompress=0", Some(Tells), None),
        ("decompress=1&decompress=1", Some(Tells), Some(Tells)),
        ("decompress=0&d%65compress=1", None, Some(Tells)),
    ] {
        let way = refused(28, Raw::post(&format!("/?{pair}")).body(&secret), 400, "malformed-parameter", "`decompress`");
        ways.push(way.does(old, today));
    }
    ways.push(refused(28, Raw::post("/?DECOMPRESS=1").body(&secret), 400, "parameter-not-allowed", "`DECOMPRESS`"));
    ways.push(refused(28, Raw::post("/?compress=2").body(PUB), 400, "malformed-parameter", "`compress`"));

    // 64 MiB of spaces, packed to 106 bytes.
    let spaces =
        hex("cbffff3ff82540e2b14020f7fe8fffff7ff04b00c4611180eefd1fffffffe0970088c30200ddfb3ffeffffc12f0110870500baf77ffcffff835f02200e0b0074effff8\
         ffff07bf04401c1600e8defff1ffff0f7e0980382c00d0bdffcbffff3ffc1200715800a07bff07");
    let many = vec![b' '; 4 * 1024 * 1024];
    for (token, body) in
        [("br", spaces), ("gzip", gzip(&many)), ("deflate", TAKEN[1].1(&many)), ("zstd", TAKEN[3].1(&many)), ("lz4", TAKEN[4].1(&many))]
    {
        let raw = Raw::post("/").header(&format!("Content-Encoding: {token}")).body(body);
        ways.push(refused(29, raw, 413, "statement-too-long", "262144 bytes"));
    }
    let long = vec![b' '; 4 * 1024 * 1024];
    ways.push(refused(29, to(&block_zstd(&long)), 413, "statement-too-long", "262144 bytes"));
    for codec in [0x02, 0x82, 0x90] {
        ways.push(refused(29, to(&block(codec, DROP.as_bytes(), u32::MAX)), 400, "malformed-body", "above 32 MiB"));
        ways.push(refused(29, to(&block(codec, DROP.as_bytes(), 33 * 1024 * 1024)), 400, "malformed-body", "above 32 MiB"));
        ways.push(refused(29, to(&block(codec, DROP.as_bytes(), 18)), 400, "malformed-body", ""));
    }
    // One that announces itself as large as may be, and comes to nothing.
    let mut announced = block_none(DROP.as_bytes());
    announced[17..21].copy_from_slice(&u32::MAX.to_le_bytes());
    ways.push(refused(29, to(&announced), 400, "malformed-body", "above 32 MiB"));
    announced[17..21].copy_from_slice(&(32_u32 << 20).to_le_bytes());
    ways.push(refused(29, to(&announced), 400, "malformed-body", "ends before"));
    ways
}

/// 30 and 31: where ClickHouse would stop reading the statement.
fn lengths() -> Vec<Way> {
    let rows = "1\tone\n";
    let into = "/?query=INSERT INTO log FORMAT TabSeparated";
    let spaces = |count: usize| vec![b' '; count];
    let mut ways = Vec::new();
    for value in ["defer", "", "1"] {
        let raw = Raw::post(into).header(&format!("X-ClickHouse-100-Continue: {value}")).body(rows);
        ways.push(refused(30, raw, 400, "header-not-allowed", "x-clickhouse-100-continue").by("engineers"));
    }
    let waits = Raw::post(&format!("{into}&input_format_max_block_wait_ms=1")).body(rows);
    ways.push(refused(30, waits, 400, "parameter-not-allowed", "input_format_max_block_wait_ms").by("engineers"));
    let long = [&spaces(262_145)[..], b", (SELECT s FROM sec.secret)"].concat();
    ways.push(refused(30, Raw::post("/?query=SELECT 1").body(&long), 413, "statement-too-long", "262144"));
    // Blanks and comments before data may be as long as a statement, wherever the head is.
    let head = "INSERT INTO log FORMAT TabSeparated";
    for blanks in [spaces(1024 * 1024), [b"/*", &spaces(1024 * 1024)[..], b"*/"].concat(), [b"--", &spaces(1024 * 1024)[..], b"\n"].concat()] {
        let data = [&blanks[..], b"SETTINGS a=1 \t1\n"].concat();
        let whole = [head.as_bytes(), b"\n", &data].concat();
        let no = |raw: Raw| refused(30, raw, 413, "statement-too-long", "262144").by("engineers");
        ways.push(no(Raw::post(into).body(&data)));
        ways.push(no(Raw::post(into).header("Content-Encoding: gzip").body(gzip(&data))));
        ways.push(no(Raw::post("/").body(&whole)));
        ways.push(no(Raw::post("/").header("Content-Encoding: gzip").body(gzip(&whole))));
    }
    let data = [&spaces(200_000)[..], b"\t1\n"].concat();
    let sent = [head.as_bytes(), b"\n", &data].concat();
    ways.push(insert(30, Raw::post(into).body(&data), &sent).framed(true).not_old().not_today());
    ways.push(insert(30, Raw::post("/").body(&sent), &sent).framed(true).not_old().not_today());
    ways.push(insert(30, Raw::post(into).body(rows), format!("INSERT INTO log FORMAT TabSeparated\n{rows}")).framed(true));
    let values = Raw::post("/?query=INSERT INTO log VALUES").body("(1,'one'),(2,'two')");
    ways.push(insert(30, values, "INSERT INTO log VALUES\n(1,'one'),(2,'two')").framed(true));

    for count in [262_145, 300 * 1024] {
        let long = [&spaces(count)[..], PUB.as_bytes()].concat();
        ways.push(refused(31, Raw::post("/").body(&long), 413, "statement-too-long", "262144"));
        ways.push(refused(31, Raw::post("/").chunks(&long.chunks(10_000).collect::<Vec<_>>()), 413, "statement-too-long", "262144"));
    }
    let longest = [&spaces(262_144 - PUB.len())[..], PUB.as_bytes()].concat();
    ways.push(read(31, Raw::post("/").body(&longest), PUB));
    ways.push(refused(31, Raw::post("/").body([&longest[..], b" "].concat()), 413, "statement-too-long", "262144"));
    // The line feed between the two counts.
    ways.push(refused(31, Raw::post("/?query=%20").body(&longest[1..]), 413, "statement-too-long", "262144"));
    for name in ["max_ast_depth=1", "max_parser_depth=1"] {
        ways.push(refused(31, Raw::post(&format!("/?{name}")).body(PUB), 403, "setting-not-allowed", name.split('=').next().unwrap()));
    }
    for name in ["max_query_size=10", "max_query_size=0", "dialect=kusto", "implicit_select=1"] {
        ways.push(refused(31, Raw::post(&format!("/?{name}")).body(PUB), 400, "parameter-not-allowed", name.split('=').next().unwrap()));
    }
    ways.push(not_http(31, Raw::post(&format!("/?query=SELECT '{}'", "x".repeat(40_000))).body(""), 431));
    ways
}

/// 32 to 34: what may be done by which method.
fn methods() -> Vec<Way> {
    let mut ways = Vec::new();
    for method in ["PUT", "DELETE", "PATCH", "FOO", "post", "Post", "OPTIONS", "TRACE", "GETT"] {
        // Without a question mark the old server has nothing for it.
        for address in ["/?", "/?query=", "/"] {
            let old = (address != "/").then_some(Drops);
            ways.push(refused(32, Raw::by(method, address).body(DROP), 405, "method-not-allowed", "with POST").does(old, None));
        }
        ways.push(refused(32, Raw::by(method, "/?query=SELECT 1"), 405, "method-not-allowed", "with POST"));
    }
    ways.push(read(32, Raw::post("/").body(PUB), PUB));
    ways.push(refused(32, Raw::get("/?query=DROP TABLE victim"), 403, "write-by-get", "reads only"));
    ways.push(refused(32, Raw::get("/?query=INSERT INTO log VALUES (1,'a')"), 403, "write-by-get", "reads only").by("engineers"));
    ways.push(refused(33, Raw::by("HEAD", "/?query=SELECT s FROM sec.secret"), 403, "table-not-allowed", ""));
    ways.push(refused(33, Raw::by("HEAD", "/?query=SELECT sleep(3)"), 403, "function-not-allowed", ""));
    ways.push(refused(33, Raw::by("HEAD", "/?query=DROP TABLE victim"), 403, "write-by-get", ""));
    ways.push(refused(33, Raw::by("HEAD", "/"), 400, "empty-statement", ""));
    ways.push(read(33, Raw::by("HEAD", "/?query=SELECT a FROM pub"), PUB));
    ways.push(refused(34, Raw::by("OPTIONS", "/?query=SELECT s FROM sec.secret&user=default"), 405, "method-not-allowed", "with POST"));
    ways.push(refused(34, Raw::by("OPTIONS", "/?query=SELECT s FROM sec.secret&user=admin"), 401, "user_mismatch", "`admin`"));
    ways.push(refused(34, Raw::by("OPTIONS", "/?query=SELECT s FROM sec.secret"), 405, "method-not-allowed", "with POST"));
    ways.push(refused(34, Raw::by("OPTIONS", "/"), 405, "method-not-allowed", "with POST"));
    ways
}

/// 35: how long a body is.
fn framings() -> Vec<Way> {
    let drop = chunked(&[DROP.as_bytes()]);
    let twin = chunked(&[PUB.as_bytes()]);
    let both =
        |length: &str, body: &[u8]| Raw::post("/").header(&format!("Content-Length: {length}")).header("Transfer-Encoding: chunked").unframed(body);
    let swapped =
        |length: &str, body: &[u8]| Raw::post("/").header("Transfer-Encoding: chunked").header(&format!("Content-Length: {length}")).unframed(body);
    let coded = |coding: &str, body: &[u8]| Raw::post("/").header(&format!("Transfer-Encoding: {coding}")).unframed(body);
    let lengths = |first: &str, second: &str, body: &str| {
        Raw::post("/").header(&format!("Content-Length: {first}")).header(&format!("Content-Length: {second}")).unframed(body)
    };
    vec![
        // The length counts for nothing (RFC 9112 6.3), and the connection ends with the answer.
        defines(35, both("8", &drop)).does_everywhere(Drops),
        defines(35, swapped("8", &drop)).does_everywhere(Drops),
        defines(35, both("0", &drop)).does_everywhere(Drops),
        read(35, both("8", &twin), PUB),
        refused(35, coded("gzip, chunked", &drop), 400, "header-not-allowed", "`transfer-encoding`"),
        refused(35, coded("gzip, chunked", &twin), 400, "header-not-allowed", "`transfer-encoding`"),
        refused(35, coded("gzip, chunked", &chunked(&[&gzip(PUB.as_bytes())])), 400, "header-not-allowed", "`transfer-encoding`"),
        refused(35, coded("gzip", &twin).header("Transfer-Encoding: chunked"), 400, "header-not-allowed", "`transfer-encoding`"),
        not_http(35, coded("chunked, gzip", &drop), 400),
        not_http(35, coded("identity", &drop), 400),
        not_http(35, coded("gzip", &drop), 400),
        refused(35, coded("chunked, chunked", &drop), 400, "header-not-allowed", "`transfer-encoding`"),
        refused(35, coded("chunked", &drop).header("Transfer-Encoding: chunked"), 400, "header-not-allowed", "`transfer-encoding`"),
        not_http(35, lengths("8", "17", DROP), 400),
        not_http(35, lengths("17", "8", DROP), 400).does_everywhere(Drops),
        not_http(35, Raw::post("/").header("Content-Length: 8, 17").unframed(DROP), 400),
        not_http(35, Raw::post("/").header("Content-Length: +17").unframed(DROP), 400),
        not_http(35, Raw::post("/").header("Content-Length: 0x11").unframed(DROP), 400),
        not_http(35, Raw::post("/").header("Content-Length: -1").unframed(DROP), 400),
        defines(35, coded("chunked", &drop)).does_everywhere(Drops),
        defines(35, coded("Chunked", &drop)).does_everywhere(Drops),
        defines(35, Raw::post("/").body(DROP)).does_everywhere(Drops),
        read(35, coded("chunked", &twin), PUB),
        read(35, coded("CHUNKED", &twin), PUB),
        read(35, coded("chunked", &chunked(&PUB.as_bytes().chunks(1).collect::<Vec<_>>())), PUB),
        read(35, coded("chunked", b"11;name=value\r\nSELECT a FROM pub\r\n0\r\nX-Trailer: x\r\n\r\n"), PUB).not_today(),
    ]
}

/// 37 to 44: only the path `/` carries statements.
fn targets() -> Vec<Way> {
    let unknown = |number, raw| refused(number, raw, 404, "unknown-path", "path `/`");
    let mut ways = vec![
        names_it(37, Raw::line("GET http://evil/?query=SELECT%20s%20FROM%20sec.secret")).does(Tells, None),
        names_it(37, Raw::line("POST https://evil:1/").body(SECRET)).does(Tells, None),
        read(37, Raw::line("GET http://evil/?query=SELECT%20a%20FROM%20pub"), PUB).not_today(),
        read(37, Raw::line("GET http://evil?query=SELECT%20a%20FROM%20pub"), PUB).not_today(),
        unknown(37, Raw::line("GET http://evil/x?query=SELECT%201")),
        read(37, Raw::line("GET /?query=SELECT%20a%20FROM%20pub#&x="), PUB),
        names_it(37, Raw::line("GET /?query=SELECT%20s%20FROM%20sec.secret#%20LIMIT%200")).does_everywhere(Tells),
        names_it(37, Raw::line("GET /?%71uery=SELECT%20s%20FROM%20sec.secret")).does_everywhere(Tells),
        read(37, Raw::line("GET /?%71uery=SELECT%20a%20FROM%20pub"), PUB),
        read(37, Raw::line("GET /?query=SELECT%20a%20FROM%20pub"), PUB),
    ];
    for path in ["//", "/./", "/../", "/;x", "/%2e", "/%2F", "/%3Fquery=SELECT%201", "/query", "/?query=/../x#/", "/\\", "/%20", "/%00"] {
        let raw = Raw::line(&format!("GET {path}?query=SELECT%20s%20FROM%20sec.secret"));
        match path {
            "/?query=/../x#/" => ways.push(refused(37, raw, 400, "not-understood", "")),
            _ => ways.push(unknown(37, raw).does(Tells, (path == "/query").then_some(Tells))),
        }
    }
    ways.push(not_http(37, Raw::line("GET ?query=SELECT%201"), 400));
    ways.push(not_http(37, Raw::line("GET query=SELECT%201"), 400));
    for (number, path) in [
        (38, "/sec/secret.CSV"),
        (38, "/sec/secret.CSV.gz"),
        (38, "/sec/id=1/secret.CSV"),
        (38, "/%60sec%60/secret.JSON"),
        (38, "/sec%2Fsecret.CSV"),
        (38, "/sec.secret"),
        (39, "/sec/secret?query=SELECT%20s"),
        (39, "/default/pub?query=SELECT%20a"),
        (40, "/sec/secret.CSV?query=SELECT%201&http_allow_table_as_file=1"),
        (42, "/play"),
        (42, "/play/"),
        (42, "/dashboard"),
        (42, "/binary"),
        (42, "/merges"),
        (42, "/jemalloc"),
        (42, "/js/uplot.js"),
        (42, "/schema"),
        (42, "/replicas_status?verbose=1"),
        (42, "/metrics"),
        (42, "/clickstack"),
        (42, "/favicon.ico"),
        (42, "/-/healthy"),
        (42, "/-/ready"),
        (42, "/Ping"),
        (42, "/ping/"),
        (43, "/webterminal"),
        (44, "/api/v1/write"),
        (44, "/api/v1/query?query=up"),
        (46, "/x"),
    ] {
        ways.push(unknown(number, Raw::line(&format!("GET {path}"))));
        ways.push(unknown(number, Raw::line(&format!("POST {path}")).body(SECRET)));
    }
    for name in [
        "http_allow_table_as_file=1",
        "http_allow_database_as_path=1",
        "http_allow_filters_as_unrecognized_url_parameters=1",
        "throwIf((SELECT s FROM sec.secret)!='x')>0",
        "f(x)>3",
        "select=1",
        "filter=1",
    ] {
        ways.push(refused(40, Raw::get(&format!("/?query=SELECT a FROM pub&{name}")), 400, "parameter-not-allowed", "is not passed on"));
    }
    ways.push(refused(40, Raw::get("/?query=SELECT a FROM pub&a=2"), 403, "setting-not-allowed", "`a`"));
    for method in ["PUT", "POST", "PATCH"] {
        ways.push(unknown(41, Raw::by(method, "/default/pub.CSV").body("9,x\n")));
    }
    for number in [34, 38, 39, 41, 44] {
        ways.push(read(number, Raw::post("/").body("SELECT * FROM pub"), "SELECT * FROM pub"));
    }
    ways.push(read(40, Raw::get("/?query=SELECT a FROM pub&cancel_http_readonly_queries_on_client_close=1"), PUB).not_old());
    ways.push(refused(42, Raw::get("/?"), 400, "empty-statement", "no statement"));
    ways.push(read(42, Raw::post("/?").body(PUB), PUB));
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
    let upgraded = |raw: Raw| upgrade.iter().fold(raw, |raw, line| raw.header(line));
    ways.push(unknown(43, upgraded(Raw::get("/webterminal"))));
    ways.push(names_it(43, upgraded(Raw::get("/?query=SELECT s FROM sec.secret"))).does_everywhere(Tells));
    ways.push(read(43, upgraded(Raw::get("/?query=SELECT a FROM pub")), PUB));
    ways.push(refused(44, Raw::get("/api/v1/query?query=up&user=default"), 404, "unknown-path", ""));
    ways
}

/// 45 and 46: what ClickHouse's own handlers look at.
fn handlers() -> Vec<Way> {
    let mut ways = Vec::new();
    let headers = [
        "X-Handler: admin",
        "X-Forwarded-For: 127.0.0.1",
        "Referer: http://evil/",
        "Origin: http://evil",
        "Cookie: a=b",
        "traceparent: 00-1-1-01",
        "Content-Language: x",
        "X_ClickHouse_User: default",
        "Connection: X-Handler",
    ];
    for header in headers {
        ways.push(read(45, Raw::post("/").header(header).body(PUB), PUB));
        let way = names_it(45, Raw::post("/").header(header).body(SECRET));
        ways.push(way.does_everywhere(Tells));
    }
    for header in ["X-ClickHouse-Quota: x", "X-ClickHouse-Handler: x", "X-Keyhouse-Caller: bob"] {
        ways.push(refused(45, Raw::post("/").header(header).body(PUB), 400, "header-not-allowed", "is not passed on"));
    }
    ways.push(refused(45, Raw::post("/").header("X-ClickHouse-Format: ../x").body(PUB), 400, "malformed-parameter", "holds no name"));
    // A name is no credential: that of the caller says nothing, and goes nowhere.
    ways.push(read(45, Raw::post("/").header("X-ClickHouse-User: default").body(PUB), PUB));
    ways.push(names_it(45, Raw::post("/").header("X-ClickHouse-User: default").body(SECRET)).does_everywhere(Tells));
    ways.push(refused(45, Raw::post("/").header("X-ClickHouse-User: admin").body(PUB), 401, "user_mismatch", "`admin`"));
    for header in ["X-ClickHouse-Key: x", "X-ClickHouse-SSL-Certificate-Auth: on"] {
        ways.push(refused(45, Raw::post("/").header(header).body(PUB), 400, "multiple_credentials", "exactly one"));
    }
    for sql in ["CREATE HANDLER h URL '/x' METHODS (GET) AS SELECT * FROM sec.secret", "CREATE HANDLER h URL '/' AS SELECT 1", "DROP HANDLER h"] {
        ways.push(refused(46, Raw::post("/").body(sql), 403, "effect-not-allowed", ""));
    }
    ways.push(read(46, Raw::post("/").body("SELECT 1 AS HANDLER"), "SELECT 1 AS HANDLER"));
    ways
}
