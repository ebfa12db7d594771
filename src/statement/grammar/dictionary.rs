//! CREATE DICTIONARY: its attributes, where its rows come from and how they are kept.

use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::create::Beginning;
use super::cursor::{Cursor, Parsed, Touch};

/// What stands for a key of a dictionary's definition.
enum Value {
    Text(String),
    Computed,
    Nested,
}

/// What a source of the kind CLICKHOUSE names.
#[derive(Default)]
struct Source {
    database: Option<String>,
    table: Option<String>,
}

impl Cursor<'_> {
    /// Behind DICTIONARY.
    pub(super) fn create_dictionary(&mut self, beginning: Beginning) -> Parsed {
        self.take("IF NOT EXISTS");
        self.table_name(Touch::Target)?;
        self.perhaps_on_cluster()?;
        if !beginning.attach {
            self.open()?;
            self.dictionary_attributes()?;
            self.close()?;
            self.dictionary_definition()?;
        }
        self.comment_clause().map(drop)
    }

    fn dictionary_attributes(&mut self) -> Parsed {
        self.dictionary_attribute()?;
        while self.eat(Kind::Comma) {
            if self.kind() == Kind::ClosingRoundBracket {
                break;
            }
            self.dictionary_attribute()?;
        }
        Ok(())
    }

    /// `name Type [DEFAULT literal] [EXPRESSION expr] [HIERARCHICAL] ...`.
    fn dictionary_attribute(&mut self) -> Parsed {
        self.identifier()?;
        self.data_type()?;
        self.once_each(&[
            ("DEFAULT", Self::literal_or_array),
            ("EXPRESSION", Self::expression),
            ("HIERARCHICAL", |_| Ok(())),
            ("BIDIRECTIONAL", |_| Ok(())),
            ("INJECTIVE", |_| Ok(())),
            ("IS_OBJECT_ID", |_| Ok(())),
        ])
        .map(drop)
    }

    fn literal_or_array(&mut self) -> Parsed {
        if self.kind() != Kind::OpeningSquareBracket {
            return self.literal_text().map(drop);
        }
        self.deeper(|cursor| {
            cursor.advance();
            cursor.list(Self::literal_or_array)?;
            cursor.token(Kind::ClosingSquareBracket, "]")
        })
    }

    fn dictionary_definition(&mut self) -> Parsed {
        if self.take("PRIMARY KEY") {
            self.primary_key_of_a_dictionary()?;
        }
        self.once_each(&[
            ("SOURCE", Self::source),
            ("LIFETIME", Self::lifetime),
            ("LAYOUT", Self::layout),
            ("RANGE", |cursor| cursor.min_and_max(|cursor| cursor.identifier().map(drop))),
            ("SETTINGS", |cursor| cursor.bracketed(|cursor| cursor.setting(false))),
        ])
        .map(drop)
    }

    fn primary_key_of_a_dictionary(&mut self) -> Parsed {
        if self.kind() == Kind::OpeningRoundBracket {
            return self.bracketed(|cursor| cursor.identifier().map(drop));
        }
        self.list(|cursor| cursor.identifier().map(drop))
    }

    /// `(300)` or `(MIN 300 MAX 360)`.
    fn lifetime(&mut self) -> Parsed {
        if self.kind_at(1) != Kind::Number {
            return self.min_and_max(|cursor| cursor.token(Kind::Number, "a number"));
        }
        self.open()?;
        self.token(Kind::Number, "a number")?;
        self.close()
    }

    /// `(MIN a MAX b)`, in any order, both.
    fn min_and_max(&mut self, mut read: impl FnMut(&mut Self) -> Parsed) -> Parsed {
        self.open()?;
        let Some(first) = self.take_any(&["MIN", "MAX"]) else {
            return self.expected("MIN or MAX");
        };
        read(self)?;
        self.keyword(if first == "MIN" { "MAX" } else { "MIN" })?;
        read(self)?;
        self.close()
    }

    /// `(name)` or `(name(key value ...))`.
    fn layout(&mut self) -> Parsed {
        self.open()?;
        self.identifier()?;
        if self.eat(Kind::OpeningRoundBracket) {
            self.pairs(&mut |_, _, _| {})?;
            self.close()?;
        }
        self.close()
    }

    /// `(kind(key value ...))`: another table of ClickHouse, or something outside of it.
    fn source(&mut self) -> Parsed {
        self.open()?;
        let kind = self.identifier()?.to_ascii_lowercase();
        self.open()?;
        if kind == "clickhouse" {
            let mut source = Source::default();
            self.pairs(&mut |cursor, key, value| source.pair(cursor, key, value))?;
            source.touch(self);
        } else {
            self.touch(Touch::Also(Name::bare(kind), Via::Outside("SOURCE")));
            self.pairs(&mut |cursor, key, value| cursor.collection_of_a_source(key, &value))?;
        }
        self.close()?;
        self.close()
    }

    /// `NAME collection`: what else the source is, a named collection says.
    fn collection_of_a_source(&mut self, key: &str, value: &Value) {
        if key.eq_ignore_ascii_case("NAME") {
            match value {
                Value::Text(name) => self.touch(Touch::Also(Name::bare(name), Via::Other("NAMED COLLECTION"))),
                Value::Computed | Value::Nested => self.computed("SOURCE"),
            }
        }
    }

    /// `key value key value ...`, each of them given to `seen`.
    fn pairs(&mut self, seen: &mut dyn FnMut(&mut Self, &str, Value)) -> Parsed {
        while self.at_identifier() {
            let key = self.identifier()?;
            let value = self.value_of_a_pair()?;
            seen(self, &key, value);
        }
        Ok(())
    }

    fn value_of_a_pair(&mut self) -> Parsed<Value> {
        if self.call_follows() {
            return self.call().map(|()| Value::Computed);
        }
        match self.kind() {
            Kind::OpeningRoundBracket => self.deeper(|cursor| {
                cursor.advance();
                // Such as HEADERS(HEADER(NAME 'x' VALUE 'y')): no key in there is one of the source.
                cursor.pairs(&mut |_, _, _| {})?;
                cursor.close().map(|()| Value::Nested)
            }),
            Kind::OpeningSquareBracket => self.literal_or_array().map(|()| Value::Computed),
            Kind::BareWord | Kind::QuotedIdentifier => self.identifier().map(|name| Value::Text(name.into_owned())),
            _ => self.literal_text().map(Value::Text),
        }
    }
}

impl Source {
    fn pair(&mut self, cursor: &mut Cursor<'_>, key: &str, value: Value) {
        let is = |known: &[&str]| known.iter().any(|known| key.eq_ignore_ascii_case(known));
        cursor.collection_of_a_source(key, &value);
        // These are SQL of their own.
        if is(&["QUERY", "WHERE", "INVALIDATE_QUERY"]) {
            cursor.computed("SOURCE");
        }
        match value {
            Value::Text(text) if is(&["TABLE"]) => self.table = Some(text),
            Value::Text(text) if is(&["DB"]) => self.database = Some(text),
            Value::Text(text) if is(&["HOST"]) => cursor.touch(Touch::Also(Name::bare(text), Via::Outside("SOURCE"))),
            Value::Computed | Value::Nested if is(&["TABLE", "DB", "HOST"]) => cursor.computed("SOURCE"),
            Value::Text(_) | Value::Computed | Value::Nested => {}
        }
    }

    fn touch(self, cursor: &mut Cursor<'_>) {
        let Some(table) = self.table else { return };
        let name = match self.database {
            Some(database) if !database.is_empty() => Name::of(database, table),
            // Without a database the name may itself be qualified.
            Some(_) | None => Name::split(&table),
        };
        cursor.touch(Touch::Also(name, Via::Table("SOURCE")));
    }
}
