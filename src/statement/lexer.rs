//! Tokens as ClickHouse's own lexer gives them, byte for byte, and what names and strings stand for.

use std::borrow::Cow;
use std::collections::HashMap;

/// What a token is: ClickHouse's `TokenType` (`src/Parsers/Lexer.h`), without the two kinds that its lexer never gives
/// to a text of any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Blanks, ASCII or Unicode.
    Whitespace,
    /// `-- …`, `// …`, `# …`, `#!…` up to the line feed, or `/* … */`, which nests.
    Comment,
    /// A keyword or a name without quotes; it may begin with a digit or hold a `$`.
    BareWord,
    /// A number, never with a sign.
    Number,
    /// `'…'`, `‘…’`, `x'…'` or `b'…'`.
    StringLiteral,
    /// `` `…` ``, `"…"` or `“…”`.
    QuotedIdentifier,
    /// `(`
    OpeningRoundBracket,
    /// `)`
    ClosingRoundBracket,
    /// `[`
    OpeningSquareBracket,
    /// `]`
    ClosingSquareBracket,
    /// `{`
    OpeningCurlyBrace,
    /// `}`
    ClosingCurlyBrace,
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// `\G`
    VerticalDelimiter,
    /// `.` that is no part of a number.
    Dot,
    /// `*`
    Asterisk,
    /// `$tag$ … $tag$`; the tag is of word characters and may be empty.
    HereDoc,
    /// `$` that begins neither a word nor a heredoc.
    DollarSign,
    /// `+`
    Plus,
    /// `-` or U+2212.
    Minus,
    /// `/`
    Slash,
    /// `%`
    Percent,
    /// `->`
    Arrow,
    /// `?`
    QuestionMark,
    /// `:`
    Colon,
    /// `^`
    Caret,
    /// `::`
    DoubleColon,
    /// `=` or `==`
    Equals,
    /// `!=` or `<>`
    NotEquals,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `<=`
    LessOrEquals,
    /// `>=`
    GreaterOrEquals,
    /// `<=>`
    Spaceship,
    /// `|`
    PipeMark,
    /// `|>`
    PipeOperator,
    /// `||`
    Concatenation,
    /// `~`
    Tilde,
    /// `~*`
    TildeAsterisk,
    /// `!~`
    NotTilde,
    /// `!~*`
    NotTildeAsterisk,
    /// `@`
    At,
    /// `@@`
    DoubleAt,
    /// The end of the text.
    EndOfStream,
    /// A character that begins no token.
    Error,
    /// `/*` without its `*/`; it reaches to the end of the text, as the next three do.
    ErrorMultilineCommentIsNotClosed,
    /// `'…`, `‘…`, or `x'…` and `b'…` with something that is no digit.
    ErrorSingleQuoteIsNotClosed,
    /// `"…` or `“…`
    ErrorDoubleQuoteIsNotClosed,
    /// `` `… ``
    ErrorBackQuoteIsNotClosed,
    /// `!`
    ErrorSingleExclamationMark,
    /// A number that runs into a word, such as `1.5a`.
    ErrorWrongNumber,
}

impl Kind {
    /// ClickHouse's name of the kind, as its function `tokenizeQuery` prints it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Whitespace => "Whitespace",
            Self::Comment => "Comment",
            Self::BareWord => "BareWord",
            Self::Number => "Number",
            Self::StringLiteral => "StringLiteral",
            Self::QuotedIdentifier => "QuotedIdentifier",
            Self::OpeningRoundBracket => "OpeningRoundBracket",
            Self::ClosingRoundBracket => "ClosingRoundBracket",
            Self::OpeningSquareBracket => "OpeningSquareBracket",
            Self::ClosingSquareBracket => "ClosingSquareBracket",
            Self::OpeningCurlyBrace => "OpeningCurlyBrace",
            Self::ClosingCurlyBrace => "ClosingCurlyBrace",
            Self::Comma => "Comma",
            Self::Semicolon => "Semicolon",
            Self::VerticalDelimiter => "VerticalDelimiter",
            Self::Dot => "Dot",
            Self::Asterisk => "Asterisk",
            Self::HereDoc => "HereDoc",
            Self::DollarSign => "DollarSign",
            Self::Plus => "Plus",
            Self::Minus => "Minus",
            Self::Slash => "Slash",
            Self::Percent => "Percent",
            Self::Arrow => "Arrow",
            Self::QuestionMark => "QuestionMark",
            Self::Colon => "Colon",
            Self::Caret => "Caret",
            Self::DoubleColon => "DoubleColon",
            Self::Equals => "Equals",
            Self::NotEquals => "NotEquals",
            Self::Less => "Less",
            Self::Greater => "Greater",
            Self::LessOrEquals => "LessOrEquals",
            Self::GreaterOrEquals => "GreaterOrEquals",
            Self::Spaceship => "Spaceship",
            Self::PipeMark => "PipeMark",
            Self::PipeOperator => "PipeOperator",
            Self::Concatenation => "Concatenation",
            Self::Tilde => "Tilde",
            Self::TildeAsterisk => "TildeAsterisk",
            Self::NotTilde => "NotTilde",
            Self::NotTildeAsterisk => "NotTildeAsterisk",
            Self::At => "At",
            Self::DoubleAt => "DoubleAt",
            Self::EndOfStream => "EndOfStream",
            Self::Error => "Error",
            Self::ErrorMultilineCommentIsNotClosed => "ErrorMultilineCommentIsNotClosed",
            Self::ErrorSingleQuoteIsNotClosed => "ErrorSingleQuoteIsNotClosed",
            Self::ErrorDoubleQuoteIsNotClosed => "ErrorDoubleQuoteIsNotClosed",
            Self::ErrorBackQuoteIsNotClosed => "ErrorBackQuoteIsNotClosed",
            Self::ErrorSingleExclamationMark => "ErrorSingleExclamationMark",
            Self::ErrorWrongNumber => "ErrorWrongNumber",
        }
    }

    /// Whether no grammar takes the token: the kinds after [`Kind::EndOfStream`].
    pub(super) fn is_error(self) -> bool {
        self as u8 > Self::EndOfStream as u8
    }

    /// Whether the token is neither whitespace nor a comment.
    pub(super) fn is_significant(self) -> bool {
        !matches!(self, Self::Whitespace | Self::Comment)
    }
}

/// One token and the bytes of the text that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    /// What it is.
    pub(super) kind: Kind,
    /// Its first byte.
    pub(super) start: u32,
    /// The byte after its last one.
    pub(super) end: u32,
}

impl Token {
    /// The token as it is written in `text`, which it was read from.
    pub(super) fn written(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// A name or a string that ClickHouse would not read either, or a name that is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Undecodable;

/// The name that a [`Kind::BareWord`] or [`Kind::QuotedIdentifier`] stands for; never empty.
///
/// # Errors
/// A name that is empty or not UTF-8, an escape that is cut off, a token of another kind.
pub(super) fn identifier(text: &str, token: Token) -> Result<Cow<'_, str>, Undecodable> {
    let written = token.written(text);
    let name = match (token.kind, written.chars().next()) {
        (Kind::BareWord, _) => Cow::Borrowed(written),
        (Kind::QuotedIdentifier, Some('“')) => Cow::Borrowed(between_unicode_quotes(written)),
        (Kind::QuotedIdentifier, _) => match unescaped(written)? {
            Cow::Borrowed(bytes) => Cow::Borrowed(str::from_utf8(bytes).map_err(|_error| Undecodable)?),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).map_err(|_error| Undecodable)?),
        },
        _ => return Err(Undecodable),
    };
    if name.is_empty() { Err(Undecodable) } else { Ok(name) }
}

/// The bytes that a [`Kind::StringLiteral`] or [`Kind::HereDoc`] stands for.
///
/// # Errors
/// An escape that is cut off, a token of another kind.
pub(super) fn string(text: &str, token: Token) -> Result<Cow<'_, [u8]>, Undecodable> {
    let written = token.written(text);
    match (token.kind, written.as_bytes()) {
        (Kind::HereDoc, bytes) => Ok(Cow::Borrowed(between_tags(bytes))),
        (Kind::StringLiteral, [b'x' | b'X', b'\'', digits @ .., b'\'']) => Ok(Cow::Owned(from_digits(digits, 4))),
        (Kind::StringLiteral, [b'b' | b'B', b'\'', digits @ .., b'\'']) => Ok(Cow::Owned(from_digits(digits, 1))),
        (Kind::StringLiteral, _) if written.starts_with('‘') => Ok(Cow::Borrowed(between_unicode_quotes(written).as_bytes())),
        (Kind::StringLiteral, _) => unescaped(written),
        _ => Err(Undecodable),
    }
}

fn between_unicode_quotes(written: &str) -> &str {
    let mut characters = written.chars();
    characters.next();
    characters.next_back();
    characters.as_str()
}

fn between_tags(written: &[u8]) -> &[u8] {
    let tag = 2 + written.iter().skip(1).take_while(|&&byte| byte != b'$').count();
    written.get(tag..written.len().saturating_sub(tag)).unwrap_or_default()
}

/// The bytes that digits of `bits` bits each are; where they do not fill the bytes, the first one is the short one.
fn from_digits(digits: &[u8], bits: usize) -> Vec<u8> {
    let fold = |byte: &[u8]| byte.iter().fold(0, |value, &digit| (value << bits) | digit_value(digit));
    let mut bytes: Vec<u8> = digits.rchunks(8 / bits).rev().map(fold).collect();
    // A short first byte of binary digits that is zero is left out where others follow: `b'000000001'` is one byte.
    if bits == 1 && !digits.len().is_multiple_of(8) && bytes.len() > 1 && bytes.first() == Some(&0) {
        bytes.remove(0);
    }
    bytes
}

/// What stands between the quotes, escapes resolved as `ReadHelpers.cpp` does it.
fn unescaped(written: &str) -> Result<Cow<'_, [u8]>, Undecodable> {
    let [quote, inner @ .., _] = written.as_bytes() else { return Err(Undecodable) };
    let mut rest = inner;
    let special = |byte: &u8| byte == quote || *byte == b'\\';
    if !rest.iter().any(special) {
        return Ok(Cow::Borrowed(rest));
    }
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((plain, after)) = rest.iter().position(special).and_then(|at| rest.split_at_checked(at)) {
        bytes.extend_from_slice(plain);
        rest = match after {
            [b'\\', b'x', high, low, after @ ..] => {
                // What is no digit counts as 255 there: `\xZZ` is the byte EF.
                bytes.push(digit_value(*high).wrapping_mul(16).wrapping_add(digit_value(*low)));
                after
            }
            [b'\\', b'x', ..] => return Err(Undecodable),
            [b'\\', b'N', after @ ..] => after,
            [b'\\', escape, after @ ..] => {
                let byte = escaped(*escape);
                // `\%` and `\_` are for LIKE, `\d` is for regular expressions: unknown escapes keep their backslash.
                if byte > 31 && !matches!(byte, b'\\' | b'\'' | b'"' | b'`' | b'/' | b'=') {
                    bytes.push(b'\\');
                }
                bytes.push(byte);
                after
            }
            [first, second, after @ ..] if first == second => {
                bytes.push(*quote);
                after
            }
            // A backslash before the closing quote, or a single quote: `\x` has taken what belonged to them.
            _ => return Err(Undecodable),
        };
    }
    bytes.extend_from_slice(rest);
    Ok(Cow::Owned(bytes))
}

fn escaped(escape: u8) -> u8 {
    match escape {
        b'a' => 7,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 11,
        b'f' => 12,
        b'r' => b'\r',
        b'e' => 27,
        b'0' => 0,
        other => other,
    }
}

/// The value of a hexadecimal digit, 255 for anything else.
fn digit_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => u8::MAX,
    }
}

/// Reads tokens one after another: `src/Parsers/Lexer.cpp`.
///
/// What a token is depends on the token before it: `1.2` is one number, in `t.1.2` it is three tokens. The time is
/// linear in the text, whatever the text is. A text of 4 GiB and more is not for it.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The last token that was neither whitespace nor a comment.
    previous: Kind,
    /// Where each `$tag$` stands last; empty until the first one is met.
    tags: Option<HashMap<&'a [u8], usize>>,
}

impl<'a> Lexer<'a> {
    /// A lexer at the beginning of `text`.
    pub(super) fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, previous: Kind::Whitespace, tags: None }
    }

    /// The next token, whitespace and comments included; at the end [`Kind::EndOfStream`], for ever.
    ///
    /// As in ClickHouse, tokens go on after an error: only what is not closed reaches to the end of the text. Data of an
    /// INSERT may hold errors, so whoever asks for tokens decides which one is too much.
    pub(super) fn next_token(&mut self) -> Token {
        let start = self.at;
        let kind = self.read();
        if kind.is_significant() {
            self.previous = kind;
        }
        Token { kind, start: start as u32, end: self.at as u32 }
    }

    fn read(&mut self) -> Kind {
        let Some(first) = self.peek(0) else { return Kind::EndOfStream };
        match first {
            b' ' | b'\t'..=b'\r' => self.whitespace(),
            b'x' | b'X' | b'b' | b'B' => self.word_or_digits(),
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => self.word(),
            b'0'..=b'9' => self.number(),
            b'\'' => self.quoted(b'\'', Kind::StringLiteral, Kind::ErrorSingleQuoteIsNotClosed),
            b'"' => self.quoted(b'"', Kind::QuotedIdentifier, Kind::ErrorDoubleQuoteIsNotClosed),
            b'`' => self.quoted(b'`', Kind::QuotedIdentifier, Kind::ErrorBackQuoteIsNotClosed),
            b'(' => self.take(1, Kind::OpeningRoundBracket),
            b')' => self.take(1, Kind::ClosingRoundBracket),
            b'[' => self.take(1, Kind::OpeningSquareBracket),
            b']' => self.take(1, Kind::ClosingSquareBracket),
            b'{' => self.take(1, Kind::OpeningCurlyBrace),
            b'}' => self.take(1, Kind::ClosingCurlyBrace),
            b',' => self.take(1, Kind::Comma),
            b';' => self.take(1, Kind::Semicolon),
            b'.' => self.dot(),
            b'$' => self.dollar(),
            b'+' => self.take(1, Kind::Plus),
            b'*' => self.take(1, Kind::Asterisk),
            b'%' => self.take(1, Kind::Percent),
            b'?' => self.take(1, Kind::QuestionMark),
            b'^' => self.take(1, Kind::Caret),
            b'-' | b'/' | b'#' => self.comment_or_operator(first),
            b'=' | b'!' | b'<' | b'>' | b':' | b'|' | b'~' | b'@' | b'\\' => self.operator(first),
            0xE2 => self.typography(),
            _ => self.unicode_whitespace(),
        }
    }

    fn comment_or_operator(&mut self, first: u8) -> Kind {
        match (first, self.peek(1)) {
            (b'-', Some(b'-')) | (b'/', Some(b'/')) | (b'#', Some(b' ' | b'!')) => {
                self.skip(|byte| byte != b'\n');
                Kind::Comment
            }
            (b'/', Some(b'*')) => self.nested_comment(),
            (b'-', Some(b'>')) => self.take(2, Kind::Arrow),
            (b'-', _) => self.take(1, Kind::Minus),
            (b'/', _) => self.take(1, Kind::Slash),
            _ => self.take(1, Kind::Error),
        }
    }

    fn operator(&mut self, first: u8) -> Kind {
        match (first, self.peek(1), self.peek(2)) {
            (b'<', Some(b'='), Some(b'>')) => self.take(3, Kind::Spaceship),
            (b'!', Some(b'~'), Some(b'*')) => self.take(3, Kind::NotTildeAsterisk),
            (b'<', Some(b'='), _) => self.take(2, Kind::LessOrEquals),
            (b'>', Some(b'='), _) => self.take(2, Kind::GreaterOrEquals),
            (b'=', Some(b'='), _) => self.take(2, Kind::Equals),
            (b'!', Some(b'='), _) | (b'<', Some(b'>'), _) => self.take(2, Kind::NotEquals),
            (b'!', Some(b'~'), _) => self.take(2, Kind::NotTilde),
            (b'~', Some(b'*'), _) => self.take(2, Kind::TildeAsterisk),
            (b'|', Some(b'|'), _) => self.take(2, Kind::Concatenation),
            (b'|', Some(b'>'), _) => self.take(2, Kind::PipeOperator),
            (b':', Some(b':'), _) => self.take(2, Kind::DoubleColon),
            (b'@', Some(b'@'), _) => self.take(2, Kind::DoubleAt),
            (b'\\', Some(b'G'), _) => self.take(2, Kind::VerticalDelimiter),
            (b'<', _, _) => self.take(1, Kind::Less),
            (b'>', _, _) => self.take(1, Kind::Greater),
            (b'=', _, _) => self.take(1, Kind::Equals),
            (b'!', _, _) => self.take(1, Kind::ErrorSingleExclamationMark),
            (b'~', _, _) => self.take(1, Kind::Tilde),
            (b'|', _, _) => self.take(1, Kind::PipeMark),
            (b':', _, _) => self.take(1, Kind::Colon),
            (b'@', _, _) => self.take(1, Kind::At),
            _ => self.take(1, Kind::Error),
        }
    }

    fn whitespace(&mut self) -> Kind {
        self.skip(is_blank);
        Kind::Whitespace
    }

    fn word(&mut self) -> Kind {
        self.skip(|byte| is_word(byte) || byte == b'$');
        Kind::BareWord
    }

    /// `x'…'`, `b'…'` or a word.
    fn word_or_digits(&mut self) -> Kind {
        let ([first, b'\'', after @ ..], false) = (self.rest(), self.rest().len() == 2) else { return self.word() };
        let hexadecimal = matches!(first, b'x' | b'X');
        let digits = after.iter().take_while(|&&byte| if hexadecimal { byte.is_ascii_hexdigit() } else { matches!(byte, b'0' | b'1') }).count();
        if after.get(digits) == Some(&b'\'') { self.take(digits + 3, Kind::StringLiteral) } else { self.take_all(Kind::ErrorSingleQuoteIsNotClosed) }
    }

    fn number(&mut self) -> Kind {
        let start = self.at;
        if self.previous == Kind::Dot {
            self.digits(false);
        } else {
            let hexadecimal = self.radix();
            self.digits(hexadecimal);
            if self.peek(0) == Some(b'.') {
                self.at += 1;
                self.digits(hexadecimal);
            }
            self.exponent(if hexadecimal { b'p' } else { b'e' });
        }
        if !self.peek(0).is_some_and(is_word) {
            return Kind::Number;
        }
        self.skip(is_word);
        if self.since(start).iter().all(|&byte| is_word(byte)) { Kind::BareWord } else { Kind::ErrorWrongNumber }
    }

    /// Steps over `0x` or `0b` where a digit follows; whether the digits are hexadecimal.
    fn radix(&mut self) -> bool {
        match self.rest() {
            [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => {
                self.at += 2;
                true
            }
            [b'0', b'b' | b'B', b'0' | b'1', ..] => {
                self.at += 2;
                false
            }
            _ => false,
        }
    }

    /// Steps over digits, between which a single `_` may stand.
    fn digits(&mut self, hexadecimal: bool) {
        let is_digit = |byte: u8| if hexadecimal { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
        let start = self.at;
        loop {
            self.skip(is_digit);
            if self.at == start || self.peek(0) != Some(b'_') || !self.peek(1).is_some_and(is_digit) {
                return;
            }
            self.at += 1;
        }
    }

    /// Steps over `e` or `p`, a sign and digits. A letter or a sign that ends the text is left out.
    fn exponent(&mut self, letter: u8) {
        if !self.peek(0).is_some_and(|byte| byte.eq_ignore_ascii_case(&letter)) || self.peek(1).is_none() {
            return;
        }
        self.at += 1;
        if matches!(self.peek(0), Some(b'+' | b'-')) && self.peek(1).is_some() {
            self.at += 1;
        }
        self.digits(false);
    }

    /// A dot after a name, a bracket or a number is an operator, even before a digit.
    fn dot(&mut self) -> Kind {
        let digit = self.peek(1).is_some_and(|byte| byte.is_ascii_digit());
        let operand =
            matches!(self.previous, Kind::ClosingRoundBracket | Kind::ClosingSquareBracket | Kind::BareWord | Kind::QuotedIdentifier | Kind::Number);
        if self.at > 0 && (operand || !digit) {
            return self.take(1, Kind::Dot);
        }
        self.at += 1;
        self.digits(false);
        self.exponent(b'e');
        Kind::Number
    }

    fn quoted(&mut self, quote: u8, closed: Kind, open: Kind) -> Kind {
        self.at += 1;
        loop {
            self.skip(|byte| byte != quote && byte != b'\\');
            match (self.peek(0), self.peek(1)) {
                (Some(b'\\'), Some(_)) => self.at += 2,
                (None | Some(b'\\'), _) => return self.take_all(open),
                (Some(_), Some(next)) if next == quote => self.at += 2,
                (Some(_), _) => return self.take(1, closed),
            }
        }
    }

    /// A minus sign, a string or a name in typographic quotes; escapes are not known there.
    fn typography(&mut self) -> Kind {
        match self.rest() {
            [0xE2, 0x88, 0x92, ..] => self.take(3, Kind::Minus),
            [0xE2, 0x80, 0x98, _, _, _, ..] => self.unicode_quoted(0x99, Kind::StringLiteral, Kind::ErrorSingleQuoteIsNotClosed),
            [0xE2, 0x80, 0x9C, _, _, _, ..] => self.unicode_quoted(0x9D, Kind::QuotedIdentifier, Kind::ErrorDoubleQuoteIsNotClosed),
            _ => self.unicode_whitespace(),
        }
    }

    fn unicode_quoted(&mut self, last: u8, closed: Kind, open: Kind) -> Kind {
        self.at += 3;
        loop {
            self.skip(|byte| byte != 0xE2);
            match self.rest() {
                [] => return open,
                [_, 0x80, third, ..] if *third == last => return self.take(3, closed),
                _ => self.at += 1,
            }
        }
    }

    fn nested_comment(&mut self) -> Kind {
        self.at += 2;
        let mut depth = 1_usize;
        while depth > 0 {
            self.skip(|byte| byte != b'*' && byte != b'/');
            match self.rest() {
                [b'/', b'*', ..] => {
                    self.at += 2;
                    depth += 1;
                }
                [b'*', b'/', ..] => {
                    self.at += 2;
                    depth -= 1;
                }
                [] | [_] => return self.take_all(Kind::ErrorMultilineCommentIsNotClosed),
                _ => self.at += 1,
            }
        }
        Kind::Comment
    }

    fn dollar(&mut self) -> Kind {
        if let Some(length) = self.heredoc() {
            return self.take(length, Kind::HereDoc);
        }
        if self.peek(1).is_some_and(is_word) { self.word() } else { self.take(1, Kind::DollarSign) }
    }

    /// The length of the heredoc that begins here: up to the next place where its tag stands again.
    fn heredoc(&mut self) -> Option<usize> {
        let rest = self.rest();
        let tag = tag(rest)?;
        // Searching for each tag up to the end would be quadratic, so every one that is not closed is known beforehand.
        let last = *self.tags.get_or_insert_with(|| last_tags(rest, self.at)).get(tag)?;
        let mut close = tag.len();
        if last < self.at + close {
            return None;
        }
        loop {
            let after = rest.get(close..)?;
            if after.starts_with(tag) {
                return Some(close + tag.len());
            }
            close += 1 + after.iter().skip(1).take_while(|&&byte| byte != b'$').count();
        }
    }

    /// Whitespace that begins with a character that is not ASCII, or an error of one character.
    fn unicode_whitespace(&mut self) -> Kind {
        let start = self.at;
        while let Some(length) = blank(self.rest()) {
            self.at += length;
        }
        if self.at > start {
            return Kind::Whitespace;
        }
        self.at += 1;
        self.skip(|byte| byte & 0xC0 == 0x80);
        Kind::Error
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn take(&mut self, length: usize, kind: Kind) -> Kind {
        self.at += length;
        kind
    }

    fn take_all(&mut self, kind: Kind) -> Kind {
        self.at = self.bytes.len();
        kind
    }

    fn skip(&mut self, over: impl Fn(u8) -> bool) {
        let rest = self.rest();
        self.at += rest.iter().position(|&byte| !over(byte)).unwrap_or(rest.len());
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The length of the blank at the beginning: `skipWhitespacesUTF8` of `StringUtils.h`.
fn blank(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [byte, ..] if is_blank(*byte) => Some(1),
        [0xC2, 0x85 | 0xA0, ..] => Some(2),
        [0xE1, 0xA0, 0x8E, ..]
        | [0xE2, 0x80, 0x80..=0x8D | 0xA8 | 0xA9 | 0xAF, ..]
        | [0xE2, 0x81, 0x9F | 0xA0, ..]
        | [0xE3, 0x80, 0x80, ..]
        | [0xEF, 0xBB, 0xBF, ..] => Some(3),
        _ => None,
    }
}

/// The `$tag$` at the beginning.
fn tag(bytes: &[u8]) -> Option<&[u8]> {
    let word = bytes.iter().skip(1).take_while(|&&byte| is_word(byte)).count();
    bytes.get(..word + 2).filter(|tag| tag.starts_with(b"$") && tag.ends_with(b"$"))
}

/// Where each `$tag$` of `bytes` stands last, counted from `offset`.
fn last_tags(bytes: &[u8], offset: usize) -> HashMap<&[u8], usize> {
    let dollars = bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'$');
    dollars.filter_map(|(at, _)| Some((tag(bytes.get(at..)?)?, offset + at))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        let mut lexer = Lexer::new(text);
        std::iter::from_fn(|| Some(lexer.next_token()).filter(|token| token.kind != Kind::EndOfStream)).collect()
    }

    /// The significant tokens as they are written, with their kinds where it is not plain.
    fn shown(text: &str) -> String {
        let shown = |token: &Token| match token.kind.name() {
            "BareWord" | "Dot" => token.written(text).to_owned(),
            name => format!("{name}<{}>", token.written(text)),
        };
        let significant: Vec<String> = tokens(text).iter().filter(|token| token.kind.is_significant()).map(shown).collect();
        significant.join(" ")
    }

    #[test]
    fn tokens_cover_the_text_and_end_for_ever() {
        let text = "SELECT 'é' /* c */ ‘x’\u{3000}!$$";
        let ends: Vec<u32> = std::iter::once(0).chain(tokens(text).iter().map(|token| token.end)).collect();
        assert!(tokens(text).iter().zip(&ends).all(|(token, &end)| token.start == end));
        assert_eq!(ends.last().copied(), Some(text.len() as u32));
        let mut lexer = Lexer::new("");
        assert_eq!((lexer.next_token(), lexer.next_token().kind), (Token { kind: Kind::EndOfStream, start: 0, end: 0 }, Kind::EndOfStream));
    }

    #[test]
    fn comments_and_blanks_are_nothing() {
        for text in [
            "a-- b\n",
            "a--b",
            "a// b\n",
            "a# b",
            "a#!b",
            "a/* b */",
            "a/* /* b */ */",
            "a/**/",
            "a/*!50000 b */",
            "a \t\n\r\u{B}\u{C}",
            "\u{FEFF}a",
            "a\u{A0}\u{85}\u{180E}\u{2003}\u{200B}\u{2028}\u{202F}\u{205F}\u{2060}\u{3000}",
        ] {
            assert_eq!(shown(text), "a", "{text:?}");
        }
    }

    #[test]
    fn tokens_are_those_of_clickhouse() {
        for (text, expected) in [
            ("a$b 1a _c $d", "a$b 1a _c $d"),
            ("a#b", "a Error<#> b"),
            ("- -> −", "Minus<-> Arrow<->> Minus<−>"),
            ("< <= <> <=> > >=", "Less<<> LessOrEquals<<=> NotEquals<<>> Spaceship<<=>> Greater<>> GreaterOrEquals<>=>"),
            ("= == != ~ ~* !~ !~*", "Equals<=> Equals<==> NotEquals<!=> Tilde<~> TildeAsterisk<~*> NotTilde<!~> NotTildeAsterisk<!~*>"),
            ("| || |> : :: @ @@", "PipeMark<|> Concatenation<||> PipeOperator<|>> Colon<:> DoubleColon<::> At<@> DoubleAt<@@>"),
            ("? ^ \\G ; /", "QuestionMark<?> Caret<^> VerticalDelimiter<\\G> Semicolon<;> Slash</>"),
            ("! & \\ é \0", "ErrorSingleExclamationMark<!> Error<&> Error<\\> Error<é> Error<\0>"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_number_depends_on_what_is_before_it() {
        for (text, expected) in [
            ("1.5e+3 .5 1. 0x1F.8p3 0b10 1_000", "Number<1.5e+3> Dot Number<5> Number<1.> Number<0x1F.8p3> Number<0b10> Number<1_000>"),
            ("t.1.2", "t . Number<1> . Number<2>"),
            ("1.2.3", "Number<1.2> . Number<3>"),
            ("(a).1", "OpeningRoundBracket<(> a ClosingRoundBracket<)> . Number<1>"),
            ("+.5", "Plus<+> Number<.5>"),
            ("'a'.5", "StringLiteral<'a'> Number<.5>"),
            ("a /**/ .5", "a . Number<5>"),
            ("t.1e5", "t . 1e5"),
            ("1__0 1_ 0xg 1e", "1__0 1_ 0xg 1e"),
            ("1.5a 1._5", "ErrorWrongNumber<1.5a> ErrorWrongNumber<1._5>"),
            ("1e- ", "Number<1e->"),
            ("1e-", "Number<1e> Minus<->"),
        ] {
            assert_eq!(shown(text), expected.replace("Dot ", ". "), "{text}");
        }
    }

    #[test]
    fn quotes_end_where_clickhouse_ends_them() {
        for (text, expected) in [
            (r"'a\'b''c'd", r"StringLiteral<'a\'b''c'> d"),
            (r#""a\"b""c"d"#, r#"QuotedIdentifier<"a\"b""c"> d"#),
            (r"`a\`b``c`d", r"QuotedIdentifier<`a\`b``c`> d"),
            ("‘a'\\’b", "StringLiteral<‘a'\\’> b"),
            ("“a‘”b", "QuotedIdentifier<“a‘”> b"),
            ("x'4f' B'01' n'a'", "StringLiteral<x'4f'> StringLiteral<B'01'> n StringLiteral<'a'>"),
            ("'a\\'", "ErrorSingleQuoteIsNotClosed<'a\\'>"),
            ("x'4g' a", "ErrorSingleQuoteIsNotClosed<x'4g' a>"),
            ("\"a", "ErrorDoubleQuoteIsNotClosed<\"a>"),
            ("`a", "ErrorBackQuoteIsNotClosed<`a>"),
            ("‘abc d", "ErrorSingleQuoteIsNotClosed<‘abc d>"),
            ("‘ab", "Error<‘> ab"),
            ("/* /* */ a", "ErrorMultilineCommentIsNotClosed</* /* */ a>"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_heredoc_needs_its_tag_of_word_characters_again() {
        for (text, expected) in [
            ("$$a'b$$c", "HereDoc<$$a'b$$> c"),
            ("$t$ $x$ $$ $t$c", "HereDoc<$t$ $x$ $$ $t$> c"),
            ("$1$$1$", "HereDoc<$1$$1$>"),
            ("$a$a$a$a", "HereDoc<$a$a$a$> a"),
            ("$$$", "DollarSign<$> DollarSign<$> DollarSign<$>"),
            ("$a$ b", "$a$ b"),
            ("$a b$ $a b$", "$a b$ $a b$"),
            ("$ $-$", "DollarSign<$> DollarSign<$> Minus<-> DollarSign<$>"),
            ("a$$b$$", "a$$b$$"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_long_text_takes_linear_time() {
        let many = |text: &str| text.repeat(50_000);
        let tags: String = (0..50_000).map(|number| format!("$t{number}$ ")).collect();
        for text in [tags, many("$a"), many("$"), many("$ "), many("/*"), many("'"), many("‘"), many("1."), many("1_"), many("\\")] {
            assert_eq!(tokens(&text).last().map(|token| token.end as usize), Some(text.len()));
        }
    }

    #[test]
    fn strings_are_decoded_as_clickhouse_decodes_them() {
        for (text, expected) in [
            (r"'a''b\'c'", &b"a'b'c"[..]),
            (r"'\a\b\t\n\v\f\r\e\0'", b"\x07\x08\t\n\x0B\x0C\r\x1B\0"),
            (r#"'\\\/\=\`\"'"#, b"\\/=`\""),
            (r"'10\%\_\d\q\B'", br"10\%\_\d\q\B"),
            (r"'\x4b\x4B\xff'", b"KK\xFF"),
            (r"'a\Nb'", b"ab"),
            ("'\\\n\\\u{7F}\\é'", b"\n\\\x7F\\\xC3\xA9"),
            (r"'\xZZ\x4Z'", b"\xEF\x3F"),
            (r"‘a''\n’", br"a''\n"),
            (r"$t$a''\n$$$t$", br"a''\n$$"),
            ("$$$$", b""),
            ("x'4142'", b"AB"),
            ("X'414'", b"\x04\x14"),
            ("x''", b""),
            ("b'0100000101000010'", b"AB"),
            ("b'101000001'", b"\x01A"),
            ("b'001000001'", b"A"),
            ("b'0'", b"\0"),
        ] {
            assert_eq!(string(text, *tokens(text).first().unwrap()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn names_are_decoded_as_clickhouse_decodes_them() {
        for (text, expected) in [
            ("a1$", "a1$"),
            (r"`se\x63\`r``et`", "sec`r`et"),
            (r#""se\x63\"r""et``""#, "sec\"r\"et``"),
            ("“a`\"\\n”", "a`\"\\n"),
            (r"`a\%\n\xc3\xa9`", "a\\%\né"),
        ] {
            assert_eq!(identifier(text, *tokens(text).first().unwrap()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_name_or_bytes_is_undecodable() {
        for text in ["``", "\"\"", "“”", r"`\N`", r"`\xff`", r"`\x4`", "'a'", "1"] {
            assert_eq!(identifier(text, *tokens(text).first().unwrap()), Err(Undecodable), "{text}");
        }
        for text in [r"'\x4'", r"'\x'", r"'\x4''b'", r"'\x4\\'", "a", "`a`"] {
            assert_eq!(string(text, *tokens(text).first().unwrap()), Err(Undecodable), "{text}");
        }
    }

    #[test]
    fn errors_are_told_from_other_kinds() {
        assert!(Kind::Error.is_error() && Kind::ErrorWrongNumber.is_error());
        assert!(!Kind::EndOfStream.is_error() && !Kind::DoubleAt.is_error());
    }
}
