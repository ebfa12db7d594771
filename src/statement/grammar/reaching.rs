//! Calls that reach further than their arguments: functions that take the name of a table or dictionary, and table
//! functions.

use std::ops::Range;

use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::cursor::{Cursor, Parsed, Stop, Touch};
use crate::catalog;

/// The tokens of each argument of a call.
pub(super) type Arguments = Vec<Range<usize>>;

/// What a function reaches by its arguments.
#[derive(Clone, Copy)]
pub(super) enum Reaching {
    /// The first argument names a dictionary.
    Dictionary,
    /// The first argument names a table of the engine Join.
    Join,
    /// The second argument may be the name of a table, as right of IN.
    In,
    /// Database and table are the first two arguments of three, or two of more behind a host and its user.
    Columns,
    /// The first argument names a function.
    Function,
    /// The first argument names something else of the server.
    Named(Via),
    /// The first of several arguments is a function: a lambda, or the name of one.
    Lambda,
}

/// What the function of this name reaches, if it reaches anything by name.
pub(super) fn function(name: &str) -> Option<Reaching> {
    let lower = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let is = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(name));
    match name.as_bytes().first().map_or(0, u8::to_ascii_lowercase) {
        b'd' if lower("dict") => Some(Reaching::Dictionary),
        b'n' if lower("naiveBayesClassifier") => Some(Reaching::Dictionary),
        b'g' if is(&["getMaxTableNameLengthForDatabase"]) => Some(Reaching::Named(Via::Database("getMaxTableNameLengthForDatabase"))),
        b'j' if lower("joinGet") => Some(Reaching::Join),
        b'i' if is(&["in", "inIgnoreSet"]) => Some(Reaching::In),
        b'n' if is(&["notIn", "nullIn", "notNullIn", "notInIgnoreSet", "nullInIgnoreSet", "notNullInIgnoreSet"]) => Some(Reaching::In),
        b'g' if lower("global") && (name.len() >= 8) && name.to_ascii_lowercase().contains("in") => Some(Reaching::In),
        b'h' if is(&["hasColumnInTable"]) => Some(Reaching::Columns),
        b'a' if is(&["arrayReduce", "arrayReduceInRanges"]) => Some(Reaching::Function),
        b'i' if is(&["initializeAggregation"]) => Some(Reaching::Function),
        b'c' if is(&["catboostEvaluate"]) => Some(Reaching::Named(Via::Outside("catboostEvaluate"))),
        b'f' if is(&["file"]) => Some(Reaching::Named(Via::Outside("file"))),
        b'a' | b'm' if is(&HIGHER_ORDER) => Some(Reaching::Lambda),
        _ => None,
    }
}

/// Functions whose first of several arguments is a function; 26.9 takes the bare name of one, also of a stranger's.
const HIGHER_ORDER: [&str; 41] = [
    "arrayAll",
    "arrayAvg",
    "arrayCompact",
    "arrayCount",
    "arrayCumSum",
    "arrayCumSumNonNegative",
    "arrayDifference",
    "arrayExists",
    "arrayFill",
    "arrayFilter",
    "arrayFirst",
    "arrayFirstIndex",
    "arrayFirstOrNull",
    "arrayFold",
    "arrayLast",
    "arrayLastIndex",
    "arrayLastOrNull",
    "arrayMap",
    "arrayMax",
    "arrayMin",
    "arrayNormalizedGini",
    "arrayPartialReverseSort",
    "arrayPartialSort",
    "arrayPartialShuffle",
    "arrayProduct",
    "arrayReverseFill",
    "arrayReverseSort",
    "arrayReverseSplit",
    "arraySort",
    "arraySplit",
    "arraySum",
    "arrayTranspose",
    "mapAll",
    "mapApply",
    "mapExists",
    "mapFilter",
    "mapPartialReverseSort",
    "mapPartialSort",
    "mapReverseSort",
    "mapSort",
    "mapUpdate",
];

/// Whether ClickHouse has a table function of this name. Views with parameters look alike, and names differ by case.
pub(super) fn is_table_function(name: &str) -> bool {
    source(name).is_some()
}

fn source(name: &str) -> Option<Source> {
    let known = catalog::table_function_name(name);
    SOURCES.iter().find(|(source, _)| *source == known).map(|(_, source)| *source)
}

/// Whether the table function is given a query.
pub(super) fn is_view(name: &str) -> bool {
    name.eq_ignore_ascii_case("view") || name.eq_ignore_ascii_case("viewIfPermitted")
}

/// What a table function reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Its own arguments and nothing else.
    Itself,
    /// Like that, with a structure as its first argument, which may hold expressions.
    Structure,
    /// `format(name, [structure,] data)`: data of the format Values is code.
    Data,
    /// The tables of a database that fit a pattern: `(database, pattern)`, `(pattern)`.
    Pattern(&'static str),
    /// Tables by `(database, table)`, `('database', 'table')`, `(database.table)`, from this argument on.
    Tables(usize, &'static str),
    /// `([database,] table, ...)` with so many arguments where the database is left out.
    Series(usize, &'static str),
    /// A dictionary by its name.
    Dictionary,
    /// SQL in a string.
    Text(&'static str),
    /// Something outside of the server.
    Outside(&'static str),
}

/// ClickHouse 26.9's table functions (`system.table_functions`) and what they reach.
const SOURCES: [(&str, Source); 95] = [
    ("SQLStandardValues", Source::Itself),
    ("arrowstream", Source::Outside("arrowstream")),
    ("arrowFlight", Source::Outside("arrowFlight")),
    ("azureBlobStorage", Source::Outside("azureBlobStorage")),
    ("azureBlobStorageCluster", Source::Outside("azureBlobStorageCluster")),
    ("bigquery", Source::Outside("bigquery")),
    ("cluster", Source::Tables(1, "cluster")),
    ("clusterAllReplicas", Source::Tables(1, "clusterAllReplicas")),
    ("cosn", Source::Outside("cosn")),
    ("deltaLake", Source::Outside("deltaLake")),
    ("deltaLakeAzure", Source::Outside("deltaLakeAzure")),
    ("deltaLakeAzureCluster", Source::Outside("deltaLakeAzureCluster")),
    ("deltaLakeCluster", Source::Outside("deltaLakeCluster")),
    ("deltaLakeLocal", Source::Outside("deltaLakeLocal")),
    ("deltaLakeS3", Source::Outside("deltaLakeS3")),
    ("deltaLakeS3Cluster", Source::Outside("deltaLakeS3Cluster")),
    ("dictionary", Source::Dictionary),
    ("eval", Source::Text("eval")),
    ("executable", Source::Outside("executable")),
    ("file", Source::Outside("file")),
    ("fileCluster", Source::Outside("fileCluster")),
    ("filesystem", Source::Outside("filesystem")),
    ("format", Source::Data),
    ("fuzzJSON", Source::Itself),
    ("fuzzQuery", Source::Itself),
    ("gcs", Source::Outside("gcs")),
    ("generateRandom", Source::Structure),
    ("generateSeries", Source::Itself),
    ("generate_series", Source::Itself),
    ("hdfs", Source::Outside("hdfs")),
    ("hdfsCluster", Source::Outside("hdfsCluster")),
    ("hudi", Source::Outside("hudi")),
    ("hudiCluster", Source::Outside("hudiCluster")),
    ("iceberg", Source::Outside("iceberg")),
    ("icebergAzure", Source::Outside("icebergAzure")),
    ("icebergAzureCluster", Source::Outside("icebergAzureCluster")),
    ("icebergCluster", Source::Outside("icebergCluster")),
    ("icebergHDFS", Source::Outside("icebergHDFS")),
    ("icebergHDFSCluster", Source::Outside("icebergHDFSCluster")),
    ("icebergLocal", Source::Outside("icebergLocal")),
    ("icebergLocalCluster", Source::Outside("icebergLocalCluster")),
    ("icebergS3", Source::Outside("icebergS3")),
    ("icebergS3Cluster", Source::Outside("icebergS3Cluster")),
    ("input", Source::Structure),
    ("jdbc", Source::Outside("jdbc")),
    ("loop", Source::Tables(0, "loop")),
    ("merge", Source::Pattern("merge")),
    ("mergeTreeAnalyzeIndexes", Source::Tables(0, "mergeTreeAnalyzeIndexes")),
    ("mergeTreeAnalyzeIndexesUUID", Source::Text("mergeTreeAnalyzeIndexesUUID")),
    ("mergeTreeCodecBlockCounts", Source::Tables(0, "mergeTreeCodecBlockCounts")),
    ("mergeTreeIndex", Source::Tables(0, "mergeTreeIndex")),
    ("mergeTreeProjection", Source::Tables(0, "mergeTreeProjection")),
    ("mergeTreeTextIndex", Source::Tables(0, "mergeTreeTextIndex")),
    ("mongodb", Source::Outside("mongodb")),
    ("mysql", Source::Outside("mysql")),
    ("null", Source::Structure),
    ("numbers", Source::Itself),
    ("numbers_mt", Source::Itself),
    ("odbc", Source::Outside("odbc")),
    ("oss", Source::Outside("oss")),
    ("paimon", Source::Outside("paimon")),
    ("paimonAzure", Source::Outside("paimonAzure")),
    ("paimonAzureCluster", Source::Outside("paimonAzureCluster")),
    ("paimonCluster", Source::Outside("paimonCluster")),
    ("paimonHDFS", Source::Outside("paimonHDFS")),
    ("paimonHDFSCluster", Source::Outside("paimonHDFSCluster")),
    ("paimonLocal", Source::Outside("paimonLocal")),
    ("paimonS3", Source::Outside("paimonS3")),
    ("paimonS3Cluster", Source::Outside("paimonS3Cluster")),
    ("postgresql", Source::Outside("postgresql")),
    ("primes", Source::Itself),
    ("prometheusQuery", Source::Series(3, "prometheusQuery")),
    ("prometheusQueryRange", Source::Series(5, "prometheusQueryRange")),
    ("python", Source::Outside("python")),
    ("redis", Source::Outside("redis")),
    ("remote", Source::Tables(1, "remote")),
    ("remoteSecure", Source::Tables(1, "remoteSecure")),
    ("s3", Source::Outside("s3")),
    ("s3Cluster", Source::Outside("s3Cluster")),
    ("sqlite", Source::Outside("sqlite")),
    ("timeSeriesData", Source::Series(1, "timeSeriesData")),
    ("timeSeriesMetricFamilies", Source::Series(1, "timeSeriesMetricFamilies")),
    ("timeSeriesMetrics", Source::Series(1, "timeSeriesMetrics")),
    ("timeSeriesSamples", Source::Series(1, "timeSeriesSamples")),
    ("timeSeriesSelector", Source::Series(4, "timeSeriesSelector")),
    ("timeSeriesTags", Source::Series(1, "timeSeriesTags")),
    ("url", Source::Outside("url")),
    ("urlCluster", Source::Outside("urlCluster")),
    ("values", Source::Structure),
    ("view", Source::Itself),
    ("viewExplain", Source::Itself),
    ("viewIfPermitted", Source::Itself),
    ("ytsaurus", Source::Outside("ytsaurus")),
    ("zeros", Source::Itself),
    ("zeros_mt", Source::Itself),
];

/// What an argument is, as far as it names something.
enum Shape {
    Text(String),
    Named(Name),
    /// Anything that is worked out when the statement runs.
    Other,
}

impl<'a> Cursor<'a> {
    /// Reports what the call of a function reaches by its arguments.
    pub(super) fn reach_by_call(&mut self, reaching: Reaching, arguments: &Arguments) {
        match reaching {
            Reaching::Dictionary => self.reach_name(arguments.first(), Via::Dictionary("dictGet")),
            Reaching::Join => self.reach_name(arguments.first(), Via::Table("joinGet")),
            Reaching::In => {
                if let Some(range) = arguments.get(1) {
                    self.at(range.clone(), |cursor| {
                        cursor.name_as_a_set("in");
                        Ok(())
                    });
                }
            }
            Reaching::Columns => {
                // Behind a host come its user and password.
                let begins = arguments.len().saturating_sub(3);
                self.reach_pair(arguments.get(begins), arguments.get(begins + 1), Via::Table("hasColumnInTable"));
            }
            Reaching::Function => match self.shape(arguments.first()) {
                // The text is SQL for ClickHouse, with subqueries among the parameters: a name and literals are let through.
                Shape::Text(text) => match aggregate_in(&text) {
                    Some(name) => self.touch(Touch::Function(name.to_owned().into())),
                    None => self.computed("a function in a string"),
                },
                Shape::Named(_) | Shape::Other => self.computed("a function in a string"),
            },
            Reaching::Named(via) => self.reach_name(arguments.first(), via),
            Reaching::Lambda => self.reach_function_by_name(arguments),
        }
    }

    /// `arrayMap(f, x)` calls `f` by its name alone.
    fn reach_function_by_name(&mut self, arguments: &Arguments) {
        let [first, _, ..] = arguments.as_slice() else { return };
        let (end, touched) = (first.end, self.mark());
        let name = self.at(first.clone(), |cursor| {
            let brackets = cursor.brackets_and_pluses();
            let name = cursor.identifier_or_parameter()?;
            for _ in 0..brackets {
                if cursor.take("AS") {
                    cursor.identifier_or_parameter()?;
                }
                cursor.close()?;
            }
            if cursor.take("AS") {
                cursor.identifier_or_parameter()?;
            }
            if cursor.position() == end { Ok(name) } else { Err(Stop) }
        });
        self.forget_since(touched);
        match name {
            Some(Some(name)) => self.touch(Touch::Function(name)),
            Some(None) => self.computed("a function by its name"),
            // A lambda, which was read as an expression.
            None => {}
        }
    }

    /// Reports what a table function reaches; one that ClickHouse does not have is a view with parameters.
    pub(super) fn reach_by_table_function(&mut self, name: &str, arguments: &Arguments) {
        let Some(source) = source(name) else {
            self.touch(Touch::Also(Name::split(name), Via::View("a view with parameters")));
            return;
        };
        match source {
            Source::Itself => {}
            Source::Structure => self.structure(arguments.first()),
            Source::Data => self.data_of_a_format(arguments),
            Source::Series(arity, via) if arguments.len() > arity => self.reach_pair(arguments.first(), arguments.get(1), Via::Table(via)),
            Source::Series(_, via) => match self.shape(arguments.first()) {
                // Here a string is not split.
                Shape::Text(text) => self.touch(Touch::Also(Name::bare(text), Via::Table(via))),
                Shape::Named(name) => self.touch(Touch::Also(name, Via::Table(via))),
                Shape::Other => self.computed(via),
            },
            Source::Pattern(via) => self.reach_pattern(arguments, via),
            Source::Tables(first, via) => self.reach_tables(arguments, first, via),
            Source::Dictionary => self.reach_name(arguments.first(), Via::Dictionary("dictionary")),
            Source::Text(via) => self.computed(via),
            Source::Outside(via) => self.reach_outside(arguments.first(), via),
        }
    }

    /// Reads what stands at these tokens, and comes back.
    fn at<T>(&mut self, range: Range<usize>, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Option<T> {
        let here = self.position();
        self.go_to(range.start);
        let result = read(self);
        self.go_to(here);
        result.ok()
    }

    fn shape(&mut self, range: Option<&Range<usize>>) -> Shape {
        let Some(range) = range.cloned() else { return Shape::Other };
        let touched = self.mark();
        let end = range.end;
        let shape = self.at(range, |cursor| {
            let shape = cursor.shape_here()?;
            if cursor.position() == end { Ok(shape) } else { Err(Stop) }
        });
        self.forget_since(touched);
        shape.unwrap_or(Shape::Other)
    }

    fn shape_here(&mut self) -> Parsed<Shape> {
        match self.kind() {
            Kind::StringLiteral | Kind::HereDoc => self.string_text().map(Shape::Text),
            Kind::BareWord | Kind::QuotedIdentifier => self.named_shape(),
            Kind::OpeningCurlyBrace => self.shape_of_a_parameter(),
            _ => Ok(Shape::Other),
        }
    }

    /// A name; one with a dot in it is split there, as a string would be.
    fn named_shape(&mut self) -> Parsed<Shape> {
        let path = self.path()?;
        let Some(name) = path.name() else { return Ok(Shape::Other) };
        self.named_arguments.push((name.to_string(), "the name of an expression"));
        Ok(Shape::Named(if name.database.is_none() { Name::split(&name.table) } else { name }))
    }

    /// A parameter is as good as a literal where the request has its value, and the value has nothing that ClickHouse
    /// would decode: a text has no backslash, a number is no name.
    fn shape_of_a_parameter(&mut self) -> Parsed<Shape> {
        let (name, kind) = (self.word_at(1), self.word_at(3));
        if kind == "Identifier" {
            return self.named_shape();
        }
        let value = self.parameter(name).filter(|value| kind == "String" && !value.contains('\\'));
        self.parameter_value()?;
        Ok(value.map_or(Shape::Other, |value| Shape::Text(value.to_owned())))
    }

    /// A name by one argument: a string is split at its dot.
    fn reach_name(&mut self, range: Option<&Range<usize>>, via: Via) {
        match self.shape(range) {
            Shape::Text(text) => self.touch(Touch::Also(Name::split(&text), via)),
            Shape::Named(name) => self.touch(Touch::Also(name, via)),
            Shape::Other => self.computed(via.word()),
        }
    }

    /// A name by two arguments.
    fn reach_pair(&mut self, database: Option<&Range<usize>>, table: Option<&Range<usize>>, via: Via) {
        let (database, table) = (self.shape(database).one(), self.shape(table).one());
        match (database, table) {
            (Some(database), Some(table)) => self.touch(Touch::Also(Name::of(database, table), via)),
            _ => self.computed(via.word()),
        }
    }

    fn reach_outside(&mut self, range: Option<&Range<usize>>, via: &'static str) {
        match self.shape(range) {
            Shape::Text(text) => self.touch(Touch::Also(Name::bare(text), Via::Outside(via))),
            Shape::Named(name) => self.touch(Touch::Also(name, Via::Outside(via))),
            Shape::Other => {
                self.touch(Touch::Also(Name::bare(""), Via::Outside(via)));
                self.computed(via);
            }
        }
    }

    fn reach_pattern(&mut self, arguments: &Arguments, via: &'static str) {
        match (arguments.as_slice(), self.shape(arguments.first()), self.shape(arguments.get(1))) {
            ([_], Shape::Text(pattern), _) => self.touch(Touch::Also(Name::bare(pattern), Via::Database(via))),
            ([_, _, ..], database, Shape::Text(pattern)) => match database.one() {
                Some(database) => self.touch(Touch::Also(Name::of(database, pattern), Via::Database(via))),
                None => self.computed(via),
            },
            _ => self.computed(via),
        }
    }

    /// `database, table` or `database.table` behind `first` arguments of another kind, which name a server or cluster.
    fn reach_tables(&mut self, arguments: &Arguments, first: usize, via: &'static str) {
        if first > 0 {
            self.reach_outside(arguments.first(), via);
            // Alone it is system.one.
            if arguments.len() <= first {
                return;
            }
        }
        match self.shape(arguments.get(first)) {
            Shape::Named(name) if name.database.is_some() => self.touch(Touch::Also(name, Via::Table(via))),
            Shape::Text(text) if arguments.len() == first + 1 => self.touch(Touch::Also(Name::split(&text), Via::Table(via))),
            Shape::Named(name) if arguments.len() == first + 1 => self.touch(Touch::Also(name, Via::Table(via))),
            Shape::Text(_) | Shape::Named(_) => self.reach_pair(arguments.get(first), arguments.get(first + 1), Via::Table(via)),
            // `remote('host', numbers(3))` and `cluster('name', view(SELECT ...))`: what is called is reported there.
            Shape::Other if arguments.get(first).is_some_and(|range| self.is_a_table_function(range.clone())) => {}
            Shape::Other => self.computed(via),
        }
    }

    fn is_a_table_function(&mut self, range: Range<usize>) -> bool {
        self.at(range, |cursor| if cursor.call_follows() { cursor.call_name() } else { Err(Stop) }).is_some_and(|name| is_table_function(&name))
    }

    /// A structure is names and types; more than that is code that runs with the statement.
    fn structure(&mut self, range: Option<&Range<usize>>) {
        match (range, self.shape(range)) {
            (None, _) => {}
            (Some(_), Shape::Text(text)) if super::structure(&text).is_some() => {}
            // A row of values, and not the text of a structure worked out.
            (Some(range), Shape::Other) if self.is_a_row(range.clone()) => {}
            (Some(_), Shape::Text(_) | Shape::Named(_) | Shape::Other) => self.computed("a structure"),
        }
    }

    /// Whether these tokens are a number, or a tuple or array of literals.
    fn is_a_row(&mut self, range: Range<usize>) -> bool {
        let end = range.end;
        self.at(range, |cursor| {
            let (mut literals, mut commas, mut numbers) = (true, 0, 0);
            while cursor.position() < end {
                match cursor.kind() {
                    Kind::Number => numbers += 1,
                    Kind::Comma => commas += 1,
                    Kind::StringLiteral
                    | Kind::Minus
                    | Kind::OpeningRoundBracket
                    | Kind::ClosingRoundBracket
                    | Kind::OpeningSquareBracket
                    | Kind::ClosingSquareBracket => {}
                    Kind::BareWord if ["true", "false", "null"].iter().any(|word| cursor.word_at(0).eq_ignore_ascii_case(word)) => {}
                    _ => literals = false,
                }
                cursor.advance();
            }
            Ok(literals && (commas > 0 || numbers > 0))
        })
        .unwrap_or(false)
    }

    fn data_of_a_format(&mut self, arguments: &Arguments) {
        let name = self.shape(arguments.first()).one();
        if arguments.len() > 2 {
            self.structure(arguments.get(1));
        }
        let data = matches!(self.shape(arguments.last()), Shape::Text(_));
        match name {
            Some(name) if data && !name.eq_ignore_ascii_case("Values") => self.touch(Touch::Format(name.into())),
            Some(_) | None => self.computed("format"),
        }
    }
}

/// The aggregate function in a text such as `quantile(0.5)`, where its parameters are literals.
fn aggregate_in(text: &str) -> Option<&str> {
    let (name, parameters) = text.split_once('(').map_or((text, None), |(name, rest)| (name, Some(rest)));
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let literal = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | ' ' | '-' | 'e');
    let closed = parameters.is_none_or(|rest| rest.strip_suffix(')').is_some_and(|rest| rest.chars().all(literal)));
    (plain && closed).then_some(name)
}

impl Shape {
    /// A name of one part.
    fn one(self) -> Option<String> {
        match self {
            Shape::Text(text) => Some(text),
            Shape::Named(Name { database: None, table }) => Some(table),
            Shape::Named(_) | Shape::Other => None,
        }
    }
}
