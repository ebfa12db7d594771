//! Intervals and their units.

use super::cursor::{Cursor, Parsed};
use super::expression::Naming;

/// A unit of INTERVAL, of EXTRACT and of the functions that add and subtract dates.
pub(super) struct Unit {
    words: &'static [&'static str],
    /// The function that makes an interval of it.
    pub(super) interval: &'static str,
    /// The function that takes it out of a date.
    pub(super) part: &'static str,
}

#[rustfmt::skip]
const UNITS: [Unit; 11] = [
    Unit { words: &["NANOSECOND", "NANOSECONDS", "SQL_TSI_NANOSECOND", "NS"], interval: "toIntervalNanosecond", part: "toNanosecond" },
    Unit { words: &["MICROSECOND", "MICROSECONDS", "SQL_TSI_MICROSECOND"], interval: "toIntervalMicrosecond", part: "toMicrosecond" },
    Unit { words: &["MILLISECOND", "MILLISECONDS", "SQL_TSI_MILLISECOND", "MS"], interval: "toIntervalMillisecond", part: "toMillisecond" },
    Unit { words: &["SECOND", "SECONDS", "SQL_TSI_SECOND", "SS", "S"], interval: "toIntervalSecond", part: "toSecond" },
    Unit { words: &["MINUTE", "MINUTES", "SQL_TSI_MINUTE", "MI", "N"], interval: "toIntervalMinute", part: "toMinute" },
    Unit { words: &["HOUR", "HOURS", "SQL_TSI_HOUR", "HH", "H"], interval: "toIntervalHour", part: "toHour" },
    Unit { words: &["DAY", "DAYS", "SQL_TSI_DAY", "DD", "D"], interval: "toIntervalDay", part: "toDayOfMonth" },
    Unit { words: &["WEEK", "WEEKS", "SQL_TSI_WEEK", "WK", "WW"], interval: "toIntervalWeek", part: "toISOWeek" },
    Unit { words: &["MONTH", "MONTHS", "SQL_TSI_MONTH", "MM", "M"], interval: "toIntervalMonth", part: "toMonth" },
    Unit { words: &["QUARTER", "QUARTERS", "SQL_TSI_QUARTER", "QQ", "Q"], interval: "toIntervalQuarter", part: "toQuarter" },
    Unit { words: &["YEAR", "YEARS", "SQL_TSI_YEAR", "YYYY", "YY"], interval: "toIntervalYear", part: "toYear" },
];

impl Cursor<'_> {
    /// The unit of an interval, as a keyword.
    pub(super) fn unit(&mut self) -> Option<&'static Unit> {
        let unit = self.unit_at(0);
        if unit.is_some() {
            self.advance();
        }
        unit
    }

    pub(super) fn unit_at(&mut self, ahead: usize) -> Option<&'static Unit> {
        let word = self.word_at(ahead);
        UNITS.iter().find(|unit| unit.words.iter().any(|known| known.eq_ignore_ascii_case(word)))
    }

    /// The unit behind what an interval has of it.
    fn interval_unit(&mut self) -> Parsed {
        let Some(unit) = self.unit() else { return self.expected("a unit, such as DAY") };
        self.function(unit.interval);
        Ok(())
    }

    pub(super) fn interval(&mut self) -> Parsed {
        self.keyword("INTERVAL")?;
        if self.at_string() && self.at_word_after(2, "TO") {
            self.advance();
            self.interval_unit()?;
            self.function("tuple");
            self.keyword("TO")?;
            return self.interval_unit();
        }
        if self.at_string() && self.unit_at(1).is_none() && self.interval_in_a_string()? {
            return Ok(());
        }
        self.expression_that(Naming::BeforeUnit, false)?;
        self.interval_unit()
    }

    /// `INTERVAL '1 day 2 hours'`: whether the string is one; it may also be a part of an expression.
    fn interval_in_a_string(&mut self) -> Parsed<bool> {
        let mark = self.mark();
        let text = self.string_text()?;
        let mut words = text.split_ascii_whitespace().skip(1).step_by(2).peekable();
        if words.peek().is_none() {
            self.back_to(mark);
            return Ok(false);
        }
        for word in words {
            match UNITS.iter().find(|unit| unit.words.iter().any(|known| known.eq_ignore_ascii_case(word))) {
                Some(unit) => self.function(unit.interval),
                None => return self.expected("an interval, such as '1 day'"),
            }
        }
        Ok(true)
    }
}
