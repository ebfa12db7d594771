//! `SYSTEM ...`: every command by its words and by what stands behind them.

use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::cursor::{Cursor, Parsed, Touch};
use super::{Effect, Is};

/// What stands behind the words of a command, piece by piece.
#[derive(Clone, Copy)]
enum Piece {
    /// `[ON CLUSTER c]`
    Cluster,
    Table,
    MaybeTable,
    /// A table, or its name in a string.
    TableOrText,
    Database,
    /// The name of something else, or a string.
    Named(&'static str),
    Text,
    Texts,
    Number,
    /// A name of no object.
    Word,
    Must(&'static str),
    /// One of these words or none.
    May(&'static [&'static str]),
    /// If these words stand here, the pieces behind them.
    Then(&'static str, &'static [Piece]),
    /// If a string stands here, the pieces behind it.
    ThenText(&'static [Piece]),
    /// One of these words, and the pieces behind it.
    One(&'static [(&'static str, &'static [Piece])]),
    Settings,
    /// `[table, ...]`, of `system` where no database is said.
    Logs,
    /// `ON VOLUME policy.volume`, or `[ON CLUSTER c]` and one of that and a table.
    VolumeOrTable,
    /// `protocol [EXCEPT protocol, ...]`
    Protocols,
    /// `S3(...)`
    Backup,
    /// `'function' LOG|SLEEP|PROFILE ...`
    Instrument,
    /// `ALL`, a literal, or a query in brackets.
    Instrumented,
}

type Command = (&'static str, &'static [Piece]);

const ON_CLUSTER: &[Piece] = &[Piece::Cluster];
const TABLE: &[Piece] = &[Piece::Table];
const CLUSTER_TABLE: &[Piece] = &[Piece::Cluster, Piece::Table];
const CLUSTER_MAYBE_TABLE: &[Piece] = &[Piece::Cluster, Piece::MaybeTable];
const DISK: &[Piece] = &[Piece::Cluster, Piece::Named("DISK"), Piece::Cluster];
const DICTIONARY: &[Piece] = &[Piece::Cluster, Piece::TableOrText, Piece::Cluster];
const FROM_SHARD: Piece = Piece::Then("FROM SHARD", &[Piece::Text]);

/// Behind CLEAR and DROP.
const CACHES: [Command; 29] = [
    ("DNS CACHE", ON_CLUSTER),
    ("CONNECTIONS CACHE", ON_CLUSTER),
    ("MARK CACHE", ON_CLUSTER),
    ("PRIMARY INDEX CACHE", ON_CLUSTER),
    ("UNCOMPRESSED CACHE", ON_CLUSTER),
    ("INDEX MARK CACHE", ON_CLUSTER),
    ("INDEX UNCOMPRESSED CACHE", ON_CLUSTER),
    ("VECTOR SIMILARITY INDEX CACHE", ON_CLUSTER),
    ("TEXT INDEX TOKENS CACHE", ON_CLUSTER),
    ("TEXT INDEX HEADER CACHE", ON_CLUSTER),
    ("TEXT INDEX POSTINGS CACHE", ON_CLUSTER),
    ("TEXT INDEX CACHES", ON_CLUSTER),
    ("MMAP CACHE", ON_CLUSTER),
    ("QUERY CONDITION CACHE", ON_CLUSTER),
    ("ENCRYPTION HEADERS CACHE", ON_CLUSTER),
    ("QUERY CACHE", &[Piece::Then("TAG", &[Piece::Text]), Piece::Cluster]),
    ("COMPILED EXPRESSION CACHE", ON_CLUSTER),
    ("ICEBERG METADATA CACHE", ON_CLUSTER),
    ("PAIMON METADATA CACHE", ON_CLUSTER),
    ("PARQUET METADATA CACHE", ON_CLUSTER),
    ("POINT IN POLYGON CACHE", ON_CLUSTER),
    ("FILESYSTEM CACHE", &[Piece::ThenText(&[Piece::Then("KEY", &[Piece::Word, Piece::Then("OFFSET", &[Piece::Number])])]), Piece::Cluster]),
    ("DISTRIBUTED CACHE", &[Piece::May(&["CONNECTIONS"]), Piece::ThenText(&[]), Piece::Cluster]),
    ("DISK METADATA CACHE", DISK),
    ("PAGE CACHE", ON_CLUSTER),
    ("SCHEMA CACHE", &[Piece::Then("FOR", &[Piece::One(&[("FILE", &[]), ("S3", &[]), ("HDFS", &[]), ("URL", &[]), ("AZURE", &[])])])]),
    ("FORMAT SCHEMA CACHE", &[Piece::Then("FOR", &[Piece::One(&[("PROTOBUF", &[]), ("FILES", &[])])])]),
    ("AVRO SCHEMA CACHE", ON_CLUSTER),
    ("S3 CLIENT CACHE", ON_CLUSTER),
];

/// Behind STOP and START.
const STOPPED: [Command; 18] = [
    ("LISTEN", &[Piece::Cluster, Piece::Protocols]),
    ("MERGES", &[Piece::VolumeOrTable]),
    ("TTL MERGES", CLUSTER_MAYBE_TABLE),
    ("FETCHES", CLUSTER_MAYBE_TABLE),
    ("MOVES", CLUSTER_MAYBE_TABLE),
    ("REPLICATED SENDS", CLUSTER_MAYBE_TABLE),
    ("REPLICATION QUEUES", CLUSTER_MAYBE_TABLE),
    ("REPLICATED DDL QUERIES", ON_CLUSTER),
    ("DISTRIBUTED SENDS", &[Piece::Cluster, Piece::MaybeTable, Piece::Cluster]),
    ("THREAD FUZZER", ON_CLUSTER),
    ("PULLING REPLICATION LOG", CLUSTER_MAYBE_TABLE),
    ("CLEANUP", CLUSTER_MAYBE_TABLE),
    ("VIEW", TABLE),
    ("VIEWS", &[]),
    ("REPLICATED VIEW", TABLE),
    ("VIRTUAL PARTS UPDATE", CLUSTER_MAYBE_TABLE),
    ("REDUCE BLOCKING PARTS", CLUSTER_MAYBE_TABLE),
    ("ALL BACKGROUND", &[]),
];

const COMMANDS: [Command; 69] = [
    ("SHUTDOWN", ON_CLUSTER),
    ("KILL", ON_CLUSTER),
    ("SUSPEND", &[Piece::Cluster, Piece::Must("FOR"), Piece::Number, Piece::Must("SECOND")]),
    ("PREWARM MARK CACHE", CLUSTER_TABLE),
    ("PREWARM PRIMARY INDEX CACHE", CLUSTER_TABLE),
    ("RESTART REPLICAS", ON_CLUSTER),
    ("RESTART REPLICA", CLUSTER_TABLE),
    ("RESTORE REPLICA", &[Piece::Cluster, Piece::Table, Piece::Cluster]),
    ("RESTORE DATABASE REPLICA", &[Piece::Cluster, Piece::Database]),
    ("WAIT LOADING PARTS", CLUSTER_TABLE),
    ("WAIT QUERY RUNNER", CLUSTER_TABLE),
    (
        "DROP REPLICA",
        &[
            Piece::Cluster,
            Piece::Text,
            FROM_SHARD,
            Piece::Then("FROM", &[Piece::One(&[("DATABASE", &[Piece::Database]), ("TABLE", &[Piece::MaybeTable]), ("ZKPATH", &[Piece::Text])])]),
        ],
    ),
    (
        "DROP DATABASE REPLICA",
        &[
            Piece::Cluster,
            Piece::Text,
            FROM_SHARD,
            Piece::Then("FROM", &[Piece::One(&[("DATABASE", &[Piece::Database]), ("ZKPATH", &[Piece::Text])]), Piece::May(&["WITH TABLES"])]),
        ],
    ),
    ("DROP CATALOG REPLICA", &[Piece::Text]),
    ("JEMALLOC PURGE", ON_CLUSTER),
    ("JEMALLOC ENABLE PROFILE", ON_CLUSTER),
    ("JEMALLOC DISABLE PROFILE", ON_CLUSTER),
    ("JEMALLOC FLUSH PROFILE", ON_CLUSTER),
    (
        "SYNC REPLICA",
        &[
            Piece::Cluster,
            Piece::Table,
            Piece::May(&["IF EXISTS"]),
            Piece::May(&["STRICT", "PULL"]),
            Piece::Then("LIGHTWEIGHT", &[Piece::Then("FROM", &[Piece::Texts])]),
        ],
    ),
    ("SYNC DATABASE REPLICA", &[Piece::Cluster, Piece::Database, Piece::May(&["STRICT"])]),
    ("SYNC TRANSACTION LOG", ON_CLUSTER),
    ("SYNC FILE CACHE", ON_CLUSTER),
    ("SYNC FILESYSTEM CACHE", &[Piece::ThenText(&[]), Piece::Cluster]),
    ("SYNC MERGES", CLUSTER_MAYBE_TABLE),
    ("REPLICA READY", ON_CLUSTER),
    ("REPLICA UNREADY", ON_CLUSTER),
    ("RELOAD DICTIONARY", DICTIONARY),
    ("RELOAD DICTIONARIES", ON_CLUSTER),
    ("UNLOAD DICTIONARY", DICTIONARY),
    ("UNLOAD DICTIONARIES", ON_CLUSTER),
    ("RELOAD FUNCTION", &[Piece::Cluster, Piece::Named("FUNCTION"), Piece::Cluster]),
    ("RELOAD FUNCTIONS", ON_CLUSTER),
    ("RELOAD EMBEDDED DICTIONARIES", ON_CLUSTER),
    ("RELOAD CONFIG", ON_CLUSTER),
    ("RELOAD USERS", ON_CLUSTER),
    ("RELOAD ASYNCHRONOUS METRICS", ON_CLUSTER),
    ("RELOAD DELTA KERNEL TRACING", &[Piece::Word]),
    ("RESTART DISK", DISK),
    ("FLUSH LOGS", &[Piece::Cluster, Piece::Logs]),
    ("FLUSH DISTRIBUTED", &[Piece::Cluster, Piece::Table, Piece::Cluster, Piece::Then("SETTINGS", &[Piece::Settings])]),
    ("FLUSH ASYNC INSERT QUEUE", &[Piece::Cluster, Piece::Logs]),
    ("FLUSH OBJECT STORAGE QUEUE", &[Piece::Cluster, Piece::Table, Piece::Cluster, Piece::Must("PATH"), Piece::Text]),
    ("UNFREEZE", &[Piece::Must("WITH NAME"), Piece::Text]),
    ("ENABLE FAILPOINT", &[Piece::Word]),
    ("DISABLE FAILPOINT", &[Piece::Word]),
    ("NOTIFY FAILPOINT", &[Piece::Word]),
    ("WAIT FAILPOINT", &[Piece::Word, Piece::May(&["PAUSE", "RESUME"])]),
    ("ALLOCATE MEMORY", &[Piece::Number]),
    ("FREE MEMORY", &[]),
    ("SCHEDULE MERGE", &[Piece::Cluster, Piece::Table, Piece::Must("PARTS"), Piece::Texts]),
    ("RESET COVERAGE", ON_CLUSTER),
    ("SET COVERAGE TEST", &[Piece::ThenText(&[])]),
    ("REFRESH VIEW", TABLE),
    ("WAIT VIEW", TABLE),
    ("PAUSE VIEW", TABLE),
    ("PAUSE VIEWS", &[]),
    ("CANCEL VIEW", TABLE),
    ("TEST VIEW", &[Piece::Table, Piece::One(&[("SET FAKE TIME", &[Piece::Text]), ("UNSET FAKE TIME", &[])])]),
    ("LOAD PRIMARY KEY", &[Piece::Cluster, Piece::MaybeTable, Piece::Cluster]),
    ("UNLOAD PRIMARY KEY", &[Piece::Cluster, Piece::MaybeTable, Piece::Cluster]),
    ("UNLOCK SNAPSHOT", &[Piece::Text, Piece::Then("FROM", &[Piece::Backup])]),
    ("RECONNECT ZOOKEEPER", ON_CLUSTER),
    ("WAIT BLOBS CLEANUP", DISK),
    ("INSTRUMENT ADD", &[Piece::Instrument]),
    ("INSTRUMENT REMOVE", &[Piece::Instrumented]),
    ("RESET DDL WORKER", ON_CLUSTER),
    ("PAUSE ALL BACKGROUND", &[]),
    ("CANCEL ALL BACKGROUND", &[]),
    ("REFRESH ALL BACKGROUND", &[]),
];

/// Words before a table whose work in the background they are about; what is said above comes first.
const BACKGROUND: [&str; 5] = ["STOP", "START", "PAUSE", "CANCEL", "REFRESH"];

/// The longer before its own beginning.
const PROTOCOLS: [&str; 17] = [
    "TCP WITH PROXY",
    "TCP SECURE",
    "TCP SSH",
    "TCP",
    "HTTPS",
    "HTTP",
    "MYSQL",
    "GRPC",
    "ARROW FLIGHT",
    "POSTGRESQL",
    "PROMETHEUS",
    "INTERSERVER HTTPS",
    "INTERSERVER HTTP",
    "QUERIES ALL",
    "QUERIES DEFAULT",
    "QUERIES CUSTOM",
    "CLOUD",
];

impl Cursor<'_> {
    /// `SYSTEM ...`
    pub(super) fn system(&mut self) -> Parsed<Is> {
        self.keyword("SYSTEM")?;
        let Some(pieces) = self.command() else {
            return self.expected("a command of SYSTEM, such as FLUSH LOGS");
        };
        self.pieces(pieces)?;
        Ok(Is { effect: Effect::Administer, node: "SYSTEM query" })
    }

    /// Takes the words of a command.
    fn command(&mut self) -> Option<&'static [Piece]> {
        self.command_of(&["CLEAR", "DROP"], &CACHES)
            .or_else(|| self.command_of(&["STOP", "START"], &STOPPED))
            .or_else(|| COMMANDS.iter().find(|(words, _)| self.take(words)).map(|(_, pieces)| *pieces))
            .or_else(|| self.take_any(&BACKGROUND).map(|_| TABLE))
    }

    fn command_of(&mut self, verbs: &[&'static str], commands: &'static [Command]) -> Option<&'static [Piece]> {
        let mark = self.mark();
        self.take_any(verbs)?;
        let command = commands.iter().find(|(words, _)| self.take(words));
        if command.is_none() {
            self.back_to(mark);
        }
        command.map(|(_, pieces)| *pieces)
    }

    fn pieces(&mut self, pieces: &[Piece]) -> Parsed {
        pieces.iter().try_for_each(|piece| self.piece(*piece))
    }

    fn piece(&mut self, piece: Piece) -> Parsed {
        match piece {
            Piece::Cluster => self.perhaps_on_cluster(),
            Piece::Table => self.target_of_two_parts(),
            Piece::MaybeTable if self.at_name_or_parameter() => self.target_of_two_parts(),
            Piece::TableOrText => self.table_or_text(),
            Piece::Database => self.database_target("SYSTEM"),
            Piece::Named(what) => self.other(what),
            Piece::Text => self.string().map(drop),
            Piece::Texts => self.list(|cursor| cursor.string().map(drop)),
            Piece::Number => self.token(Kind::Number, "a number"),
            Piece::Word => self.identifier().map(drop),
            Piece::Must(word) => self.keyword(word),
            Piece::May(words) => {
                self.take_any(words);
                Ok(())
            }
            Piece::Then(words, pieces) if self.take(words) => self.pieces(pieces),
            Piece::ThenText(pieces) if self.at_string() => {
                self.string()?;
                self.pieces(pieces)
            }
            Piece::MaybeTable | Piece::Then(_, _) | Piece::ThenText(_) => Ok(()),
            Piece::One(words) => match words.iter().find(|(word, _)| self.take(word)) {
                Some((_, pieces)) => self.pieces(pieces),
                None => self.expected("one of the words that the command knows"),
            },
            Piece::Settings => self.settings(),
            Piece::Logs => self.logs(),
            Piece::VolumeOrTable => self.volume_or_table(),
            Piece::Protocols => self.protocols(),
            Piece::Backup => self.backup_place("SYSTEM"),
            Piece::Instrument => self.instrument(),
            Piece::Instrumented => self.instrumented(),
        }
    }

    fn table_or_text(&mut self) -> Parsed {
        if !self.at_string() {
            return self.target_of_two_parts();
        }
        let name = self.string_text()?;
        self.touch(Touch::Target(Name::split(&name)));
        Ok(())
    }

    fn at_name_or_parameter(&mut self) -> bool {
        self.at_identifier() || self.kind() == Kind::OpeningCurlyBrace
    }

    fn logs(&mut self) -> Parsed {
        if !self.at_name_or_parameter() {
            return Ok(());
        }
        self.list(|cursor| {
            let path = cursor.path()?;
            match path.name() {
                Some(_) if path.parts.len() > 2 => return cursor.expected("a name of one part or two"),
                Some(name) => cursor.touch(Touch::Also(name, Via::Table("SYSTEM FLUSH"))),
                None => cursor.computed("SYSTEM FLUSH"),
            }
            Ok(())
        })
    }

    fn volume_or_table(&mut self) -> Parsed {
        if !self.at_word("ON VOLUME") {
            self.perhaps_on_cluster()?;
        }
        if !self.take("ON VOLUME") {
            return self.piece(Piece::MaybeTable);
        }
        self.other("STORAGE POLICY")?;
        self.token(Kind::Dot, ".")?;
        self.identifier().map(drop)
    }

    fn protocols(&mut self) -> Parsed {
        let several = self.at_word("QUERIES");
        self.protocol()?;
        if several && self.take("EXCEPT") { self.list(Self::protocol) } else { Ok(()) }
    }

    fn protocol(&mut self) -> Parsed {
        if self.take("CUSTOM") {
            return self.string().map(drop);
        }
        match self.take_any(&PROTOCOLS) {
            Some(_) => Ok(()),
            None => self.expected("a protocol, such as HTTP"),
        }
    }

    fn instrument(&mut self) -> Parsed {
        self.literal_text()?;
        if self.take("PROFILE") {
            return Ok(());
        }
        if self.take_any(&["LOG", "SLEEP"]).is_none() {
            return self.expected("LOG, SLEEP or PROFILE");
        }
        if self.take_any(&["ENTRY", "EXIT"]).is_none() {
            return self.expected("ENTRY or EXIT");
        }
        self.literal_text()?;
        while self.at_string() || self.kind() == Kind::Number {
            self.literal_text()?;
        }
        Ok(())
    }

    fn instrumented(&mut self) -> Parsed {
        if self.take("ALL") {
            return Ok(());
        }
        if self.kind() != Kind::OpeningRoundBracket {
            return self.literal_text().map(drop);
        }
        self.open()?;
        self.query()?;
        self.close()
    }
}
