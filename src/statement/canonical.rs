//! Tokens written anew: one way of writing for every name and string, no comments, and nothing that another lexer could read otherwise.

use std::ops::Range;

use super::lexer::{self, Kind, Token};

/// Writes `tokens`, the significant ones of `text` in their order. The token ranges of `replaced`, in their order too
/// and disjoint, are written as the names beside them. What cannot be decoded is left as it is: refuse it before.
///
/// Where blanks or comments stood between two tokens, their line feeds stand, or one space; where nothing stood, nothing
/// does, unless the two could be taken for one token or for a comment. So every token keeps its line. Line feeds of a
/// replaced range stand before the name.
pub(super) fn write(text: &str, tokens: &[Token], replaced: &[(Range<usize>, String)]) -> String {
    let mut writer = Writer::new(text);
    let mut written = 0;
    for (range, name) in replaced {
        writer.tokens(tokens.get(written..range.start).unwrap_or_default());
        writer.name(tokens.get(range.clone()).unwrap_or_default(), name);
        written = range.end;
    }
    writer.tokens(tokens.get(written..).unwrap_or_default());
    writer.out
}

/// Writes `tokens` as [`write()`] does, with `?` for every string and number, and for what is no token.
pub(super) fn masked(text: &str, tokens: &[Token]) -> String {
    let mut writer = Writer::new(text);
    for &token in tokens {
        if token.kind.is_error() || matches!(token.kind, Kind::StringLiteral | Kind::HereDoc | Kind::Number) {
            writer.step(token, token, b'?');
            writer.out.push('?');
        } else {
            writer.token(token);
        }
    }
    writer.out
}

/// Writes these tokens alone, as they stand in what [`write()`] writes.
pub(super) fn piece(text: &str, tokens: &[Token]) -> String {
    let begins = tokens.first().map_or(0, |first| first.start as usize);
    let mut writer = Writer { text, out: String::new(), end: begins, last: Kind::Whitespace };
    writer.tokens(tokens);
    writer.out
}

/// A text as a literal, with escapes that every ClickHouse reads alike.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote(&mut out, '\'', text.as_bytes(), 0);
    out
}

/// A name in backticks, with the same escapes.
pub fn quoted_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    quote(&mut out, '`', name.as_bytes(), 0);
    out
}

/// Whether a name is one without quotes, for every ClickHouse: letters, digits and `_`, no digit first.
pub fn is_plain_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A name as ClickHouse's SQL takes it: in backticks where it needs them.
pub fn written_name(name: &str) -> String {
    if is_plain_name(name) { name.to_owned() } else { quoted_name(name) }
}

struct Writer<'a> {
    text: &'a str,
    out: String,
    /// Where the token that was written last ends in `text`, and its kind.
    end: usize,
    last: Kind,
}

impl<'a> Writer<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, out: String::with_capacity(text.len() + text.len() / 16), end: 0, last: Kind::Whitespace }
    }

    fn tokens(&mut self, tokens: &[Token]) {
        for &token in tokens {
            self.token(token);
        }
    }

    fn token(&mut self, token: Token) {
        let written = token.written(self.text);
        // What U+2212 is written as.
        let written = if token.kind == Kind::Minus { "-" } else { written };
        self.step(token, token, written.as_bytes().first().copied().unwrap_or_default());
        let lines = || written.bytes().filter(|&byte| byte == b'\n').count();
        if matches!(token.kind, Kind::StringLiteral | Kind::HereDoc)
            && let Ok(bytes) = lexer::string(self.text, token)
        {
            quote(&mut self.out, '\'', &bytes, lines());
        } else if token.kind == Kind::QuotedIdentifier
            && let Ok(name) = lexer::identifier(self.text, token)
        {
            quote(&mut self.out, '`', name.as_bytes(), lines());
        } else if token.kind == Kind::BareWord && written.contains('$') {
            // Some older lexers end a word before its dollar sign, and begin a heredoc with it.
            quote(&mut self.out, '`', written.as_bytes(), 0);
        } else if token.kind == Kind::Number {
            // Older lexers end a number before its underscore.
            self.out.extend(written.split('_'));
        } else {
            self.out.push_str(written);
        }
    }

    fn name(&mut self, replaced: &[Token], name: &str) {
        let (Some(first), Some(last)) = (replaced.first(), replaced.last()) else { return };
        self.step(Token { kind: Kind::QuotedIdentifier, ..*first }, *last, b'`');
        quote(&mut self.out, '`', name.as_bytes(), 0);
    }

    /// Writes what stands before the tokens from `first` to `last`, which begin with the byte `begin` when written.
    fn step(&mut self, first: Token, last: Token, begin: u8) {
        let lines = self.text.as_bytes().get(self.end..last.start as usize).unwrap_or_default();
        let before = self.out.len();
        self.out.extend(lines.iter().filter(|&&byte| byte == b'\n').map(|_| '\n'));
        let apart = first.start as usize > self.end || (is_operand(self.last) && is_operand(first.kind));
        if before > 0 && before == self.out.len() && (apart || joins(self.out.as_bytes().last().copied(), begin)) {
            self.out.push(' ');
        }
        self.end = last.end as usize;
        self.last = first.kind;
    }
}

/// Whether it is a word, a number or in quotes: two of them side by side could be one.
fn is_operand(kind: Kind) -> bool {
    matches!(kind, Kind::BareWord | Kind::Number | Kind::StringLiteral | Kind::HereDoc | Kind::QuotedIdentifier)
}

/// Whether two bytes side by side begin or end a comment, or are an arrow.
fn joins(last: Option<u8>, next: u8) -> bool {
    matches!((last, next), (Some(b'-'), b'-' | b'>') | (Some(b'/'), b'/' | b'*') | (Some(b'*'), b'/'))
}

/// Writes `bytes` between quotes, with escapes that every ClickHouse reads alike; `lines` line feeds stay as they are.
fn quote(out: &mut String, quote: char, bytes: &[u8], mut lines: usize) {
    out.push(quote);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' if lines > 0 => {
                    lines -= 1;
                    out.push('\n');
                }
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                '\0' => out.push_str("\\0"),
                '\\' => out.push_str("\\\\"),
                _ if character == quote => out.extend(['\\', quote]),
                _ if character.is_control() => hexadecimal(out, character.encode_utf8(&mut [0; 4]).as_bytes()),
                _ => out.push(character),
            }
        }
        hexadecimal(out, chunk.invalid());
    }
    out.push(quote);
}

fn hexadecimal(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
        out.extend(['\\', 'x', digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::super::lexer::Lexer;
    use super::*;

    fn significant(text: &str) -> Vec<Token> {
        let mut lexer = Lexer::new(text);
        let tokens = std::iter::from_fn(|| Some(lexer.next_token()).filter(|token| token.kind != Kind::EndOfStream));
        tokens.filter(|token| token.kind.is_significant()).collect()
    }

    /// Writes a statement anew, and makes sure that writing it again changes nothing and leaves every token on its line.
    fn rewritten(text: &str) -> String {
        let before = significant(text);
        let written = write(text, &before, &[]);
        let after = significant(&written);
        assert_eq!(write(&written, &after, &[]), written);
        let line = |text: &str, token: &Token| text.get(..token.start as usize).map(|before| before.matches('\n').count());
        assert_eq!(
            before.iter().map(|token| line(text, token)).collect::<Vec<_>>(),
            after.iter().map(|token| line(&written, token)).collect::<Vec<_>>()
        );
        assert!(after.iter().all(|token| token.kind != Kind::HereDoc), "{written}");
        written
    }

    #[test]
    fn blanks_and_comments_become_one_space_or_their_line_feeds() {
        for (text, written) in [
            ("SELECT  1 /* c */ + 2 -- end", "SELECT 1 + 2"),
            ("  SELECT\u{3000}\u{200B}1", "SELECT 1"),
            ("SELECT/**/1", "SELECT 1"),
            ("SELECT 1 -- one\r\n\r\n, 2", "SELECT 1\n\n, 2"),
            ("-- first\nSELECT /* a\nb */ 1", "\nSELECT\n1"),
            ("SELECT 'a\nb\\nc', $$d\ne$$, 1", "SELECT 'a\nb\\nc', 'd\ne', 1"),
            ("SELECT \"a\nb\".c", "SELECT `a\nb`.c"),
            ("", ""),
            (" -- nothing", ""),
        ] {
            assert_eq!(rewritten(text), written, "{text}");
        }
    }

    #[test]
    fn what_stood_side_by_side_stays_so() {
        for text in [
            "f(x,-1)",
            "-3::Int8",
            "- 3::Int8",
            "t.1.2",
            "a.b.*",
            "@@x",
            "j.a.:Int64",
            "j.^a",
            "x->x+1",
            "a<=>b",
            "{x:Array(UInt8)}",
            "[1]::T",
            "(1,2).1",
        ] {
            assert_eq!(rewritten(text), text);
        }
    }

    #[test]
    fn what_could_be_taken_for_one_is_apart() {
        for (text, written) in [
            ("$$a$$'b'", "'a' 'b'"),
            ("'a'\"b\"", "'a' `b`"),
            ("\"a\"`b`", "`a` `b`"),
            ("x‘41’", "x '41'"),
            ("DATE'2020-01-01'", "DATE '2020-01-01'"),
            ("1$a", "1 `$a`"),
            ("1−−2", "1- -2"),
            ("1−->2", "1- ->2"),
            ("x−>1", "x- >1"),
            ("2*/3", "2* /3"),
            ("-/**/-1", "- -1"),
        ] {
            assert_eq!(rewritten(text), written, "{text}");
        }
    }

    #[test]
    fn names_and_strings_have_one_form() {
        for (text, written) in [
            ("Select, `a`, \"a\", “a”", "Select, `a`, `a`, `a`"),
            ("`a``b`, \"a\"\"b\", “a`\\b”", "`a\\`b`, `a\"b`, `a\\`\\\\b`"),
            ("`se\\x63ret`, `a\\tb\\x01`", "`secret`, `a\\tb\\x01`"),
            ("'it''s', 'it\\'s', ‘it's’, $$it's$$", "'it\\'s', 'it\\'s', 'it\\'s', 'it\\'s'"),
            ("x'41ff00', b'01000001', x''", "'A\\xff\\0', 'A', ''"),
            ("'10\\%', '\\\\d\\d', '\\/\\N'", "'10\\\\%', '\\\\d\\\\d', '/'"),
            ("'é\u{85}\u{7F}\\r'", "'é\\xc2\\x85\\x7f\\r'"),
            ("a$b, $c", "`a$b`, `$c`"),
            ("1_000, 0x1_F, 0b1_0, 1_0.5_0e1_0, t.1_0, a_1", "1000, 0x1F, 0b10, 10.50e10, t.10, a_1"),
        ] {
            assert_eq!(rewritten(text), written, "{text}");
        }
    }

    #[test]
    fn every_byte_survives() {
        let text: String = (0..=255).fold("x'".to_owned(), |text, byte| format!("{text}{byte:02x}")) + "'";
        let written = rewritten(&text);
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(lexer::string(&written, *significant(&written).first().unwrap()).as_deref(), Ok(bytes.as_slice()));
    }

    #[test]
    fn names_stand_where_ranges_are_replaced() {
        let text = "SELECT a FROM {d:Identifier}.{t\n:Identifier}x";
        let replaced = [(3..8, "my`db".to_owned()), (9..14, "t".to_owned())];
        assert_eq!(write(text, &significant(text), &replaced), "SELECT a FROM `my\\`db`.\n`t` x");
    }

    #[test]
    fn literals_are_masked() {
        let text = "SELECT 'secret'/**/, x'41'‘b’, -1.5, $$s$$, a.1, n1 -- key";
        assert_eq!(masked(text, &significant(text)), "SELECT ? , ? ?, -?, ?, a.?, n1");
        assert_eq!(masked("a = 'secret", &significant("a = 'secret")), "a = ?");
    }
}
