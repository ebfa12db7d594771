//! CREATE of what is neither table nor view nor database: functions, indexes, handlers, workloads, collections.

use super::super::lexer::Kind;
use super::super::reach::{Name, Via};
use super::create::Beginning;
use super::cursor::{Cursor, Parsed, Touch};
use super::{Effect, Is};

impl Cursor<'_> {
    /// Behind CREATE [OR REPLACE].
    pub(super) fn create_another_object(&mut self, beginning: Beginning) -> Parsed<Is> {
        let administer = |node| Is { effect: Effect::Administer, node };
        if self.take("WORKLOAD") {
            return self.create_workload(beginning).map(|()| administer("CreateWorkloadQuery"));
        }
        if self.take("RESOURCE") {
            return self.create_resource(beginning).map(|()| administer("CreateResourceQuery"));
        }
        if beginning.replace {
            return self.expected("an object that can be replaced");
        }
        if self.take("NAMED COLLECTION") {
            return self.create_named_collection().map(|()| administer("CreateNamedCollectionQuery"));
        }
        if self.take("HANDLER") {
            self.take("IF NOT EXISTS");
            return self.handler(true).map(|()| administer("CreateHandlerQuery"));
        }
        if self.take("HYPOTHETICAL") {
            return self.create_hypothetical();
        }
        self.take("UNIQUE");
        self.keyword("INDEX")?;
        self.create_index(true)?;
        Ok(Is { effect: Effect::Define, node: "CreateIndexQuery" })
    }

    /// An object that is the statement's, and no table.
    pub(super) fn object_as_target(&mut self, what: &'static str) -> Parsed {
        let name = self.identifier()?;
        self.touch(Touch::Target(Name::bare(name.as_ref())));
        self.touch(Touch::Also(Name::bare(name), Via::Other(what)));
        Ok(())
    }

    /// Behind INDEX: `[IF NOT EXISTS] name ON table expr [TYPE type] [GRANULARITY n]`.
    fn create_index(&mut self, on_a_cluster: bool) -> Parsed {
        self.take("IF NOT EXISTS");
        self.identifier()?;
        self.keyword("ON")?;
        self.target_of_two_parts()?;
        if on_a_cluster {
            self.perhaps_on_cluster()?;
        }
        if self.kind() == Kind::OpeningRoundBracket {
            self.open()?;
            self.order_by_list()?;
            self.close()?;
        } else {
            self.expression()?;
        }
        if self.take("TYPE") {
            self.name_with_arguments()?;
        }
        self.granularity()
    }

    /// Behind HYPOTHETICAL: an index or a projection that only the session's EXPLAIN sees.
    fn create_hypothetical(&mut self) -> Parsed<Is> {
        if self.take("INDEX") {
            self.create_index(false)?;
            return Ok(Is { effect: Effect::Session, node: "CreateHypotheticalIndexQuery" });
        }
        self.keyword("PROJECTION")?;
        self.take("IF NOT EXISTS");
        self.identifier()?;
        self.keyword("ON")?;
        self.target_of_two_parts()?;
        self.projection()?;
        Ok(Is { effect: Effect::Session, node: "CreateHypotheticalProjectionQuery" })
    }

    /// Behind FUNCTION: an expression, a module of WebAssembly, or code for a driver.
    pub(super) fn create_function(&mut self, beginning: Beginning) -> Parsed<Is> {
        self.unless_it_exists(beginning);
        self.object_as_target("FUNCTION")?;
        self.perhaps_on_cluster()?;
        let node = if !beginning.attach && self.take("AS") {
            self.expression()?;
            "CreateSQLFunctionQuery"
        } else if !beginning.attach && self.take("LANGUAGE") {
            self.function_of_a_module()?;
            "CreateWasmFunctionQuery"
        } else {
            self.function_of_a_driver()?;
            "CreateFunctionWithDriverQuery"
        };
        Ok(Is { effect: Effect::Define, node })
    }

    /// `WASM FROM 'module' [:: 'function'] ARGUMENTS (...) RETURNS type ...`.
    fn function_of_a_module(&mut self) -> Parsed {
        if self.identifier()? != "WASM" {
            return self.expected("WASM");
        }
        let found = self.once_each(&[
            ("ARGUMENTS", Self::arguments_of_a_new_function),
            ("RETURNS", Self::data_type),
            ("FROM", Self::module),
            ("ABI", |cursor| cursor.identifier().map(drop)),
            ("SHA256_HASH", |cursor| cursor.string().map(drop)),
            ("DETERMINISTIC", |_| Ok(())),
        ])?;
        if found & 0b111 != 0b111 {
            return self.expected("ARGUMENTS, RETURNS and FROM");
        }
        if self.take("SETTINGS") {
            self.list(|cursor| cursor.setting(false))?;
        }
        Ok(())
    }

    fn module(&mut self) -> Parsed {
        let module = self.string_text()?;
        self.touch(Touch::Also(Name::bare(module), Via::Other("WASM MODULE")));
        if self.eat(Kind::DoubleColon) {
            self.string()?;
        }
        Ok(())
    }

    /// `(name Type, ...)` or `(Type, ...)`.
    fn arguments_of_a_new_function(&mut self) -> Parsed {
        self.open()?;
        if self.eat(Kind::ClosingRoundBracket) {
            return Ok(());
        }
        let named = matches!(self.kind_at(1), Kind::BareWord | Kind::QuotedIdentifier);
        self.list(|cursor| {
            if named {
                cursor.identifier()?;
            }
            cursor.data_type()
        })?;
        self.close()
    }

    /// `[ARGUMENTS (...)] [RETURNS type] ENGINE = driver[(key = literal, ...)] AS 'code'`.
    fn function_of_a_driver(&mut self) -> Parsed {
        if self.take("ARGUMENTS") {
            self.arguments_of_a_new_function()?;
        }
        if self.take("RETURNS") {
            self.data_type()?;
        }
        self.keyword("ENGINE")?;
        self.eat(Kind::Equals);
        self.other("ENGINE")?;
        if self.eat(Kind::OpeningRoundBracket) && !self.eat(Kind::ClosingRoundBracket) {
            self.list(|cursor| {
                cursor.identifier()?;
                cursor.token(Kind::Equals, "=")?;
                cursor.literal_text().map(drop)
            })?;
            self.close()?;
        }
        self.keyword("AS")?;
        self.string().map(drop)
    }

    /// Behind WORKLOAD: `name [IN parent] [SETTINGS name = value [FOR resource], ...]`.
    fn create_workload(&mut self, beginning: Beginning) -> Parsed {
        self.unless_it_exists(beginning);
        self.object_as_target("WORKLOAD")?;
        self.perhaps_on_cluster()?;
        if self.take("IN") {
            let parent = self.identifier()?;
            self.touch(Touch::Also(Name::bare(parent), Via::Other("WORKLOAD")));
        }
        if self.take("SETTINGS") {
            self.list(Self::setting_of_a_workload)?;
        }
        Ok(())
    }

    fn setting_of_a_workload(&mut self) -> Parsed {
        self.setting(false)?;
        if self.take("FOR") {
            let resource = self.identifier()?;
            self.touch(Touch::Also(Name::bare(resource), Via::Other("RESOURCE")));
        }
        Ok(())
    }

    /// Behind RESOURCE: `name (READ DISK disk, WRITE ANY DISK, QUERY, ...)`.
    fn create_resource(&mut self, beginning: Beginning) -> Parsed {
        self.unless_it_exists(beginning);
        self.object_as_target("RESOURCE")?;
        self.perhaps_on_cluster()?;
        self.bracketed(|cursor| match cursor.take_any(&["READ", "WRITE", "MASTER THREAD", "WORKER THREAD", "QUERY", "MEMORY RESERVATION"]) {
            Some("READ" | "WRITE") if cursor.take("ANY") => cursor.keyword("DISK"),
            Some("READ" | "WRITE") => {
                cursor.keyword("DISK")?;
                cursor.identifier().map(drop)
            }
            Some(_) => Ok(()),
            None => cursor.expected("READ, WRITE, MASTER THREAD, WORKER THREAD, QUERY or MEMORY RESERVATION"),
        })
    }

    /// Behind NAMED COLLECTION: `name AS key = value [[NOT] OVERRIDABLE], ...`.
    fn create_named_collection(&mut self) -> Parsed {
        self.take("IF NOT EXISTS");
        self.object_as_target("NAMED COLLECTION")?;
        self.perhaps_on_cluster()?;
        self.keyword("AS")?;
        self.list(Self::value_of_a_collection)
    }

    /// `key = value [[NOT] OVERRIDABLE]`. It is no setting, and may be a password: only what else it reaches is kept.
    fn value_of_a_collection(&mut self) -> Parsed {
        let before = self.touched.len();
        self.setting(false)?;
        let read = self.touched.split_off(before);
        self.touched.extend(read.into_iter().filter(|touch| !matches!(touch, Touch::Setting(..))));
        if !self.take("NOT OVERRIDABLE") {
            self.take("OVERRIDABLE");
        }
        Ok(())
    }

    /// Behind ALTER NAMED COLLECTION.
    pub(super) fn alter_named_collection(&mut self) -> Parsed {
        self.take("IF EXISTS");
        self.object_as_target("NAMED COLLECTION")?;
        self.perhaps_on_cluster()?;
        if self.take("SET") {
            self.list(Self::value_of_a_collection)?;
        }
        if self.take("DELETE") {
            self.list(|cursor| cursor.identifier().map(drop))?;
        }
        Ok(())
    }

    /// Behind CREATE HANDLER [IF NOT EXISTS] and ALTER HANDLER: an address, and the statement that answers it.
    pub(super) fn handler(&mut self, must_have_address: bool) -> Parsed {
        self.object_as_target("HANDLER")?;
        self.perhaps_on_cluster()?;
        if self.take("PROTOCOL") && !self.take("ANY") {
            self.identifier()?;
        }
        let addressed = self.take("URL");
        if addressed {
            self.take_any(&["PREFIX", "REGEXP"]);
            self.string()?;
        } else if must_have_address {
            return self.expected("URL");
        }
        if self.take("METHODS") {
            self.bracketed(Self::method)?;
        }
        if self.take("TYPE") {
            self.identifier()?;
        }
        if self.take("AS") { self.statement_of_a_handler() } else { Ok(()) }
    }

    fn method(&mut self) -> Parsed {
        let mark = self.mark();
        let method = self.identifier()?;
        if ["GET", "POST", "PUT", "DELETE"].iter().any(|known| known.eq_ignore_ascii_case(&method)) {
            return Ok(());
        }
        self.back_to(mark);
        self.expected("GET, POST, PUT or DELETE")
    }

    /// Any statement, and where it is no query it may stand in brackets.
    fn statement_of_a_handler(&mut self) -> Parsed {
        self.deeper(|cursor| {
            let in_brackets = cursor.kind() == Kind::OpeningRoundBracket && !cursor.at_query();
            if in_brackets {
                cursor.open()?;
            }
            cursor.whole_statement()?;
            // The data of an INSERT is each request's, never the handler's.
            if cursor.has_data() && cursor.kind() != Kind::EndOfStream {
                return cursor.expected("the end of the statement");
            }
            if in_brackets { cursor.close() } else { Ok(()) }
        })
    }
}
