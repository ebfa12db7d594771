//! Tokens: read by sqlparser's lexer, taken only in forms that ClickHouse's lexer reads alike, and written anew.

use sqlparser::dialect::ClickHouseDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace, Word};

use crate::refusal::{Reason, Refusal};

/// Most tokens of one statement.
const MOST_TOKENS: usize = 60_000;

/// Deepest brackets: every level costs the parser stack, and some of them time.
const DEEPEST: usize = 24;

/// Most words and operators in a row, without a comma or bracket that ends the row: `1+1+1...` becomes a tree as deep
/// as it is long, which is walked and dropped by recursion.
const LONGEST_ROW: usize = 1500;

/// One statement as tokens that are safe to write anew. The semicolons at its end are gone.
pub(super) struct Text {
    tokens: Vec<TokenWithSpan>,
}

/// What stood between two tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    Space,
    Line,
}

impl Text {
    /// Reads one statement.
    ///
    /// # Errors
    /// What is no token, no token for certain, or more than one statement.
    pub(super) fn read(sql: &str) -> Result<Self, Refusal> {
        let mut tokens = Tokenizer::new(&ClickHouseDialect {}, sql)
            .with_unescape(false)
            .tokenize_with_location()
            .map_err(|error| not_understood(format!("The statement cannot be read: {error}.")))?;
        while tokens.last().is_some_and(|last| matches!(last.token, Token::SemiColon | Token::Whitespace(_) | Token::EOF)) {
            tokens.pop();
        }
        if tokens.len() > MOST_TOKENS {
            return Err(not_understood(format!("The statement has more than {MOST_TOKENS} tokens.")));
        }
        let text = Self { tokens };
        text.check()?;
        Ok(text)
    }

    fn check(&self) -> Result<(), Refusal> {
        let mut nesting = Nesting::default();
        for TokenWithSpan { token, span } in &self.tokens {
            if *token == Token::SemiColon {
                return Err(Refusal::new(Reason::SeveralStatements, "One request carries one statement; send the next one on its own."));
            }
            nesting.see(token)?;
            if write(token).is_none() && !matches!(token, Token::Whitespace(_)) {
                return Err(not_understood(format!(
                    "`{}` at line {}, column {} is not read yet: ClickHouse and Keyhouse could understand it differently. Write it another way.",
                    token.to_string().chars().take(40).flat_map(char::escape_debug).collect::<String>(),
                    span.start.line,
                    span.start.column
                )));
            }
        }
        Ok(())
    }

    /// The tokens without what stands between them.
    pub(super) fn significant(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_)))
    }

    /// The tokens for the grammar.
    pub(super) fn into_tokens(self) -> Vec<TokenWithSpan> {
        self.tokens
    }

    /// The text that goes to ClickHouse: comments gone, one quoting style for names, line breaks kept.
    pub(super) fn canonical(&self) -> String {
        self.written(write)
    }

    /// The same with literals as `?`.
    pub(super) fn masked(&self) -> String {
        let literal = |token: &Token| matches!(token, Token::Number(..) | Token::SingleQuotedString(_));
        self.written(|token| if literal(token) { Some("?".to_owned()) } else { write(token) })
    }

    fn written(&self, write: impl Fn(&Token) -> Option<String>) -> String {
        let mut out = String::new();
        let mut gap = Gap::None;
        let mut before: Option<&Token> = None;
        for TokenWithSpan { token, .. } in &self.tokens {
            if let Token::Whitespace(space) = token {
                gap = wider(gap, space);
                continue;
            }
            if let Some(before) = before {
                match gap {
                    Gap::Line => out.push('\n'),
                    Gap::Space => out.push(' '),
                    // Two operators side by side could be one for ClickHouse, or begin a comment there.
                    Gap::None if may_touch(before, token) => {}
                    Gap::None => out.push(' '),
                }
            }
            out.push_str(&write(token).unwrap_or_default());
            before = Some(token);
            gap = Gap::None;
        }
        out
    }
}

/// How deep a tree the tokens so far can have become.
#[derive(Default)]
struct Nesting {
    /// The row of every open bracket, and the one outside.
    rows: Vec<usize>,
    row: usize,
    /// All of them together.
    total: usize,
}

impl Nesting {
    fn see(&mut self, token: &Token) -> Result<(), Refusal> {
        if matches!(token, Token::LParen | Token::LBracket) {
            self.rows.push(std::mem::take(&mut self.row));
        } else if matches!(token, Token::RParen | Token::RBracket) {
            self.total -= self.row;
            self.row = self.rows.pop().unwrap_or_default();
        } else if *token == Token::Comma {
            self.total -= std::mem::take(&mut self.row);
        } else if !matches!(token, Token::Whitespace(_) | Token::Number(..) | Token::SingleQuotedString(_)) {
            self.row += 1;
            self.total += 1;
        }
        if self.rows.len() > DEEPEST {
            return Err(not_understood(format!("The statement has brackets deeper than {DEEPEST}; write it flatter.")));
        }
        if self.total > LONGEST_ROW {
            return Err(not_understood(format!(
                "The statement has more than {LONGEST_ROW} words and operators in a row; use a list (x IN (1, 2, ...)) or brackets."
            )));
        }
        Ok(())
    }
}

/// The token as ClickHouse will read it, or nothing where the two lexers could differ.
#[expect(clippy::wildcard_enum_match_arm, reason = "a token that is not listed is not taken")]
fn write(token: &Token) -> Option<String> {
    let plain = match token {
        Token::Word(word) => return write_word(word),
        Token::Number(digits, false) => return is_plain_number(digits).then(|| digits.clone()),
        Token::SingleQuotedString(inner) => return is_closed_string(inner).then(|| format!("'{inner}'")),
        Token::Comma => ",",
        Token::DoubleEq => "==",
        Token::Eq => "=",
        Token::Neq => "!=",
        Token::Lt => "<",
        Token::Gt => ">",
        Token::LtEq => "<=",
        Token::GtEq => ">=",
        Token::Plus => "+",
        Token::Minus => "-",
        Token::Mul => "*",
        Token::Div => "/",
        Token::Mod => "%",
        Token::StringConcat => "||",
        Token::LParen => "(",
        Token::RParen => ")",
        Token::Period => ".",
        Token::DoubleColon => "::",
        Token::LBracket => "[",
        Token::RBracket => "]",
        Token::Arrow => "->",
        _ => return None,
    };
    Some(plain.to_owned())
}

fn write_word(word: &Word) -> Option<String> {
    match word.quote_style {
        None => {
            let mut bytes = word.value.bytes();
            let begins = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
            (begins && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')).then(|| word.value.clone())
        }
        // Escapes and doubled quotes inside names are read differently by the two lexers.
        Some('`' | '"') => {
            let odd = |c: char| c.is_control() || matches!(c, '`' | '"' | '\\');
            (!word.value.is_empty() && !word.value.contains(odd)).then(|| format!("`{}`", word.value))
        }
        Some(_) => None,
    }
}

/// Digits, a fraction, an exponent: no hex, no separators, no suffix.
fn is_plain_number(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let bare = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !bare.is_empty() && digits(bare)
    });
    !whole.is_empty() && digits(whole) && digits(fraction) && exponent_fits
}

/// Whether ClickHouse's string ends where the lexer ended it: a backslash takes the next character with it, and a
/// quote inside is doubled.
fn is_closed_string(inner: &str) -> bool {
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        let closed = match character {
            '\\' => characters.next().is_some(),
            '\'' => characters.next() == Some('\''),
            _ => true,
        };
        if !closed {
            return false;
        }
    }
    true
}

fn wider(gap: Gap, space: &Whitespace) -> Gap {
    let line = match space {
        Whitespace::Newline | Whitespace::SingleLineComment { .. } => true,
        Whitespace::MultiLineComment(text) => text.contains('\n'),
        Whitespace::Space | Whitespace::Tab => false,
    };
    if line || gap == Gap::Line { Gap::Line } else { Gap::Space }
}

/// Single characters that never join with a neighbour, and the dot of a compound name.
fn may_touch(before: &Token, after: &Token) -> bool {
    let bracket = |token: &Token| matches!(token, Token::Comma | Token::LParen | Token::RParen | Token::LBracket | Token::RBracket);
    let name = |token: &Token| matches!(token, Token::Word(_));
    match (before, after) {
        (Token::Period, after) => name(after) || matches!(after, Token::Mul),
        (before, Token::Period) => name(before) || matches!(before, Token::RParen | Token::RBracket),
        // A sign that touches its number is part of it for ClickHouse: -3::Int8 casts -3, - 3::Int8 negates the cast.
        (Token::Minus, Token::Number(..)) => true,
        (before, after) => bracket(before) || bracket(after),
    }
}

/// A refusal of text that cannot be read for certain.
pub(super) fn not_understood(says: String) -> Refusal {
    Refusal::new(Reason::NotUnderstood, says)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn canonical(sql: &str) -> String {
        Text::read(sql).unwrap_or_else(|refusal| panic!("{sql}: {}", refusal.says())).canonical()
    }

    #[test]
    fn the_text_is_written_from_the_tokens() {
        for (sql, want) in [
            ("SELECT 1", "SELECT 1"),
            ("select  a ,\"b c\"\tfrom `t` -- why\nwhere x='it''s \\' ok' ;;", "select a ,`b c` from `t`\nwhere x = 'it''s \\' ok'"),
            ("SELECT/* a\nb */count(*),t.*,f(x).y FROM db . t", "SELECT\ncount(*),t.*,f(x).y FROM db . t"),
            ("SELECT 1-1, -1, 2*-3, 4/2, x->x+1, '5'::UInt8", "SELECT 1 -1, -1, 2 * -3, 4 / 2, x -> x + 1, '5' :: UInt8"),
            ("SELECT -3::Int8, - 3::Int8, -x", "SELECT -3 :: Int8, - 3 :: Int8, - x"),
            ("SELECT 4/ /2", "SELECT 4 / / 2"),
        ] {
            assert_eq!(canonical(sql), want, "{sql}");
            assert_eq!(canonical(want), want, "read again: {sql}");
        }
    }

    #[test]
    fn literals_are_masked() {
        let text = Text::read("SELECT name FROM t WHERE ssn = '123-45' AND n IN (1, 2.5)").unwrap();
        assert_eq!(text.masked(), "SELECT name FROM t WHERE ssn = ? AND n IN (?, ?)");
    }

    #[test]
    fn what_two_lexers_read_differently_is_refused() {
        for sql in [
            "SELECT 'a",
            "SELECT $$ ' $$",
            "SELECT $x$ ' $x$, 1",
            "SELECT ‘a’",
            "SELECT “a”",
            "SELECT # '\n1",
            "SELECT `a\\x62`",
            "SELECT \"a\\x62\"",
            "SELECT `a``b`",
            "SELECT 0x1F",
            "SELECT 1_000",
            "SELECT x'4142'",
            "SELECT b'01' # c",
            "SELECT {x:String}",
            "SELECT @@version",
            "SELECT a ? b : c",
            "SELECT naïve",
            "SELECT \u{0}",
            "SELECT t.1",
        ] {
            assert!(Text::read(sql).is_err_and(|refusal| refusal.reason() == Reason::NotUnderstood), "{sql}");
        }
    }

    #[test]
    fn one_request_is_one_statement() {
        assert!(Text::read("SELECT 1; DROP TABLE t").is_err_and(|refusal| refusal.reason() == Reason::SeveralStatements));
        assert_eq!(canonical("SELECT 1; -- done\n;"), "SELECT 1");
        assert_eq!(canonical("SELECT ';'"), "SELECT ';'");
    }

    #[test]
    fn brackets_and_rows_have_an_end() {
        let deep = format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000));
        let long = format!("SELECT 1{}", "+1".repeat(2000));
        let both = format!("SELECT {}1{}", format!("({}", "1+".repeat(100)).repeat(20), ")".repeat(20));
        let closed = format!("SELECT {}", ")".repeat(2000));
        for sql in [&deep, &long, &both] {
            assert!(Text::read(sql).is_err());
        }
        assert!(Text::read(&closed).is_ok(), "the grammar's to refuse");
        assert!(Text::read(&format!("SELECT 1 IN ({})", "1, ".repeat(15_000))).is_ok());
        assert!(Text::read(&format!("SELECT {}1", "(x + y * z) AS a, ".repeat(2000))).is_ok());
    }
}
