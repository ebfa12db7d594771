//! Windows of time in which a rule is meant for anybody.

use std::time::SystemTime;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Problems;

/// One window, every week.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WrittenWindow {
    /// The days on which it begins, `mon` to `sun`; every day where it is left out.
    pub days: Option<Vec<Day>>,
    /// When it begins, as `08:00`.
    pub from: String,
    /// When it ends, as `18:00`; where that is not later than `from`, on the next day.
    pub to: String,
    /// The zone that these times are of, as `Europe/Berlin`.
    #[serde(default = "utc")]
    pub timezone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "days are known")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Day::Mon => Weekday::Monday,
            Day::Tue => Weekday::Tuesday,
            Day::Wed => Weekday::Wednesday,
            Day::Thu => Weekday::Thursday,
            Day::Fri => Weekday::Friday,
            Day::Sat => Weekday::Saturday,
            Day::Sun => Weekday::Sunday,
        }
    }
}

/// Windows, checked; one of them has to be open.
#[derive(Debug)]
pub(super) struct Windows(Vec<Window>);

#[derive(Debug)]
struct Window {
    days: Option<Vec<Weekday>>,
    from: Time,
    to: Time,
    zone: TimeZone,
}

impl Windows {
    pub(super) fn check(written: &[WrittenWindow], place: &str, problems: &mut Problems) -> Self {
        if written.is_empty() {
            problems.add(place, "is empty, so the rule is never meant for anybody; write at least one window");
        }
        let windows = written.iter().enumerate().filter_map(|(index, window)| {
            let mut time = |key: &str, text: &str| {
                let time = Some(text).filter(|text| text.len() == 5).and_then(|text| Time::strptime("%H:%M", text).ok());
                if time.is_none() {
                    problems.add(format!("{place}[{index}].{key}"), format!("`{text}` is not a time of day; write one as 08:00"));
                }
                time
            };
            let (from, to) = (time("from", &window.from), time("to", &window.to));
            let zone = TimeZone::get(&window.timezone).ok();
            if zone.is_none() {
                problems.add(format!("{place}[{index}].timezone"), format!("`{}` is no time zone; write one as Europe/Berlin", window.timezone));
            }
            let days = window.days.as_ref().map(|days| days.iter().map(|day| day.weekday()).collect::<Vec<_>>());
            if days.as_ref().is_some_and(Vec::is_empty) {
                problems.add(format!("{place}[{index}].days"), "is empty; write mon to sun, or leave it out");
            }
            Some(Window { days, from: from?, to: to?, zone: zone? })
        });
        Self(windows.collect())
    }

    /// Whether one of them is open. A clock beyond all calendars opens none.
    pub(super) fn are_open(&self, now: SystemTime) -> bool {
        Timestamp::try_from(now).is_ok_and(|now| self.0.iter().any(|window| window.is_open(&now.to_zoned(window.zone.clone()))))
    }
}

impl Window {
    fn is_open(&self, now: &Zoned) -> bool {
        let on = |day: Weekday| self.days.as_ref().is_none_or(|days| days.contains(&day));
        let (today, time) = (now.weekday(), now.time());
        if self.from < self.to {
            return on(today) && self.from <= time && time < self.to;
        }
        (on(today) && self.from <= time) || (on(today.previous()) && time < self.to)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn open(days: Option<Vec<Day>>, from: &str, to: &str, timezone: &str, now: &str) -> bool {
        let window = WrittenWindow { days, from: from.to_owned(), to: to.to_owned(), timezone: timezone.to_owned() };
        let mut problems = Problems::default();
        let windows = Windows::check(&[window], "hours", &mut problems);
        assert!(problems.is_empty(), "{problems}");
        windows.are_open(now.parse::<Timestamp>().unwrap().into())
    }

    #[test]
    fn a_window_is_of_its_day_and_zone() {
        let weekdays = || Some(vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri]);
        // 2026-11-23 is a Monday.
        for (days, from, to, zone, now, expected) in [
            (weekdays(), "08:00", "18:00", "UTC", "2026-11-23T08:00:00Z", true),
            (weekdays(), "08:00", "18:00", "UTC", "2026-11-23T17:59:59Z", true),
            (weekdays(), "08:00", "18:00", "UTC", "2026-11-23T18:00:00Z", false),
            (weekdays(), "08:00", "18:00", "UTC", "2026-11-22T12:00:00Z", false),
            (None, "08:00", "18:00", "UTC", "2026-11-22T12:00:00Z", true),
            (weekdays(), "08:00", "18:00", "Europe/Berlin", "2026-11-23T07:30:00Z", true),
            (weekdays(), "08:00", "18:00", "Europe/Berlin", "2026-07-20T06:30:00Z", true),
            (weekdays(), "08:00", "18:00", "Europe/Berlin", "2026-07-20T16:30:00Z", false),
            (Some(vec![Day::Sun]), "22:00", "06:00", "UTC", "2026-11-23T05:59:00Z", true),
            (Some(vec![Day::Sun]), "22:00", "06:00", "UTC", "2026-11-23T22:00:00Z", false),
            (Some(vec![Day::Sun]), "22:00", "06:00", "UTC", "2026-11-22T05:00:00Z", false),
            (Some(vec![Day::Mon]), "00:00", "00:00", "UTC", "2026-11-23T23:59:59Z", true),
        ] {
            assert_eq!(open(days, from, to, zone, now), expected, "{from} to {to} in {zone} at {now}");
        }
    }

    #[test]
    fn what_is_no_window_is_told() {
        let window = |from: &str, timezone: &str| WrittenWindow {
            days: Some(vec![]),
            from: from.to_owned(),
            to: "1:00".to_owned(),
            timezone: timezone.to_owned(),
        };
        let mut problems = Problems::default();
        Windows::check(&[window("25:00", "Mars/Olympus")], "hours", &mut problems);
        Windows::check(&[], "hours", &mut problems);
        assert_eq!(problems.len(), 5, "{problems}");
    }
}
