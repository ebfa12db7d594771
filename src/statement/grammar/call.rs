//! Calls of functions, with the forms that have words between their arguments, and the windows behind them.

use std::borrow::Cow;

use super::super::lexer::Kind;
use super::super::reach::Clause;
use super::cursor::{Cursor, Parsed, Touch};
use super::reaching::{self, Arguments};

/// Parts of a date that only EXTRACT knows, beside the units of intervals.
const PARTS_OF_DATES: [&str; 10] =
    ["EPOCH", "DOW", "DOY", "ISODOW", "ISOYEAR", "CENTURY", "DECADE", "MILLENNIUM", "TIMEZONE_HOUR", "TIMEZONE_MINUTE"];

impl<'a> Cursor<'a> {
    /// `name(arguments)`; a dotted name is one name with dots.
    pub(super) fn call(&mut self) -> Parsed {
        let name = self.call_name()?;
        self.open()?;
        match form_of(&name) {
            Form::Plain => self.plain_call(name),
            Form::Cast => self.cast(),
            Form::Extract => self.extract(),
            Form::Words(words) => self.call_with_words(name, words),
            Form::Position => self.position_of(),
            Form::Exists => {
                self.function("exists");
                self.query()?;
                self.close()
            }
            Form::Trim => self.trim(name),
            Form::Dates => self.dates(name),
        }
    }

    /// The name before the bracket.
    pub(super) fn call_name(&mut self) -> Parsed<Cow<'a, str>> {
        let first = self.identifier()?;
        if self.kind() != Kind::Dot {
            return Ok(first);
        }
        let mut name = first.into_owned();
        while self.eat(Kind::Dot) {
            name.push('.');
            name.push_str(&self.identifier()?);
        }
        Ok(Cow::Owned(name))
    }

    /// Behind the opening bracket of `f(...)`, `f(parameters)(...)`, with DISTINCT, FILTER, NULLS and OVER.
    fn plain_call(&mut self, name: Cow<'a, str>) -> Parsed {
        if self.within_table_function && reaching::is_view(&name) {
            self.touch(Touch::Function(name.clone()));
            return self.view_arguments(&name);
        }
        let reaching = reaching::function(&name);
        let kept = reaching.is_some() || self.within_table_function;
        let mut arguments = Arguments::default();
        // For ClickHouse these take expressions alone: `tuple(ALL(x))` calls a function of that name.
        let qualified = !["tuple", "extract"].contains(&name.as_ref());
        let mut distinct = self.arguments(kept.then_some(&mut arguments), qualified)?;
        // What stood in the first brackets were parameters, then.
        if self.eat(Kind::OpeningRoundBracket) {
            arguments.clear();
            distinct = self.arguments(kept.then_some(&mut arguments), qualified)?;
        }
        if let Some(reaching) = reaching {
            self.reach_by_call(reaching, &arguments);
        }
        if self.within_table_function && reaching::is_table_function(&name) {
            self.reach_by_table_function(&name, &arguments);
        }
        let filtered = self.take("FILTER");
        if filtered {
            self.open()?;
            self.keyword("WHERE")?;
            self.expression_with_alias()?;
            self.close()?;
        }
        let name = match (distinct, filtered) {
            (false, false) => name,
            (true, false) => Cow::Owned(format!("{name}Distinct")),
            (false, true) => Cow::Owned(format!("{name}If")),
            (true, true) => Cow::Owned(format!("{name}DistinctIf")),
        };
        self.touch(Touch::Function(name));
        self.take_any(&["RESPECT NULLS", "IGNORE NULLS"]);
        if self.take("OVER") {
            return self.window();
        }
        Ok(())
    }

    /// What stands within the brackets, and the closing one: whether the arguments are DISTINCT, where they may be.
    fn arguments(&mut self, mut ranges: Option<&mut Arguments>, qualified: bool) -> Parsed<bool> {
        let distinct = qualified && self.all_or_distinct();
        if self.eat(Kind::ClosingRoundBracket) {
            return Ok(distinct);
        }
        loop {
            let begins = self.position();
            if self.within_table_function && self.at_word("SETTINGS") && matches!(self.kind_at(1), Kind::BareWord | Kind::QuotedIdentifier) {
                self.advance();
                self.settings()?;
                self.touch(Touch::Clause(Clause::InnerSettings));
                break;
            }
            self.element()?;
            if let Some(ranges) = &mut ranges {
                ranges.push(begins..self.position());
            }
            if !self.eat(Kind::Comma) {
                break;
            }
        }
        self.close()?;
        Ok(distinct)
    }

    /// `ALL`, `DISTINCT` before arguments; alone they are names.
    fn all_or_distinct(&mut self) -> bool {
        let mut distinct = false;
        let mark = self.mark();
        let all = self.take("ALL");
        if self.take("DISTINCT") {
            distinct = true;
        }
        let all = all || self.take("ALL");
        if (all || distinct) && matches!(self.kind(), Kind::Comma | Kind::ClosingRoundBracket) {
            self.back_to(mark);
            distinct = false;
        }
        distinct
    }

    /// `CAST(x AS T)`, `CAST(x AS name AS T)`, `CAST(x, 'T')`.
    fn cast(&mut self) -> Parsed {
        self.function("CAST");
        self.expression_that_may_be_named()?;
        if self.take("AS") {
            let named = self.at_identifier() && (self.at_word_after(1, "AS") || self.kind_at(1) == Kind::Comma);
            if named {
                self.alias_name()?;
            }
            if named && self.kind() == Kind::Comma {
                return self.type_as_a_value();
            }
            if named {
                self.keyword("AS")?;
            }
            self.data_type()?;
            return self.close();
        }
        self.type_as_a_value()
    }

    fn type_as_a_value(&mut self) -> Parsed {
        self.token(Kind::Comma, ", or AS")?;
        self.element_before(&[])?;
        self.close()
    }

    /// An expression that a name without AS may follow, if it is not one of the words that separate arguments.
    fn expression_that_may_be_named(&mut self) -> Parsed {
        self.expression()?;
        if self.at_identifier() && !self.at_word("AS") && (self.at_word_after(1, "AS") || matches!(self.kind_at(1), Kind::Comma)) {
            self.alias_name()?;
        }
        Ok(())
    }

    /// `EXTRACT(unit FROM x)`, and `extract(x, pattern)`.
    fn extract(&mut self) -> Parsed {
        if self.at_word_after(1, "FROM") {
            let mark = self.mark();
            let part = match self.unit() {
                Some(unit) => Some(unit.part),
                None => self.take_any(&PARTS_OF_DATES).map(|_| "extract"),
            };
            if let Some(part) = part {
                self.keyword("FROM")?;
                self.function(part);
                self.element_before(&[])?;
                return self.close();
            }
            self.back_to(mark);
        }
        self.plain_call(Cow::Borrowed("extract"))
    }

    /// Calls whose arguments may have words between them: `substring(x FROM a FOR b)`.
    fn call_with_words(&mut self, name: Cow<'a, str>, words: &'static [&'static str]) -> Parsed {
        self.touch(Touch::Function(if name.eq_ignore_ascii_case("substring") { Cow::Borrowed("substring") } else { name }));
        self.element_before(words)?;
        let separators = words;
        let mut words = words.iter();
        while self.kind() != Kind::ClosingRoundBracket {
            let fits = words.any(|word| self.take(word)) || self.eat(Kind::Comma);
            if !fits {
                return self.expected(", or )");
            }
            self.element_before(separators)?;
        }
        self.close()
    }

    /// `position(needle IN haystack)`, and `position(haystack, needle)`.
    fn position_of(&mut self) -> Parsed {
        self.function("position");
        self.element_before_in()?;
        if self.take("IN") {
            self.element_before(&[])?;
        } else {
            while self.eat(Kind::Comma) {
                self.element_before(&[])?;
            }
        }
        self.close()
    }

    /// `trim(BOTH a FROM b)`, and `trim(x)`.
    fn trim(&mut self, name: Cow<'a, str>) -> Parsed {
        let side = self.take_any(&["BOTH", "LEADING", "TRAILING"]);
        if side.is_some() {
            self.element_before(&["FROM"])?;
            self.keyword("FROM")?;
        }
        self.function(match (side, name.as_bytes().first()) {
            (Some("LEADING"), _) | (None, Some(b'l' | b'L')) => "trimLeft",
            (Some("TRAILING"), _) | (None, Some(b'r' | b'R')) => "trimRight",
            _ => "trimBoth",
        });
        self.list(|cursor| cursor.element_before(&[]))?;
        self.close()
    }

    /// `dateAdd(unit, 1, x)`, `dateDiff(unit, a, b)`, and with an interval or a string.
    fn dates(&mut self, name: Cow<'a, str>) -> Parsed {
        let lower = name.to_ascii_lowercase();
        self.function(match lower {
            lower if lower.contains("add") => "plus",
            lower if lower.contains("sub") => "minus",
            _ => "dateDiff",
        });
        if self.kind_at(1) == Kind::Comma {
            let unit = self.unit();
            if let Some(unit) = unit {
                self.function(unit.interval);
                self.token(Kind::Comma, ",")?;
            }
        }
        self.list(|cursor| cursor.element_before(&[]))?;
        self.close()
    }

    /// Behind OVER: the name of a window, or its definition in brackets.
    fn window(&mut self) -> Parsed {
        if self.kind() == Kind::OpeningRoundBracket {
            return self.window_definition();
        }
        self.identifier().map(drop)
    }

    /// `( [window] [PARTITION BY ...] [ORDER BY ...] [frame] )`.
    pub(super) fn window_definition(&mut self) -> Parsed {
        self.open()?;
        let clause = |cursor: &mut Self| {
            cursor.at_word("PARTITION BY")
                || cursor.at_word("ORDER BY")
                || ["ROWS", "RANGE", "GROUPS"].iter().any(|frame| cursor.at_word(frame) && cursor.kind_at(1) != Kind::ClosingRoundBracket)
        };
        if self.at_identifier() && !clause(self) {
            self.identifier()?;
        }
        if self.take("PARTITION BY") {
            self.expressions()?;
        }
        if self.take("ORDER BY") {
            self.order_by_list()?;
        }
        if self.take_any(&["ROWS", "RANGE", "GROUPS"]).is_some() {
            if self.take("BETWEEN") {
                self.frame_bound()?;
                self.keyword("AND")?;
            }
            self.frame_bound()?;
        }
        self.close()
    }

    fn frame_bound(&mut self) -> Parsed {
        if self.take("CURRENT ROW") {
            return Ok(());
        }
        if !self.take("UNBOUNDED") {
            self.expression()?;
        }
        match self.take_any(&["PRECEDING", "FOLLOWING"]) {
            Some(_) => Ok(()),
            None => self.expected("PRECEDING or FOLLOWING"),
        }
    }
}

/// How the arguments of a call are written.
enum Form {
    Plain,
    Cast,
    Extract,
    Words(&'static [&'static str]),
    Position,
    Exists,
    Trim,
    Dates,
}

fn form_of(name: &str) -> Form {
    let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    match name.as_bytes().first().map_or(0, u8::to_ascii_lowercase) {
        b'c' if is(&["cast"]) => Form::Cast,
        b'e' if is(&["extract"]) => Form::Extract,
        b'e' if is(&["exists"]) => Form::Exists,
        b's' if is(&["substring"]) => Form::Words(&["FROM", "FOR"]),
        b'o' if is(&["overlay", "overlayutf8"]) => Form::Words(&["PLACING", "FROM", "FOR"]),
        b'p' if is(&["position"]) => Form::Position,
        b't' | b'l' | b'r' if is(&["trim", "ltrim", "rtrim"]) => Form::Trim,
        b'd' | b't'
            if is(&[
                "dateadd",
                "date_add",
                "datesub",
                "date_sub",
                "datediff",
                "date_diff",
                "timestampadd",
                "timestamp_add",
                "timestampsub",
                "timestamp_sub",
                "timestampdiff",
                "timestamp_diff",
            ]) =>
        {
            Form::Dates
        }
        _ => Form::Plain,
    }
}
