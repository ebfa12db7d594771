//! How it looks: colours and lines where the terminal has them, plain text everywhere else.

use std::env;
use std::io::{self, IsTerminal, Write};

use rustix::termios::tcgetwinsize;

use crate::trouble::Trouble;

/// Columns where nobody says how many there are.
const USUAL: usize = 100;

/// Beyond this, lines tire a reader.
const WIDEST: usize = 132;

/// Below this, things stand one under the other.
const TWO_COLUMNS: usize = 96;

/// Columns on the right, and between the two.
const RIGHT: usize = 44;
const GAP: usize = 3;

/// What a piece of text is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Strong,
    Quiet,
    Good,
    Bad,
    Code,
}

/// Pieces of one line.
pub(crate) type Line = Vec<(Ink, String)>;

/// The terminal, or what stands in its place.
pub(crate) struct Page {
    colours: bool,
    drawing: bool,
    width: usize,
    /// Whether a line can be written over.
    live: bool,
}

impl Page {
    pub(crate) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || env::var_os("TERM").is_some_and(|term| term == "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
        let drawing = locale.is_some_and(|locale| ["utf-8", "utf8"].iter().any(|name| locale.to_lowercase().ends_with(name)));
        let columns = tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        let width = if columns == 0 { USUAL } else { columns.min(WIDEST) };
        Self { colours: terminal && !plain, drawing, width, live: terminal && !plain }
    }

    /// Writes lines out at once.
    pub(crate) fn show(&self, lines: &[Line]) -> Result<(), Trouble> {
        let text: String = lines.iter().map(|line| format!("{}\n", self.paint(line))).collect();
        self.write(&text)
    }

    /// A line across the page with a title in it.
    pub(crate) fn heading(&self, title: &str) -> Line {
        let (rule, title) = (self.either('━', '='), format!(" {title} "));
        let rest = self.width.saturating_sub(2 + title.chars().count());
        vec![(Ink::Quiet, rule.repeat(2)), (Ink::Strong, title), (Ink::Quiet, rule.repeat(rest))]
    }

    /// Something that takes its time has begun; on a terminal only, where [`Page::done`] writes over it.
    pub(crate) fn begins(&self, what: &str) -> Result<(), Trouble> {
        if !self.live {
            return Ok(());
        }
        self.write(&format!("  {}", self.paint(&[(Ink::Quiet, format!("{} {what}", self.either('…', '.')))])))
    }

    pub(crate) fn done(&self, what: &str, told: &str) -> Result<(), Trouble> {
        let over = if self.live { "\r\x1b[K" } else { "" };
        let line = [(Ink::Good, format!("  {} ", self.tick(true))), (Ink::Plain, format!("{what:<18} ")), (Ink::Quiet, told.to_owned())];
        self.write(&format!("{over}{}\n", self.paint(&line)))
    }

    pub(crate) fn tick(&self, good: bool) -> String {
        if good { self.either('✓', '+') } else { self.either('✗', '!') }
    }

    /// Two columns where there is room for both, one under the other where not.
    pub(crate) fn beside(&self, left: impl Fn(usize) -> Vec<Line>, right: impl Fn(usize) -> Vec<Line>) -> Vec<Line> {
        let indent = |line: Line| [vec![(Ink::Plain, "  ".to_owned())], line].concat();
        if self.width < TWO_COLUMNS {
            let room = self.width.saturating_sub(2);
            return left(room).into_iter().chain([Line::new()]).chain(right(room)).map(indent).collect();
        }
        let room = self.width - RIGHT - GAP - 2;
        let (left, right) = (left(room), right(RIGHT));
        let rows = left.len().max(right.len());
        let [mut left, mut right] = [left, right].map(|lines| lines.into_iter().chain(std::iter::repeat(Line::new())));
        (0..rows)
            .map(|_| {
                let mut line = indent(left.next().unwrap_or_default());
                let used: usize = line.iter().map(|(_, text)| text.chars().count()).sum();
                line.push((Ink::Quiet, format!("{}{} ", " ".repeat((room + 3).saturating_sub(used)), self.either('│', '|'))));
                line.extend(right.next().unwrap_or_default());
                line
            })
            .collect()
    }

    fn either(&self, drawn: char, plain: char) -> String {
        if self.drawing { drawn } else { plain }.to_string()
    }

    fn paint(&self, line: &[(Ink, String)]) -> String {
        let painted = line.iter().map(|(ink, text)| {
            // What came over a wire moves no cursor.
            let text = text.replace(char::is_control, " ");
            match ink.escape().filter(|_| self.colours) {
                Some(escape) => format!("\x1b[{escape}m{text}\x1b[0m"),
                None => text,
            }
        });
        painted.collect::<String>().trim_end().to_owned()
    }

    fn write(&self, text: &str) -> Result<(), Trouble> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Trouble::new("nobody reads what is shown").because(error))
    }
}

impl Ink {
    fn escape(self) -> Option<&'static str> {
        match self {
            Ink::Plain => None,
            Ink::Strong => Some("1"),
            Ink::Quiet => Some("2"),
            Ink::Good => Some("32"),
            Ink::Bad => Some("31"),
            Ink::Code => Some("36"),
        }
    }
}

/// Lines of one ink, broken between words; a word that is longer than the room is broken too.
pub(crate) fn wrapped(ink: Ink, text: &str, room: usize) -> Vec<Line> {
    text.lines().flat_map(|line| wrap(line, room.max(8))).map(|line| vec![(ink, line)]).collect()
}

fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![];
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        if used > 0 && used + word.trim_end().chars().count() > room {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        for letter in word.chars() {
            if used == room && letter != ' ' {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(letter);
            used += 1;
        }
    }
    lines.push(line);
    lines
}

/// Names and values in two columns; long values go on under themselves.
pub(crate) fn pairs(pairs: &[(&str, String)], room: usize) -> Vec<Line> {
    let names = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + 2;
    let rows = pairs.iter().flat_map(|(name, value)| {
        let values = wrap(value, room.saturating_sub(names).max(8)).into_iter().enumerate();
        values.map(move |(index, value)| {
            let name = if index == 0 { name } else { "" };
            vec![(Ink::Quiet, format!("{name:<names$}")), (Ink::Plain, value)]
        })
    });
    rows.collect()
}

/// Tab-separated text in columns.
pub(crate) fn table(text: &str) -> String {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<&str>| row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}   ")).collect::<String>().trim_end().to_owned();
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: usize) -> Page {
        Page { colours: false, drawing: false, width, live: false }
    }

    fn side_by_side(page: &Page) -> Vec<String> {
        let left = |room| wrapped(Ink::Code, "SELECT product, count() FROM sales.orders GROUP BY product ORDER BY product LIMIT 10", room);
        let right = |room| pairs(&[("subject", "alice".to_owned()), ("statement", "SELECT ? ".repeat(9))], room);
        page.beside(left, right).iter().map(|line| page.paint(line)).collect()
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        for width in [40, 60, 95, 96, 100, WIDEST] {
            for line in side_by_side(&page(width)) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn two_columns_stand_beside_each_other_where_there_is_room() {
        assert!(side_by_side(&page(100)).first().is_some_and(|line| line.contains("SELECT product") && line.ends_with("| subject    alice")));
        assert!(!side_by_side(&page(80)).iter().any(|line| line.contains('|')));
    }

    #[test]
    fn breaking_lines_loses_nothing() {
        for room in 1..40 {
            assert_eq!(wrap("one  two threefourfive six ", room).concat(), "one  two threefourfive six ", "{room}");
        }
    }

    #[test]
    fn what_came_over_a_wire_moves_no_cursor() {
        assert_eq!(page(80).paint(&[(Ink::Good, "a\u{1b}[2J\rb".to_owned())]), "a [2J b");
    }

    #[test]
    fn tabs_become_columns() {
        assert_eq!(table("product\torders\nmug\t6\n"), "product   orders\nmug       6");
    }
}
