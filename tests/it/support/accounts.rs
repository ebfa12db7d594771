//! Service accounts, as the program itself makes them.

use tempfile::TempDir;

use super::house::run;

pub struct Account {
    pub key: String,
    /// Its lines of the config, to stand below `service_accounts:`.
    pub config: String,
}

impl Account {
    /// What `keyhouse service-account new` says for this name.
    pub async fn new(name: &str, arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let ended = run(folder.path(), &[&["service-account", "new", name], arguments].concat()).await;
        assert!(ended.status.success(), "{}", ended.err);
        let key = ended.out.lines().find_map(|line| line.strip_prefix("# khs_")).map(|rest| format!("khs_{rest}"));
        let (_, config) = ended.out.split_once("service_accounts:\n").unwrap();
        Self { key: key.unwrap(), config: config.to_owned() }
    }
}
