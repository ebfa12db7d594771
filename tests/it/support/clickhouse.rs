//! A real ClickHouse: the one on PATH, or else Debian's 18.16.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use tokio::net::TcpSocket;

use super::{
    certificates::Certificates,
    client::{Answer, send_plain},
    until,
};

#[derive(Clone, Copy)]
pub struct User {
    pub name: &'static str,
    pub password: &'static str,
}

impl User {
    /// What a server answers to this user without anybody between.
    pub async fn asks(self, server: SocketAddr, sql: &str) -> Answer {
        let (User { name, password }, length) = (self, sql.len());
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nX-ClickHouse-User: {name}\r\nX-ClickHouse-Key: {password}\r\n\
             Connection: close\r\nContent-Length: {length}\r\n\r\n{sql}"
        );
        send_plain(server, request).await
    }
}

pub const ANALYST: User = User { name: "kh_analyst", password: "analyst-pw-1" };
pub const WRITER: User = User { name: "kh_writer", password: "writer-pw-2" };
/// ClickHouse's own, for what tests prepare.
pub const OWNER: User = User { name: "default", password: "owner-pw-3" };

pub struct ClickHouse {
    pub http: SocketAddr,
    pub https: SocketAddr,
    folder: PathBuf,
    /// Bound beside the server, so that nobody else gets its ports.
    _ports: [TcpSocket; 2],
    /// Ends the server and removes its folder when this process is gone, however it went: statics are not dropped.
    _watchdog: Child,
}

const WATCHDOG: &str = r#"
trap "" INT
exec 3<&0
"$@" >server.log 2>&1 3<&- &
cat <&3 >/dev/null
kill -9 $!
rm -rf "$PWD"
"#;

impl ClickHouse {
    /// The one server of this test binary; tests keep apart by the names of their tables.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceLock<ClickHouse> = OnceLock::new();
        let server = SHARED.get_or_init(|| Self::start(&users()));
        until("ClickHouse", async || server.is_up().then_some(())).await;
        server
    }

    /// Debian's 18.16 with these users, where it is what there is; by itself, and gone with the test.
    pub async fn old_with(users: &str) -> Option<Self> {
        if !program().iter().any(|word| word.contains("clickhouse-server")) || !Path::new("/usr/sbin/clickhouse-server").exists() {
            return None;
        }
        let server = Self::start(users);
        until("ClickHouse", async || server.is_up().then_some(())).await;
        Some(server)
    }

    fn start(users: &str) -> Self {
        let mut program = program();
        // Kept beyond the TempDir's own life: the watchdog removes it.
        let folder = tempfile::Builder::new().prefix("clickhouse").tempdir().unwrap().keep();
        let ports = [free_port(), free_port()];
        let [http, https] = [&ports[0], &ports[1]].map(|port| port.local_addr().unwrap());
        Certificates::shared().write_to(&folder);
        fs::write(folder.join("config.xml"), config(&folder, http.port(), https.port())).unwrap();
        fs::write(folder.join("users.xml"), users).unwrap();
        program.push(format!("--config-file={}", folder.join("config.xml").display()));
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", WATCHDOG, "watchdog"]).args(program).current_dir(&folder);
        let watchdog = watchdog.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { http, https, folder, _ports: ports, _watchdog: watchdog }
    }

    pub fn http_url(&self) -> String {
        format!("http://{}", self.http)
    }

    pub fn https_url(&self) -> String {
        format!("https://{}", self.https)
    }

    /// What the server itself answers, over plain HTTP.
    pub async fn ask(&self, user: User, sql: &str) -> Answer {
        user.asks(self.http, sql).await
    }

    /// The same where a failure is the test's.
    pub async fn run(&self, user: User, sql: &str) -> String {
        let answer = self.ask(user, sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        answer.text()
    }

    /// What it logged: warnings and worse.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    fn is_up(&self) -> bool {
        let log = self.log();
        assert!(!log.contains("<Error> Application: "), "ClickHouse does not start:\n{log}");
        std::net::TcpStream::connect(self.http).is_ok() && std::net::TcpStream::connect(self.https).is_ok()
    }
}

fn program() -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |name: &str| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    let words = |file: PathBuf, more: &[&str]| std::iter::once(file.display().to_string()).chain(more.iter().map(|word| word.to_string())).collect();
    if let Some(modern) = find("clickhouse") {
        return words(modern, &["server"]);
    }
    let debian = PathBuf::from("/usr/sbin/clickhouse-server");
    match find("clickhouse-server").or(debian.is_file().then_some(debian)) {
        Some(server) => words(server, &[]),
        None => panic!("no ClickHouse to test against: put `clickhouse` on PATH, or apt-get install clickhouse-server"),
    }
}

fn free_port() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    socket
}

fn config(folder: &Path, http: u16, https: u16) -> String {
    let folder = folder.display();
    format!(
        "<yandex>
    <logger><level>warning</level><console>1</console></logger>
    <listen_host>127.0.0.1</listen_host>
    <http_port>{http}</http_port>
    <https_port>{https}</https_port>
    <openSSL><server>
        <certificateFile>{folder}/tls.crt</certificateFile>
        <privateKeyFile>{folder}/tls.key</privateKeyFile>
        <verificationMode>none</verificationMode>
        <loadDefaultCAFile>false</loadDefaultCAFile>
    </server></openSSL>
    <path>{folder}/data/</path>
    <tmp_path>{folder}/tmp/</tmp_path>
    <user_files_path>{folder}/user_files/</user_files_path>
    <format_schema_path>{folder}/format_schemas/</format_schema_path>
    <mark_cache_size>67108864</mark_cache_size>
    <users_config>users.xml</users_config>
    <default_profile>default</default_profile>
    <default_database>default</default_database>
</yandex>
"
    )
}

fn users() -> String {
    let users: String = [ANALYST, WRITER, OWNER]
        .iter()
        .map(|User { name, password }| {
            format!(
                "<{name}><password>{password}</password><networks><ip>127.0.0.1</ip></networks>\
             <profile>default</profile><quota>default</quota></{name}>"
            )
        })
        .collect();
    format!(
        "<yandex>
    <profiles><default><readonly>0</readonly><max_threads>1</max_threads></default></profiles>
    <users>{users}</users>
    <quotas><default/></quotas>
</yandex>
"
    )
}
