//! Statements that nobody wrote: made at random by a small grammar, with odd blanks, quotes, comments and literals.

use keyhouse::statement::{self, Parameters};
use serde_json::json;

use crate::{
    corpus::changed,
    oracle::{embedded, rows, table},
};

/// Numbers that are the same for the same seed.
pub(crate) struct Random(u64);

/// Where the numbers begin: always at the same place, or at `KEYHOUSE_SEED`.
pub(crate) fn seed() -> u64 {
    std::env::var("KEYHOUSE_SEED").map_or(20_260_918, |seed| seed.parse().unwrap())
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// One of these.
    pub(crate) fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

const GAPS: [&str; 14] = [
    "\n",
    "\t",
    "\r\n",
    "  ",
    " /* c */",
    " -- c'\n",
    " /* ( /* nested */ */",
    " // \"\n",
    "# c\n",
    "#!c\n",
    "\u{A0}",
    "\u{3000}",
    "\u{200B} ",
    "\u{B}\u{C}",
];
const NAMES: [&str; 16] =
    ["a", "b", "c1", "userId", "order_by", "`a b`", "`select`", "\"from\"", "“é`”", "`se\\x63ret`", "`a``b`", "\"it's\"", "a$b", "$c", "1a", "_"];
const TABLES: [&str; 8] =
    ["orders", "sales.orders", "`sales`.events", "\"s\" . \"t\"", "system.one", "“ü”.t", "numbers(10)", "values('a UInt8, b String', (1, 'x'))"];
const LITERALS: [&str; 26] = [
    "1",
    "1.5",
    "1.",
    "1e3",
    "1.5E-3",
    "0x1F",
    "0x1F.8p3",
    "0b101",
    "1_000",
    "'a'",
    "''",
    "'it''s'",
    "'it\\'s'",
    "'\\x41\\n\\%'",
    "'é\n\u{1}'",
    "‘a'b’",
    "x'4142'",
    "B'0100'",
    "$$he're$$",
    "$t$ $$ $t$",
    "NULL",
    "TRUE",
    "DATE '2020-01-01'",
    "INTERVAL '1 day 2 hours'",
    "INTERVAL 5 DAY",
    "{p:UInt8}",
];
const BINARY: [&str; 26] = [
    "+",
    "-",
    "\u{2212}",
    "*",
    "/",
    "%",
    "||",
    "=",
    "==",
    "!=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "<=>",
    "AND",
    "or",
    "LIKE",
    "not like",
    "ILIKE",
    "DIV",
    "MOD",
    "IS DISTINCT FROM",
    "REGEXP",
    "IS NOT DISTINCT FROM",
];
const FUNCTIONS: [&str; 12] =
    ["f", "count", "sum", "toDate", "`quoted fn`", "if", "arrayMap", "quantile(0.9)", "replaceRegexpAll", "interval_of", "exists_", "toStartOfHour"];
const TYPES: [&str; 10] = [
    "UInt8",
    "String",
    "Nullable(String)",
    "Array(Array(Int64))",
    "Tuple(a UInt8, `b c` String)",
    "Map(String, LowCardinality(String))",
    "Decimal(10, 2)",
    "DateTime64(3, 'UTC')",
    "Enum8('a' = 1, 'b' = -2)",
    "FixedString(4)",
];

/// Writes one statement.
struct Writer {
    random: Random,
    out: String,
    /// How much deeper it may still go.
    left: usize,
}

impl Writer {
    fn one_in(&mut self, chances: usize) -> bool {
        self.random.below(chances) == 0
    }

    /// Whether it may go deeper: what is long enough comes to its end.
    fn goes_on(&self) -> bool {
        self.left > 0 && self.out.len() < 2000
    }

    /// A piece with a gap before it; none only beside a bracket or a comma.
    fn put(&mut self, piece: &str) {
        let mark = |c: char| matches!(c, '(' | ')' | '[' | ']' | ',');
        let free = piece.starts_with(mark) || self.out.ends_with(mark);
        if self.one_in(8) {
            self.out.push_str(self.random.of(&GAPS));
        } else if !free || self.one_in(2) {
            self.out.push(' ');
        }
        self.out.push_str(piece);
    }

    fn of(&mut self, list: &[&str]) {
        let piece = self.random.of(list);
        self.put(piece);
    }

    fn list(&mut self, most: usize, mut write: impl FnMut(&mut Self)) {
        write(self);
        for _ in 0..self.random.below(most) {
            self.put(",");
            write(self);
        }
    }

    fn within(&mut self, opening: &str, closing: &str, write: impl FnOnce(&mut Self)) {
        self.put(opening);
        write(self);
        self.put(closing);
    }

    /// Something behind a keyword, or neither.
    fn clause(&mut self, keyword: &str, write: impl FnOnce(&mut Self)) {
        if self.one_in(3) {
            self.put(keyword);
            write(self);
        }
    }

    fn statement(&mut self) {
        match self.random.below(12) {
            0 => self.put("EXPLAIN SYNTAX"),
            1 => self.put("EXPLAIN AST"),
            2 => self.put("CREATE OR REPLACE VIEW sales.v AS"),
            3 => {
                self.put("CREATE TABLE IF NOT EXISTS t (");
                self.list(3, |writer| {
                    writer.of(&NAMES);
                    writer.of(&TYPES);
                });
                self.put(") ENGINE = MergeTree ORDER BY tuple() AS");
            }
            4 => {
                self.put("INSERT INTO sales.orders (");
                self.list(3, |writer| writer.of(&NAMES));
                self.put(")");
                if self.one_in(2) {
                    self.put("VALUES (1, 'a'), (2, $$b$$) /* data */");
                    return;
                }
            }
            5 => {
                self.put("ALTER TABLE orders UPDATE a =");
                self.expression();
                self.put("WHERE");
                return self.expression();
            }
            _ => {}
        }
        self.query();
        self.clause("FORMAT", |writer| writer.of(&["JSON", "TSV", "`CSV`"]));
        self.clause(";", |writer| writer.put("-- end"));
    }

    fn query(&mut self) {
        let left = self.left;
        self.left = left.saturating_sub(1);
        if self.goes_on() && self.one_in(4) {
            self.put("WITH");
            self.list(2, |writer| {
                writer.of(&NAMES);
                writer.put("AS");
                writer.within("(", ")", Self::query);
            });
        }
        self.select();
        while self.goes_on() && self.one_in(6) {
            self.of(&["UNION ALL", "UNION DISTINCT", "EXCEPT", "INTERSECT"]);
            if self.one_in(2) { self.within("(", ")", Self::query) } else { self.select() }
        }
        self.left = left;
    }

    fn select(&mut self) {
        self.put("SELECT");
        if self.one_in(6) {
            self.put("DISTINCT");
        }
        if self.one_in(5) {
            return self.list(3, Self::expression);
        }
        self.list(3, Self::column);
        self.put("FROM");
        self.table();
        for _ in 0..self.random.below(3) {
            self.join();
        }
        self.clause("PREWHERE", Self::expression);
        self.clause("WHERE", Self::expression);
        self.clause("GROUP BY", |writer| writer.list(2, Self::expression));
        self.clause("HAVING", Self::expression);
        self.clause("ORDER BY", |writer| {
            writer.list(2, |writer| {
                writer.expression();
                writer.of(&["ASC", "DESC NULLS LAST"]);
            });
        });
        self.clause("LIMIT", |writer| writer.of(&["10", "1, 2", "10 OFFSET 5", "3 BY a", "{n:UInt64}"]));
        self.clause("SETTINGS", |writer| writer.of(&["max_threads = 1", "max_threads = 1, join_use_nulls = true", "limit = 1_0"]));
    }

    fn column(&mut self) {
        match self.random.below(8) {
            0 => self.of(&[
                "*",
                "orders.*",
                "* EXCEPT (a, b)",
                "COLUMNS('^a') APPLY(sum)",
                "count() OVER (PARTITION BY a ORDER BY b ROWS UNBOUNDED PRECEDING)",
            ]),
            1 | 2 => {
                self.expression();
                self.put("AS");
                self.of(&NAMES);
            }
            _ => self.expression(),
        }
    }

    fn table(&mut self) {
        if self.goes_on() && self.one_in(3) {
            self.within("(", ")", Self::query)
        } else {
            self.of(&TABLES)
        }
        self.clause("AS", |writer| writer.of(&["t", "`t 2`", "\"T\""]));
    }

    fn join(&mut self) {
        if self.one_in(4) {
            self.put(",");
            return self.table();
        }
        self.of(&["JOIN", "LEFT JOIN", "inner join", "GLOBAL ANY LEFT JOIN", "ASOF JOIN", "FULL OUTER JOIN"]);
        self.table();
        if self.one_in(2) {
            return self.put("USING (a, b)");
        }
        self.put("ON");
        self.expression();
    }

    fn expression(&mut self) {
        self.operand();
        for _ in 0..self.random.below(3) {
            self.of(&BINARY);
            self.operand();
        }
    }

    fn operand(&mut self) {
        if !self.goes_on() || self.one_in(3) {
            return if self.one_in(2) { self.of(&LITERALS) } else { self.name() };
        }
        self.left -= 1;
        match self.random.below(6) {
            0 => self.call(),
            1 => self.in_brackets(),
            2 => self.with_words(),
            3 => self.as_a_set(),
            4 => {
                self.of(&["NOT", "-", "- -", "+"]);
                self.within("(", ")", Self::expression);
            }
            _ => self.within("(", ")", Self::query),
        }
        self.left += 1;
    }

    fn name(&mut self) {
        if self.one_in(3) {
            self.of(&["t.", "`t 2`.", "sales.orders."]);
            self.out.push_str(self.random.of(&["a", "`b c`", "d"]));
            return;
        }
        self.of(&NAMES);
    }

    fn call(&mut self) {
        self.of(&FUNCTIONS);
        self.within("(", ")", |writer| {
            if writer.one_in(4) {
                writer.put("x -> ");
            }
            writer.list(3, Self::expression);
        });
    }

    fn in_brackets(&mut self) {
        match self.random.below(5) {
            0 => self.within("(", ")", |writer| writer.list(3, Self::expression)),
            1 => self.within("[", "]", |writer| writer.list(3, Self::expression)),
            2 => self.within("(", ") IS NOT NULL", Self::expression),
            3 => self.within("(", ")[1]", Self::expression),
            _ => {
                // What is cast as a literal alone is cast as it is written, so that `('\\x41')::T` and `('A')::T` are two.
                self.within("(a =", ") ::", Self::operand);
                self.of(&TYPES);
            }
        }
    }

    fn with_words(&mut self) {
        match self.random.below(7) {
            0 => self.within("CASE WHEN", "THEN 1 ELSE 'x' END", Self::expression),
            1 => self.within("case a when 1 then", "END", Self::expression),
            2 => self.within("CAST(", "AS Nullable(String))", Self::expression),
            3 => self.within("EXTRACT(DAY FROM", ")", Self::expression),
            4 => self.within("INTERVAL (", ") HOUR", Self::expression),
            5 => self.within("((", ") BETWEEN 1 AND 2)", Self::expression),
            _ => self.within("((", ") ? 'y' : 'n')", Self::expression),
        }
    }

    fn as_a_set(&mut self) {
        self.put("(a");
        self.of(&["IN", "NOT IN", "GLOBAL IN", "global not in"]);
        match self.random.below(3) {
            0 => self.of(&["orders", "sales.orders", "`a b`"]),
            1 => self.within("(", ")", Self::query),
            _ => self.within("(", ")", |writer| writer.list(4, Self::expression)),
        }
        self.put(")");
    }
}

/// The statement of this number.
fn generated(seed: u64, number: usize) -> String {
    let mut writer = Writer { random: Random::new(seed.wrapping_add(number as u64)), out: String::new(), left: number % 7 };
    writer.statement();
    writer.out
}

#[test]
fn what_is_generated_is_understood_and_its_canonical_text_is_the_same_again() {
    let seed = seed();
    for number in 0..4000 {
        let text = generated(seed, number);
        let read = statement::read(&text, &Parameters::new());
        let read = read.unwrap_or_else(|refusal| panic!("seed {seed}, statement {number}: {}\n{text}", refusal.says()));
        assert_eq!(changed(&read), None, "seed {seed}, statement {number}: {text}");
    }
}

#[tokio::test]
async fn what_is_generated_is_the_same_for_clickhouse_before_and_after() {
    let Some(embedded) = embedded().await else { return };
    let seed = seed();
    let made = (0..1500).filter_map(|number| {
        let text = generated(seed, number);
        let canonical = statement::read(&text, &Parameters::new()).ok()?.canonical().to_owned();
        Some(json!({"number": number, "text": text, "canonical": canonical}))
    });
    table(&embedded, "generated", "number UInt32, text String, canonical String", made).await;
    let lines = "formatQuerySingleLineOrNull(text) AS line, formatQuerySingleLineOrNull(canonical) AS canonical_line";
    let wrong =
        format!("SELECT *, {lines} FROM sales.generated WHERE line IS NULL OR line != assumeNotNull(canonical_line) ORDER BY length(text) LIMIT 5");
    let wrong = rows(&embedded, &wrong).await;
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    assert_eq!(embedded.run("SELECT count() FROM sales.generated").await, "1500\n");
}
