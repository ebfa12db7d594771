//! The place in the statement: what stands here, what was found so far, and what was expected.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::super::Values;
use super::super::canonical;
use super::super::lexer::{self, Kind, Lexer, Token};
use super::super::reach::{Clause, Name, Via};

/// Deepest nesting of brackets, subqueries and types. ClickHouse's own bound is 1000 calls of its parser, of which
/// one level takes several.
pub(super) const DEEPEST: u16 = 250;

/// How often one statement may be read once more as something else, where a keyword is also a name. Each reading is
/// linear, so all of them are.
const MOST_RETRIES: u8 = 32;

/// The grammar went no further; what was expected, and where, is with the cursor.
#[derive(Debug)]
pub(super) struct Stop;

pub(super) type Parsed<T = ()> = Result<T, Stop>;

/// Something that the statement touches, in the order in which it was read.
#[derive(Debug)]
pub(super) enum Touch<'a> {
    Table(Name),
    Cte(Cow<'a, str>),
    /// A common table expression that is used as a set.
    CteAsASet(Cow<'a, str>, Via),
    /// A common table expression is defined.
    CteDefined(Cow<'a, str>),
    /// A table without database within the body of a common table expression.
    InABody(Cow<'a, str>),
    Target(Name),
    Also(Name, Via),
    Function(Cow<'a, str>),
    TableFunction(Cow<'a, str>),
    /// One that rows are written to.
    TargetFunction(String),
    Clause(Clause),
    Setting(Cow<'a, str>, Option<String>),
    /// A parameter and its type.
    Parameter(Cow<'a, str>, Cow<'a, str>),
    Format(Cow<'a, str>),
    Computed(Cow<'a, str>),
    /// A query that is ended, by its id alone.
    Kills(String, Option<&'static str>),
    /// These tokens are written as this name: the value of a parameter of the type `Identifier`.
    Replaced(Range<usize>, String),
}

/// Values of the request's parameters, by the name without `param_`.
pub type Parameters = BTreeMap<String, String>;

/// A dotted name. A part is nothing where it is a parameter without a value.
pub(super) struct Path<'a> {
    pub(super) parts: Vec<Option<Cow<'a, str>>>,
}

impl Path<'_> {
    /// The object's name, where all its parts are known and there are at most two.
    pub(super) fn name(&self) -> Option<Name> {
        match self.parts.as_slice() {
            [Some(table)] => Some(Name::bare(table.as_ref())),
            [Some(database), Some(table)] => Some(Name::of(database.as_ref(), table.as_ref())),
            // A catalogue of a data lake: the part behind the first dot belongs to the table's name.
            [Some(database), rest @ ..] if !rest.is_empty() => {
                let rest: Option<Vec<&str>> = rest.iter().map(Option::as_deref).collect();
                rest.map(|rest| Name::of(database.as_ref(), rest.join(".")))
            }
            _ => None,
        }
    }
}

/// Where to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    at: usize,
    touched: usize,
    scope: usize,
}

impl Mark {
    /// How much had been touched.
    pub(super) fn touched(self) -> usize {
        self.touched
    }
}

/// See the room's first line.
pub(super) struct Cursor<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    tokens: Vec<Token>,
    at: usize,
    depth: u16,
    pub(super) touched: Vec<Touch<'a>>,
    /// Names of the common table expressions that can be referenced here.
    pub(super) scope: Vec<Cow<'a, str>>,
    /// From here on the scope holds names that a query beside this one in a set operation defined.
    pub(super) borrowed: Option<usize>,
    /// How many bodies of common table expressions are around.
    pub(super) bodies: u16,
    /// The common table expression whose second arm may reference it.
    pub(super) recursive: Option<Cow<'a, str>>,
    /// For an opening round bracket that was followed: where it is closed, or nothing where it is not.
    pub(super) closings: HashMap<usize, Option<usize>>,
    /// Where `*` or COLUMNS ended, which take no name.
    pub(super) behind_a_matcher: usize,
    /// Tokens that give a name to an expression.
    aliases: Vec<Token>,
    /// Names that stand as arguments where an object's name is expected, and for what.
    pub(super) named_arguments: Vec<(String, &'static str)>,
    /// Whether the arguments of a table function are read, where `view(SELECT ...)` is one too.
    pub(super) within_table_function: bool,
    parameters: &'a Parameters,
    furthest: (usize, &'static str),
    retries: u8,
    /// Whether the data of an INSERT stands behind the statement.
    has_data: bool,
    comments: Vec<Token>,
    /// What stands behind VALUES.
    pub(super) values: Values,
    /// Whether it was read as expressions.
    pub(super) values_read: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, parameters: &'a Parameters) -> Self {
        Self {
            text,
            lexer: Lexer::new(text),
            tokens: Vec::with_capacity(text.len() / 4 + 8),
            at: 0,
            depth: 0,
            touched: Vec::with_capacity(32),
            scope: Vec::new(),
            borrowed: None,
            bodies: 0,
            recursive: None,
            closings: HashMap::new(),
            behind_a_matcher: 0,
            aliases: Vec::new(),
            named_arguments: Vec::new(),
            within_table_function: false,
            parameters,
            furthest: (0, "a statement"),
            retries: MOST_RETRIES,
            has_data: false,
            comments: Vec::new(),
            values: Values::Data,
            values_read: false,
        }
    }

    /// The token so many places further on.
    #[inline]
    pub(super) fn peek(&mut self, ahead: usize) -> Token {
        let index = self.at + ahead;
        match self.tokens.get(index) {
            Some(token) => *token,
            None => self.read_to(index),
        }
    }

    /// Tokens are read as they are asked for: what follows the head of an INSERT is data and may be no token at all.
    #[cold]
    fn read_to(&mut self, index: usize) -> Token {
        loop {
            let mut token = self.lexer.next_token();
            if token.kind == Kind::Number && is_cut_off(self.text_of(token)) {
                token.kind = Kind::ErrorWrongNumber;
            }
            if token.kind == Kind::Comment {
                self.comments.push(token);
            }
            if !token.kind.is_significant() {
                continue;
            }
            self.tokens.push(token);
            if self.tokens.len() > index {
                return token;
            }
        }
    }

    #[inline]
    pub(super) fn kind(&mut self) -> Kind {
        self.peek(0).kind
    }

    #[inline]
    pub(super) fn kind_at(&mut self, ahead: usize) -> Kind {
        self.peek(ahead).kind
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    /// The number of tokens before the cursor.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The tokens before the cursor.
    pub(super) fn taken(&self) -> &[Token] {
        self.tokens.get(..self.at).unwrap_or_default()
    }

    /// How deep the brackets before the cursor are.
    pub(super) fn deepest_brackets(&self) -> usize {
        let (mut depth, mut deepest) = (0usize, 0);
        for token in self.taken() {
            match token.kind {
                Kind::OpeningRoundBracket | Kind::OpeningSquareBracket => depth += 1,
                Kind::ClosingRoundBracket | Kind::ClosingSquareBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        deepest
    }

    /// From here on stands data.
    pub(super) fn data_begins(&mut self) {
        self.has_data = true;
    }

    /// Whether data stands behind the cursor.
    pub(super) fn has_data(&self) -> bool {
        self.has_data
    }

    /// The comments before this byte.
    pub(super) fn comments_before(&self, end: usize) -> Vec<String> {
        self.comments.iter().filter(|comment| (comment.start as usize) < end).map(|comment| self.text_of(*comment).to_owned()).collect()
    }

    /// Where the last token before the cursor ends, in bytes.
    pub(super) fn end_of_taken(&self) -> usize {
        self.taken().last().map_or(0, |token| token.end as usize)
    }

    pub(super) fn text_of(&self, token: Token) -> &'a str {
        self.text.get(token.start as usize..token.end as usize).unwrap_or_default()
    }

    /// The bare word so many places further on, or an empty text.
    #[inline]
    pub(super) fn word_at(&mut self, ahead: usize) -> &'a str {
        let token = self.peek(ahead);
        if token.kind == Kind::BareWord { self.text_of(token) } else { "" }
    }

    /// How many tokens this keyword, of one or several words, takes here; 0 where it does not stand here.
    #[inline]
    fn words(&mut self, ahead: usize, keyword: &str) -> usize {
        let (mut count, mut rest) = (0, keyword.as_bytes());
        loop {
            let token = self.peek(ahead + count);
            let word = if token.kind == Kind::BareWord { self.text_of(token).as_bytes() } else { &[] };
            let Some((first, behind)) = rest.split_at_checked(word.len()) else { return 0 };
            if word.is_empty() || !first.eq_ignore_ascii_case(word) {
                return 0;
            }
            count += 1;
            rest = match behind {
                [] => return count,
                [b' ', next @ ..] => next,
                _ => return 0,
            };
        }
    }

    /// Whether the keyword stands here. Keywords are bare words in any case, as for ClickHouse.
    #[inline]
    pub(super) fn at_word(&mut self, keyword: &str) -> bool {
        self.words(0, keyword) > 0
    }

    /// Whether the keyword stands so many places further on.
    pub(super) fn at_word_after(&mut self, ahead: usize, keyword: &str) -> bool {
        self.words(ahead, keyword) > 0
    }

    /// Takes the keyword if it stands here.
    #[inline]
    pub(super) fn take(&mut self, keyword: &str) -> bool {
        let count = self.words(0, keyword);
        self.at += count;
        count > 0
    }

    /// Takes the first of these keywords that stands here.
    pub(super) fn take_any(&mut self, keywords: &[&'static str]) -> Option<&'static str> {
        keywords.iter().copied().find(|keyword| self.take(keyword))
    }

    /// Takes a token of this kind if it stands here.
    #[inline]
    pub(super) fn eat(&mut self, kind: Kind) -> bool {
        if self.kind() != kind {
            return false;
        }
        self.at += 1;
        true
    }

    pub(super) fn keyword(&mut self, keyword: &'static str) -> Parsed {
        if self.take(keyword) { Ok(()) } else { self.expected(keyword) }
    }

    pub(super) fn token(&mut self, kind: Kind, shown: &'static str) -> Parsed {
        if self.eat(kind) { Ok(()) } else { self.expected(shown) }
    }

    pub(super) fn open(&mut self) -> Parsed {
        self.token(Kind::OpeningRoundBracket, "(")
    }

    pub(super) fn close(&mut self) -> Parsed {
        self.token(Kind::ClosingRoundBracket, ")")
    }

    /// Stops, and keeps what was expected if nothing further on was.
    pub(super) fn expected<T>(&mut self, what: &'static str) -> Parsed<T> {
        self.note(what);
        Err(Stop)
    }

    /// Keeps what was expected here if nothing further on was.
    pub(super) fn note(&mut self, what: &'static str) {
        if self.at >= self.furthest.0 {
            self.furthest = (self.at, what);
        }
    }

    /// The furthest token that did not fit, and what was expected there.
    pub(super) fn furthest(&mut self) -> (Token, &'static str) {
        let (at, what) = self.furthest;
        let token = match self.tokens.get(at) {
            Some(token) => *token,
            None => self.read_to(at),
        };
        (token, what)
    }

    /// Line and column of a token, from 1, the column in characters.
    pub(super) fn place_of(&self, token: Token) -> (usize, usize) {
        let before = self.text.get(..token.start as usize).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { at: self.at, touched: self.touched.len(), scope: self.scope.len() }
    }

    pub(super) fn back_to(&mut self, mark: Mark) {
        self.at = mark.at;
        self.touched.truncate(mark.touched);
        self.scope.truncate(mark.scope);
    }

    /// Puts the cursor before the token of this number.
    pub(super) fn go_to(&mut self, position: usize) {
        self.at = position;
    }

    /// Forgets what was touched since, and stays where it is.
    pub(super) fn forget_since(&mut self, mark: Mark) {
        self.touched.truncate(mark.touched);
    }

    /// Tries; where it stops, nothing was read. Never around something that may hold an expression or a query, or
    /// nesting would cost twice for each level.
    pub(super) fn attempt<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Option<T> {
        let mark = self.mark();
        match read(self) {
            Ok(value) => Some(value),
            Err(Stop) => {
                self.back_to(mark);
                None
            }
        }
    }

    /// Counts one more reading of the same text as something else.
    pub(super) fn spend_a_retry(&mut self) -> Parsed {
        match self.retries.checked_sub(1) {
            Some(left) => {
                self.retries = left;
                Ok(())
            }
            None => Err(Stop),
        }
    }

    /// The text of the tokens from this one to the cursor, as the canonical text has it.
    pub(super) fn written(&self, begins: usize) -> String {
        canonical::piece(self.text, self.tokens.get(begins..self.at).unwrap_or_default())
    }

    /// Whether the name is a common table expression's that can be referenced here.
    pub(super) fn is_cte(&self, name: &str) -> bool {
        self.scope.iter().any(|cte| cte == name)
    }

    /// One level deeper.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEEPEST {
            self.furthest = (self.at, "nesting that is not so deep");
            return Err(Stop);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// One or more, separated by commas.
    pub(super) fn list(&mut self, mut read: impl FnMut(&mut Self) -> Parsed) -> Parsed {
        read(self)?;
        while self.eat(Kind::Comma) {
            read(self)?;
        }
        Ok(())
    }

    /// One or more in round brackets.
    pub(super) fn bracketed(&mut self, read: impl FnMut(&mut Self) -> Parsed) -> Parsed {
        self.open()?;
        self.list(read)?;
        self.close()
    }

    pub(super) fn touch(&mut self, touch: Touch<'a>) {
        self.touched.push(touch);
    }

    /// A function under ClickHouse's name; of a row of operators one is enough.
    pub(super) fn function(&mut self, name: &'static str) {
        if matches!(self.touched.last(), Some(Touch::Function(Cow::Borrowed(last))) if std::ptr::eq(*last, name)) {
            return;
        }
        self.touched.push(Touch::Function(Cow::Borrowed(name)));
    }

    pub(super) fn computed(&mut self, what: impl Into<Cow<'a, str>>) {
        self.touched.push(Touch::Computed(what.into()));
    }

    /// Whether a name could begin here.
    pub(super) fn at_identifier(&mut self) -> bool {
        matches!(self.kind(), Kind::BareWord | Kind::QuotedIdentifier)
    }

    /// A name of one part, without parameters.
    pub(super) fn identifier(&mut self) -> Parsed<Cow<'a, str>> {
        let token = self.peek(0);
        if !self.at_identifier() {
            return self.expected("a name");
        }
        match lexer::identifier(self.text, token) {
            Ok(name) if !name.is_empty() => {
                self.at += 1;
                self.may_be_of_parts(&name);
                Ok(name)
            }
            Ok(_) | Err(_) => self.expected("a name that is not empty and is UTF-8"),
        }
    }

    /// A name of one part, which may be a parameter `{name:Identifier}`: nothing where that has no value.
    pub(super) fn identifier_or_parameter(&mut self) -> Parsed<Option<Cow<'a, str>>> {
        if self.kind() != Kind::OpeningCurlyBrace {
            return self.identifier().map(Some);
        }
        let begins = self.at;
        self.at += 1;
        let name = self.word_at(0);
        if !is_parameter_name(name) || self.kind_at(1) != Kind::Colon || self.word_at(2) != "Identifier" || self.kind_at(3) != Kind::ClosingCurlyBrace
        {
            return self.expected("a parameter of the type Identifier, such as {name:Identifier}");
        }
        self.at += 4;
        self.touch(Touch::Parameter(Cow::Borrowed(name), Cow::Borrowed("Identifier")));
        let parameters = self.parameters;
        // What is empty or has no bytes that a name could have stays as it is, and is computed.
        let value = parameters.get(name).filter(|value| !value.is_empty() && !value.contains('\0'));
        if let Some(value) = value {
            let range = begins..self.at;
            self.touch(Touch::Replaced(range, value.clone()));
            self.may_be_of_parts(value);
        }
        Ok(value.map(|value| Cow::Borrowed(value.as_str())))
    }

    /// Notes a name that the columns of parts have, wherever it stands: more are refused than are such columns.
    fn may_be_of_parts(&mut self, name: &str) {
        if name.starts_with("_part") {
            self.touch(Touch::Clause(Clause::PartColumn));
        }
    }

    /// A dotted name.
    pub(super) fn path(&mut self) -> Parsed<Path<'a>> {
        let mut parts = vec![self.identifier_or_parameter()?];
        while self.kind() == Kind::Dot {
            let mark = self.mark();
            self.at += 1;
            match self.identifier_or_parameter() {
                Ok(part) => parts.push(part),
                // A dot that is followed by something else is an operator: t.*, t.1.
                Err(Stop) => {
                    self.back_to(mark);
                    break;
                }
            }
        }
        Ok(Path { parts })
    }

    /// The value of a parameter, where the request has one.
    pub(super) fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The name of an expression.
    pub(super) fn alias_name(&mut self) -> Parsed {
        if self.behind_a_matcher == self.at {
            return self.expected("no name behind * or COLUMNS");
        }
        let token = self.peek(0);
        self.identifier_or_parameter()?;
        self.aliases.push(token);
        Ok(())
    }

    /// What takes a name as an argument while an expression has this name anywhere in the statement, before or behind it:
    /// the name then stands for the expression's value.
    pub(super) fn names_of_values(&self) -> Vec<&'static str> {
        if self.named_arguments.is_empty() {
            return Vec::new();
        }
        let parameter = self.aliases.iter().any(|token| token.kind == Kind::OpeningCurlyBrace);
        let names: HashSet<Cow<'_, str>> = self.aliases.iter().filter_map(|token| lexer::identifier(self.text, *token).ok()).collect();
        self.named_arguments.iter().filter(|(name, _)| parameter || names.contains(name.as_str())).map(|(_, what)| *what).collect()
    }

    /// A string, as bytes.
    pub(super) fn string(&mut self) -> Parsed<Cow<'a, [u8]>> {
        let token = self.peek(0);
        if !matches!(token.kind, Kind::StringLiteral | Kind::HereDoc) {
            return self.expected("a string");
        }
        match lexer::string(self.text, token) {
            Ok(bytes) => {
                self.at += 1;
                Ok(bytes)
            }
            Err(_) => self.expected("a string that can be decoded"),
        }
    }

    /// A string that is text.
    pub(super) fn string_text(&mut self) -> Parsed<String> {
        let bytes = self.string()?;
        match String::from_utf8(bytes.into_owned()) {
            Ok(text) => Ok(text),
            Err(_) => self.expected("a string that is UTF-8"),
        }
    }

    /// The text of the string so many places further on, where one stands there.
    pub(super) fn string_text_at(&mut self, ahead: usize) -> Option<String> {
        let token = self.peek(ahead);
        String::from_utf8(lexer::string(self.text, token).ok()?.into_owned()).ok()
    }

    pub(super) fn at_string(&mut self) -> bool {
        matches!(self.kind(), Kind::StringLiteral | Kind::HereDoc)
    }

    /// A name or a string, as for cluster names and users.
    pub(super) fn identifier_or_string(&mut self) -> Parsed<String> {
        if self.at_string() { self.string_text() } else { self.identifier().map(Cow::into_owned) }
    }

    /// The name of an object, of one or two parts, which goes to `touch`; a parameter without value is computed.
    pub(super) fn object(&mut self, touch: impl FnOnce(Name) -> Touch<'a>, what: &'static str) -> Parsed {
        let path = self.path()?;
        match path.name() {
            Some(name) => self.touch(touch(name)),
            None => self.computed(what),
        }
        Ok(())
    }

    /// The object that the statement is about.
    pub(super) fn target(&mut self) -> Parsed {
        self.object(Touch::Target, "the statement's object")
    }

    /// Any other object of the server, by a name of one part or a string: reported as reached.
    pub(super) fn other(&mut self, what: &'static str) -> Parsed {
        let name = self.identifier_or_string()?;
        self.touch(Touch::Also(Name::bare(name), Via::Other(what)));
        Ok(())
    }
}

/// Letters, digits and underscores: what every version reads as the name of a parameter.
pub(super) fn is_parameter_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether the number has an exponent without digits. ClickHouse's lexer takes `1e` and `1e-` for numbers, its parser reads
/// neither; and what they are depends on what follows: at the end of a text `1e` is a name, and before a `-` it goes on.
fn is_cut_off(number: &str) -> bool {
    let hexadecimal = matches!(number.as_bytes(), [b'0', b'x' | b'X', ..]);
    match number.as_bytes().last() {
        Some(b'+' | b'-') => true,
        Some(b'e' | b'E') => !hexadecimal,
        Some(b'p' | b'P') => hexadecimal,
        _ => false,
    }
}
