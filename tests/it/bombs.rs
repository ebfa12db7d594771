//! Texts made to take long or to go deep: each is answered on a reader's stack, and the work grows as the text does.

use std::{
    fs,
    thread::{self, Builder},
    time::{Duration, Instant},
};

use keyhouse::statement::{self, Parameters, STACK};

/// A text that begins, opens many times, has something in the middle, closes as often, and ends. `NNN` is the number of
/// the time.
type Bomb = [&'static str; 5];

/// What is nested, and closed again.
#[rustfmt::skip]
const NESTED: [Bomb; 54] = [
    ["SELECT ", "(", "1", ")", ""],
    ["SELECT ", "[", "1", "]", ""],
    ["SELECT ", "(1, ", "1", ")", ""],
    ["SELECT ", "(SELECT ", "1", ")", ""],
    ["SELECT ", "((SELECT 1) + ", "1", ")", ""],
    ["SELECT ", "((", "SELECT 1", ") + 1)", ""],
    ["SELECT ", "((SELECT ", "1", ") + 1)", ""],
    ["", "(", "SELECT 1", ")", ""],
    ["", "(", "SELECT 1", ") UNION ALL SELECT 2", ""],
    ["", "((", "SELECT 1", ") UNION ALL SELECT 2)", ""],
    ["", "SELECT 1 UNION ALL (", "SELECT 1", ")", ""],
    ["SELECT * FROM ", "(SELECT * FROM ", "t", ")", ""],
    ["SELECT * FROM ", "(FROM ", "t", ")", ""],
    ["", "FROM (", "SELECT 1", ") SELECT 1", ""],
    ["SELECT * FROM ", "(", "t CROSS JOIN t", " CROSS JOIN t)", ""],
    ["", "WITH a AS (", "SELECT 1", ") SELECT * FROM a", ""],
    ["SELECT 1 ", "|> UNION ALL (SELECT 1 ", "", ")", ""],
    ["SELECT ", "f(", "x", ")", ""],
    ["SELECT ", "f(1)(", "x", ")", ""],
    ["SELECT ", "dictGet('d', 'a', ", "x", ")", ""],
    ["SELECT ", "in(1, ", "x", ")", ""],
    ["SELECT ", "exists(SELECT ", "1", ")", ""],
    ["SELECT ", "cast(", "x", " AS Int8)", ""],
    ["SELECT ", "extract(DAY FROM ", "x", ")", ""],
    ["SELECT ", "position(x IN ", "x", ")", ""],
    ["SELECT ", "trim(BOTH 'a' FROM ", "x", ")", ""],
    ["SELECT ", "sum(1) OVER (PARTITION BY ", "1", ")", ""],
    ["SELECT ", "CASE WHEN ", "1", " THEN 1 END", ""],
    ["SELECT ", "CASE ", "1", " WHEN 1 THEN 1 END", ""],
    ["SELECT ", "CASE WHEN 1 THEN 1 ELSE ", "1", " END", ""],
    ["SELECT ", "INTERVAL ", "1", " DAY", ""],
    ["SELECT ", "interval (", "1", ") day", ""],
    ["SELECT ", "interval (", "1", ")", ""],
    ["SELECT ", "x IN (", "1", ")", ""],
    ["SELECT x IN ", "(", "t", ")", ""],
    ["SELECT ", "x = ANY (SELECT ", "1", ")", ""],
    ["SELECT ", "x[", "1", "]", ""],
    ["SELECT ", "* REPLACE (", "1", " AS x)", ""],
    ["SELECT ", "* APPLY (x -> ", "1", ")", ""],
    ["SELECT x::", "Array(", "UInt8", ")", ""],
    ["SELECT x::", "Tuple(a ", "UInt8", ")", ""],
    ["SELECT {x:", "Map(String, ", "UInt8", ")", "}"],
    ["SET param_x = ", "[", "1", "]", ""],
    ["CREATE TABLE t (x ", "Nested(a ", "UInt8", ")", ") ENGINE = Memory"],
    ["CREATE TABLE t (x UInt8 CODEC(", "f(", "1", ")", ")) ENGINE = Memory"],
    ["CREATE DICTIONARY d (a UInt8) PRIMARY KEY a SOURCE(HTTP(", "x(", "y 1", ")", ")) LAYOUT(FLAT()) LIFETIME(1)"],
    ["BACKUP TABLE t TO ", "Disk(", "'a'", ")", ""],
    ["", "EXPLAIN AST ", "SELECT 1", "", ""],
    ["", "EXPLAIN AST (", "DROP TABLE t", ")", ""],
    ["SELECT * FROM ", "(EXPLAIN SYNTAX SELECT * FROM ", "t", ")", ""],
    ["SELECT * FROM ", "view(SELECT * FROM ", "t", ")", ""],
    ["SELECT * FROM ", "values(", "1", ")", ""],
    ["SELECT * FROM ", "remote('h', ", "t", ")", ""],
    ["SELECT * FROM ", "viewIfPermitted(SELECT 1 ELSE ", "null('x Int8')", ")", ""],
];

/// What is only long.
#[rustfmt::skip]
const LONG: [Bomb; 50] = [
    ["SELECT ", "NOT ", "1", "", ""],
    ["SELECT ", "- ", "1", "", ""],
    ["SELECT ", "x -> ", "x", "", ""],
    ["SELECT ", "a ? ", "b", " : c", ""],
    ["SELECT 1", "+1", "", "", ""],
    ["SELECT 1", " AND NOT x = 1", "", "", ""],
    ["SELECT x", " IN (1)", "", "", ""],
    ["SELECT x", " IN t", "", "", ""],
    ["SELECT x", "[1]", "", "", ""],
    ["SELECT x", ".1", "", "", ""],
    ["SELECT x", "[]", "", "", ""],
    ["SELECT x", "::Int8", "", "", ""],
    ["SELECT x", " IS NULL", "", "", ""],
    ["SELECT ", "a.", "b", "", ""],
    ["SELECT ", "a.", "f(1)", "", ""],
    ["SELECT * FROM ", "a.", "f(1)", "", ""],
    ["SELECT 1 SETTINGS ", "a.", "b = 1", "", ""],
    ["SELECT 1 IN ", "a.", "b", "", ""],
    ["SELECT 1", " PARALLEL WITH SELECT 1", "", "", ""],
    ["SELECT 1", " UNION ALL SELECT 1", "", "", ""],
    ["SELECT 1", " UNION ALL (SELECT 1)", "", "", ""],
    ["SELECT 1", " UNION ALL WITH a AS (SELECT 1) SELECT 1", "", "", ""],
    ["SELECT 1", " |> WHERE 1", "", "", ""],
    ["SELECT x IN (1", ", 1", "", "", ")"],
    ["SELECT 1", ", cNNN", "", "", ""],
    ["SELECT 1", ", ((SELECT 1) + 1)", "", "", ""],
    ["SELECT 1", ", fNNN(x)", "", "", ""],
    ["SELECT 1", ", `a\\`NNN`", "", "", ""],
    ["SELECT 1", ", {pNNN:String}", "", "", ""],
    ["SELECT 1", ", interval", "", "", ""],
    ["SELECT 1", ", case", "", "", ""],
    ["SELECT * FROM t", " JOIN tNNN USING a", "", "", ""],
    ["SELECT * FROM t", ", tNNN", "", "", ""],
    ["SELECT 1 SETTINGS a = 1", ", aNNN = 1", "", "", ""],
    ["SELECT INTERVAL '", "1 day ", "", "", "'"],
    ["SELECT * FROM values('a UInt8", ", aNNN UInt8", "", "", "', 1)"],
    ["SELECT * FROM values('a ", "Array(", "UInt8", ")", "', 1)"],
    ["SELECT 1", "/* c */", "", "", ""],
    ["SELECT 1", "-- c\n", "", "", ""],
    ["SELECT 1", ";", "", "", ""],
    ["", "\n", "SELECT 1", "", ""],
    ["INSERT INTO t VALUES (1", ", 1", "", "", ")"],
    ["INSERT INTO t (a", ", aNNN", "", "", ") VALUES (1)"],
    ["CREATE TABLE t (a UInt8", ", aNNN UInt8", "", "", ") ENGINE = Memory"],
    ["ALTER TABLE t DROP COLUMN a", ", DROP COLUMN a", "", "", ""],
    ["GRANT SELECT(a", ", aNNN", "", "", ") ON t TO u"],
    ["WITH a AS (SELECT 1)", ", aNNN AS (SELECT 1)", " SELECT 1 FROM t", ", tNNN", ""],
    ["WITH a AS (SELECT 1)", ", aNNN AS (SELECT 1)", " SELECT 1", ", 1 IN tNNN", ""],
    ["WITH a AS (SELECT 1)", ", aNNN AS (SELECT 1)", " SELECT 1", " UNION ALL WITH b AS (SELECT 1) SELECT 1", ""],
    ["SELECT 1", ", 1 AS aNNN", "", ", dictGet(bNNN, 'a', 1)", ""],
];

/// What is never closed, and what is nothing.
#[rustfmt::skip]
const UNCLOSED: [Bomb; 24] = [
    ["", "(", "", "", ""],
    ["SELECT ", "(", "", "", ""],
    ["SELECT * FROM ", "(", "", "", ""],
    ["SELECT 1 IN ", "(", "", "", ""],
    ["SELECT ", "((SELECT ", "", "", ""],
    ["SELECT ", "((SELECT 1), ", "", "", ""],
    ["SELECT ", "[", "", "", ""],
    ["SELECT ", "{", "", "", ""],
    ["SELECT ", "f(", "", "", ""],
    ["SELECT ", "CASE ", "", "", ""],
    ["SELECT ", "CASE WHEN ", "", "", ""],
    ["SELECT ", "interval ", "", "", ""],
    ["SELECT ", "interval(", "", "", ""],
    ["SELECT ", "'", "'", "", ""],
    ["SELECT '", "a", "", "", ""],
    ["SELECT ", "`", "`", "", ""],
    ["SELECT ", "‘", "", "", ""],
    ["SELECT ", "/*", "", "", ""],
    ["SELECT ", "$a", "", "", ""],
    ["SELECT ", "$", "", "", ""],
    ["SELECT ", "$tNNN$ ", "", "", ""],
    ["SELECT $a$ ", "$b ", "", "", ""],
    ["SELECT ", "\\", "", "", ""],
    ["SELECT ", "\0", "", "", ""],
];

fn repeated(bomb: &Bomb, times: usize) -> String {
    let [begin, open, middle, close, end] = *bomb;
    let many = |piece: &str| -> String {
        if !piece.contains("NNN") {
            return piece.repeat(times);
        }
        (0..times).map(|number| piece.replace("NNN", &number.to_string())).collect()
    };
    [begin, &many(open), middle, &many(close), end].concat()
}

/// The bomb, about so many bytes long.
fn sized(bomb: &Bomb, bytes: usize) -> String {
    let digits = |piece: &str| piece.len() + if piece.contains("NNN") { 2 } else { 0 };
    repeated(bomb, bytes / (digits(bomb[1]) + digits(bomb[3])))
}

/// What the thread gives, on so much stack. One that overflows ends the whole program.
fn on_a_stack<T: Send>(bytes: usize, act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| Builder::new().stack_size(bytes).spawn_scoped(scope, act).unwrap().join().unwrap())
}

fn is_read(text: &str) -> bool {
    statement::read(text, &Parameters::new()).is_ok()
}

fn on_a_reader<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    on_a_stack(STACK, act)
}

/// So deep nothing is read.
const NEVER: usize = 600;

/// Where the depth has no bound, a test fails here, before the stack overflows and ends all tests.
fn is_bounded(bomb: &Bomb) {
    assert!(!on_a_reader(|| is_read(&repeated(bomb, NEVER))), "{bomb:?}: {NEVER} levels are read");
}

/// Both are answered, one as long as a statement may be and one far longer.
fn is_answered(bomb: &Bomb, far: usize) {
    for bytes in [256 << 10, far] {
        let text = sized(bomb, bytes);
        on_a_reader(|| is_read(&text));
    }
}

#[test]
fn what_is_deep_or_never_closed_is_answered() {
    NESTED.iter().for_each(is_bounded);
    NESTED.iter().chain(&UNCLOSED).for_each(|bomb| is_answered(bomb, 4 << 20));
}

/// Among them 100 000 joins, 100 000 arms, 300 000 columns and as many comments.
#[test]
fn what_is_long_is_answered() {
    LONG.iter().for_each(|bomb| is_answered(bomb, 2 << 20));
}

/// The greatest number of times that is still understood.
fn deepest(bomb: &Bomb) -> usize {
    let (mut read, mut refused) = (1, NEVER);
    assert!(on_a_reader(|| is_read(&repeated(bomb, read))), "{bomb:?}");
    is_bounded(bomb);
    while refused - read > 1 {
        let middle = read.midpoint(refused);
        *(if on_a_reader(|| is_read(&repeated(bomb, middle))) { &mut read } else { &mut refused }) = middle;
    }
    read
}

/// The eighth of a reader's stack that the deepest may take, or `KEYHOUSE_STACK` bytes, to find out how much they do take:
/// what needs more ends the program.
fn eighth() -> usize {
    std::env::var("KEYHOUSE_STACK").map_or(STACK / 8, |bytes| bytes.parse().unwrap())
}

#[test]
fn the_deepest_that_is_read_takes_less_than_an_eighth_of_the_stack() {
    for bomb in &NESTED {
        let times = deepest(bomb);
        let text = repeated(bomb, times);
        assert!(on_a_stack(eighth(), || is_read(&text)), "{bomb:?} {times} times");
    }
}

/// Processor time of this thread, where the system counts it: other programs do not lengthen it. Else the time of day.
fn clock(begun: Instant) -> Duration {
    let counted = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let counted = counted.and_then(|counted| counted.split(' ').next()?.parse().ok());
    counted.map_or_else(|| begun.elapsed(), Duration::from_nanos)
}

fn took(text: &str) -> Duration {
    on_a_reader(|| {
        let begun = Instant::now();
        let before = clock(begun);
        is_read(text);
        clock(begun).saturating_sub(before)
    })
}

/// Measured by time, as there is no counter: the least of interleaved runs, and one more where it is too much. A text four
/// times as long may take six times as long; where the work were quadratic it would be sixteen times.
fn is_linear(bomb: &Bomb) -> Result<(), String> {
    const CLOCK_TICKS: Duration = Duration::from_millis(20);
    let texts = [sized(bomb, 64 << 10), sized(bomb, 256 << 10)];
    let mut least = [Duration::MAX; 2];
    for _ in 0..10 {
        for (least, text) in least.iter_mut().zip(&texts) {
            *least = (*least).min(took(text));
        }
        if least[1] <= least[0] * 6 + CLOCK_TICKS {
            return Ok(());
        }
    }
    Err(format!("{bomb:?}: {least:?}"))
}

#[test]
fn the_work_grows_as_the_text_does() {
    let wrong: Vec<String> = NESTED.iter().chain(&LONG).chain(&UNCLOSED).filter_map(|bomb| is_linear(bomb).err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
