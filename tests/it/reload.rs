//! A config is changed under a running house: the next request is judged by it, whole or not at all.

use std::{fs, os::unix::fs::symlink, sync::Arc};

use crate::support::{
    accounts::Account,
    certificates::Certificates,
    client::{Answer, Caller, post, send_plain},
    house::{House, Plan},
    issuer::Issuer,
    key::{Key, key_set},
    program::Stream,
    recorder::Recorder,
    script::{Gate, Script},
    token::Token,
    until,
};

/// A house with one caller's connection that stays open, and two providers: one with discovery, one with a file.
struct Scene {
    house: House,
    plan: Plan,
    recorder: Recorder,
    issuer: Issuer,
    caller: Caller,
    reloads: usize,
}

const FILE_ISSUER: &str = "ci";

fn providers(issuer: &Issuer) -> String {
    let groups = "claim_mappings: {groups: {claim: groups}}";
    format!(
        "\n  corp: {{issuer: {}, audiences: [clickhouse], {groups}}}\n  ci: {{issuer: ci, jwks_file: ci.json, audiences: [clickhouse], {groups}}}",
        issuer.url
    )
}

impl Scene {
    async fn start(shape: impl FnOnce(Plan) -> Plan) -> Self {
        let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
        let plan = Plan::new(&issuer.url, &[&recorder.url]).section("identity_providers", &providers(&issuer));
        // SIGHUP alone, so that each reload has its line in the log.
        let plan = plan.section("reload_on_change", "false").file("ci.json", &key_set(&[Key::rs256()]));
        let plan = shape(plan);
        let house = plan.start().await;
        let caller = Caller::plain(house.http()).await;
        Self { house, plan, recorder, issuer, caller, reloads: 0 }
    }

    async fn ask(&mut self, credential: &str) -> Answer {
        self.caller.send(post("/", credential, "SELECT 1")).await;
        self.caller.answer().await
    }

    /// What the same connection's next request is told; nothing where it is answered.
    async fn reason(&mut self, credential: &str) -> Option<String> {
        let answer = self.ask(credential).await;
        assert_eq!(answer.status == 200, answer.header("x-keyhouse-reason").is_none(), "{}", answer.text());
        answer.header("x-keyhouse-reason").map(str::to_owned)
    }

    /// Writes these files over the old ones and waits until the house has read them.
    async fn reload(&mut self, plan: Plan) {
        self.plan = plan;
        self.plan.write_to(self.house.folder.path());
        self.house.program.signal("HUP");
        self.reloads += 1;
        self.house.program.wait_lines(self.reloads, " reloaded: ").await;
    }

    /// The same for what the house must not take.
    async fn fails_to_reload(&mut self, plan: &Plan, says: &str) {
        plan.write_to(self.house.folder.path());
        let failures = self.house.program.said_on(Stream::Err).matches("nothing was reloaded").count();
        self.house.program.signal("HUP");
        self.house.program.wait_lines(failures + 1, "nothing was reloaded").await;
        let log = self.house.program.said_on(Stream::Err);
        assert!(log.contains(says), "{says:?} is not in:\n{log}");
    }
}

fn ci_token(key: &Arc<Key>) -> String {
    Token::new(FILE_ISSUER, key).make()
}

#[tokio::test]
async fn what_a_reload_takes_away_is_gone_on_the_next_request() {
    let account = Account::new("health", &["--group", "analysts"]).await;
    let other = Account::new("health", &["--group", "analysts"]).await;
    let accounts = |config: &str| format!("\n{config}");
    let mut scene = Scene::start(|plan| plan.section("service_accounts", &accounts(&account.config))).await;
    let (alice, ci) = (scene.issuer.token().make(), ci_token(&Key::rs256()));
    for credential in [&alice, &ci, &account.key] {
        assert_eq!(scene.reason(credential).await, None);
    }

    let without_group = scene.plan.config_of("policies/10-rules.yaml").replace("groups: [analysts]", "groups: [others]");
    let plan = scene.plan.clone().policy("10-rules.yaml", &without_group);
    let before = scene.plan.clone();
    scene.reload(plan).await;
    assert_eq!(scene.reason(&alice).await.as_deref(), Some("no-rule"), "a group");
    scene.reload(before.clone()).await;
    assert_eq!(scene.reason(&alice).await, None);

    scene.reload(before.clone().section("service_accounts", &accounts(&other.config))).await;
    assert_eq!(scene.reason(&account.key).await.as_deref(), Some("unknown_service_key"), "an account's key");
    assert_eq!(scene.reason(&other.key).await, None);
    scene.reload(before.clone().section("service_accounts", "{}")).await;
    assert_eq!(scene.reason(&other.key).await.as_deref(), Some("unknown_service_key"), "an account");

    let fresh = Key::fresh("RS256");
    scene.reload(before.clone().file("ci.json", &key_set(&[Arc::clone(&fresh)]))).await;
    assert_eq!(scene.reason(&ci).await.as_deref(), Some("unknown_key"), "a provider's key");
    assert_eq!(scene.reason(&ci_token(&fresh)).await, None);

    let one = providers(&scene.issuer).split("\n  ci:").next().unwrap().to_owned();
    scene.reload(before.clone().section("identity_providers", &one)).await;
    assert_eq!(scene.reason(&ci_token(&fresh)).await.as_deref(), Some("unknown_issuer"), "a provider");
    assert_eq!(scene.reason(&alice).await, None);
    assert_eq!(scene.recorder.wait_requests(7).await.len(), 7, "one for each that was answered");
}

#[tokio::test]
async fn what_is_taken_away_does_not_wait_for_a_provider_or_a_clickhouse_that_is_down() {
    let mut scene = Scene::start(|plan| plan).await;
    let (alice, ci) = (scene.issuer.token().make(), ci_token(&Key::rs256()));
    assert_eq!((scene.reason(&alice).await, scene.reason(&ci).await), (None, None));
    scene.issuer.down().await;
    let one = providers(&scene.issuer).split("\n  ci:").next().unwrap().to_owned();
    scene.reload(scene.plan.clone().section("identity_providers", &one)).await;
    assert_eq!(scene.reason(&ci).await.as_deref(), Some("unknown_issuer"));
    assert_eq!(scene.reason(&scene.issuer.token().subject("bob").make()).await, None, "the keys of the provider that stays are kept");
    scene.recorder.down().await;
    scene
        .reload(scene.plan.clone().policy("10-rules.yaml", "rules: [{name: a, whom: {groups: [x]}, act_as: analyst, allow: [{tables: ['a.b']}]}]\n"))
        .await;
    assert_eq!(scene.reason(&alice).await.as_deref(), Some("no-rule"));
}

#[tokio::test]
async fn a_config_with_a_mistake_changes_nothing() {
    let mut scene = Scene::start(|plan| plan).await;
    let alice = scene.issuer.token().make();
    let good = scene.plan.clone();
    let others = "rules: [{name: a, whom: {groups: [others]}, act_as: analyst, allow: [{tables: ['a.b']}]}]\n";
    for (plan, says) in [
        (good.clone().section("policies", "[no, folder]"), "keyhouse.yaml"),
        (good.clone().policy("10-rules.yaml", others).section("policies", "nowhere/"), "nowhere"),
        (
            good.clone().policy("10-rules.yaml", others).section("admin", "{address: 127.0.0.1:1}"),
            "admin.address: has changed, which only a restart can do",
        ),
        (good.clone().policy("10-rules.yaml", others).section("limits", "{connections: 7}"), "limits.connections: has changed"),
        (good.clone().policy("10-rules.yaml", others).section("record", "{to: stdout}"), "record.to: has changed"),
        (good.clone().policy("10-rules.yaml", others).file("analyst.password", ""), "password"),
    ] {
        scene.fails_to_reload(&plan, says).await;
        assert_eq!(scene.reason(&alice).await, None, "{says}");
        let metrics = scene.house.admin_get("/metrics").await.text();
        assert!(metrics.contains("keyhouse_config_last_reload_successful 0"), "{says}");
    }
    scene.reload(good.policy("10-rules.yaml", others)).await;
    assert_eq!(scene.reason(&alice).await.as_deref(), Some("no-rule"));
    let metrics = scene.house.admin_get("/metrics").await.text();
    for line in ["keyhouse_config_last_reload_successful 1", "keyhouse_reloads_total{result=\"failed\"} 6", "keyhouse_reloads_total{result=\"ok\"} 1"]
    {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn a_running_answer_ends_as_it_began_and_the_next_statement_has_the_new_credential() {
    let mut scene = Scene::start(|plan| plan).await;
    let (alice, gate) = (scene.issuer.token().make(), Gate::default());
    scene.recorder.answers(Script::begin(200, &[]).chunk("first\n").hold(&gate).chunk("last\n").end());
    let mut running = Caller::plain(scene.house.http()).await;
    running.send(post("/", &alice, "SELECT 1")).await;
    running.through("first\n").await.unwrap();
    scene.recorder.answers(Script::ok("1\n"));
    scene.reload(scene.plan.clone().file("analyst.password", "another-secret")).await;
    assert_eq!(scene.reason(&alice).await, None);
    gate.notify_one();
    running.through("last\n").await.unwrap();
    let passwords: Vec<_> = scene.recorder.wait_requests(2).await.iter().map(|heard| heard.header("x-clickhouse-key").unwrap().to_owned()).collect();
    assert_ne!(passwords[0], passwords[1]);
    assert_eq!(passwords[1], "another-secret");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_the_next_connection() {
    let mut scene = Scene::start(|plan| plan).await;
    let alice = scene.issuer.token().make();
    let mut before = Caller::tls(scene.house.https()).await;
    let renewed = Certificates::new();
    let plan = scene.plan.clone().file("tls.crt", &renewed.certificate).file("tls.key", &renewed.key);
    scene.reload(plan).await;
    before.send(post("/", &alice, "SELECT 1")).await;
    assert_eq!(before.answer().await.status, 200, "a connection that stands");
    let old_authority = Caller::tls_by(scene.house.https(), Certificates::shared().client(&["http/1.1"])).await;
    assert!(old_authority.is_err(), "the old certificate is shown still");
    let mut after = Caller::tls_by(scene.house.https(), renewed.client(&["http/1.1"])).await.unwrap();
    after.send(post("/", &alice, "SELECT 1")).await;
    assert_eq!(after.answer().await.status, 200);
}

#[tokio::test]
async fn a_provider_that_was_dropped_is_not_asked_any_more() {
    let often =
        |issuer: &Issuer| providers(issuer).replacen("{groups: {claim: groups}}", "{groups: {claim: groups}}, jwks_cache: {refresh: 20ms}", 1);
    let mut scene = Scene::start(|plan| plan).await;
    let plan = scene.plan.clone().section("identity_providers", &often(&scene.issuer));
    scene.reload(plan).await;
    let now = scene.issuer.hits().key_set;
    until("keys that are fetched again and again", async || (scene.issuer.hits().key_set > now + 3).then_some(())).await;
    let other = Issuer::start().await;
    scene.reload(scene.plan.clone().section("identity_providers", &often(&other))).await;
    let (dropped, now) = (scene.issuer.hits().key_set, other.hits().key_set);
    until("the other one's keys, again and again", async || (other.hits().key_set > now + 20).then_some(())).await;
    assert!(scene.issuer.hits().key_set <= dropped + 1, "a fetch on its way may have arrived, and no more");
    assert!(fs::exists(scene.house.folder.path().join("record.jsonl")).unwrap());
}

#[tokio::test]
async fn changed_files_are_read_by_themselves_whole_or_not_at_all() {
    let mut scene = Scene::start(|plan| plan.section("reload_on_change", "true")).await;
    let alice = scene.issuer.token().make();
    let rules = scene.plan.config_of("policies/10-rules.yaml");
    let folder = scene.house.folder.path().to_owned();
    assert_eq!(scene.reason(&alice).await, None);
    // Another file in the old one's place, as editors do it.
    fs::write(folder.join("policies/new"), rules.replace("groups: [analysts]", "groups: [others]")).unwrap();
    fs::rename(folder.join("policies/new"), folder.join("policies/10-rules.yaml")).unwrap();
    scene.house.program.wait_lines(1, "reloaded: ").await;
    assert_eq!(scene.reason(&alice).await.as_deref(), Some("no-rule"));
    fs::write(folder.join("policies/10-rules.yaml"), "rules: [").unwrap();
    scene.house.program.wait_lines(1, "nothing was reloaded").await;
    assert_eq!(scene.reason(&alice).await.as_deref(), Some("no-rule"));
    // A file more, beside the mended one.
    fs::write(folder.join("policies/10-rules.yaml"), &rules).unwrap();
    scene.house.program.wait_lines(3, "reloaded").await;
    assert_eq!(scene.reason(&alice).await, None);
    fs::write(folder.join("analyst.password"), "another-secret\n").unwrap();
    scene.house.program.wait_lines(4, "reloaded").await;
    assert_eq!(scene.reason(&alice).await, None);
    let last = scene.recorder.wait_requests(3).await.pop().unwrap();
    assert_eq!(last.header("x-clickhouse-key"), Some("another-secret"));
    let generations: Vec<u64> = scene.house.wait_records(5).await.iter().map(|record| record["generation"].as_u64().unwrap()).collect();
    assert_eq!(generations, [1, 2, 2, 3, 4]);
    assert!(scene.house.admin_get("/metrics").await.text().contains("keyhouse_config_generation 4"));
}

/// Reading files is something that happens to them, too: a watch that looks at that looks at itself, for ever.
#[tokio::test]
async fn nothing_is_read_while_nothing_changes() {
    let mut scene = Scene::start(|plan| plan.section("reload_on_change", "true")).await;
    let (alice, folder) = (scene.issuer.token().make(), scene.house.folder.path().to_owned());
    assert_eq!(scene.reason(&alice).await, None);
    let before = scene.house.bytes_read();
    for round in 0..20 {
        // A log beside the config, and somebody who reads that.
        fs::write(folder.join("beside.log"), format!("{round}\n").repeat(round)).unwrap();
        fs::read(folder.join("keyhouse.yaml")).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let read = scene.house.bytes_read() - before;
    assert!(read < 200_000, "{read} bytes");
    // And what changes is seen.
    fs::write(folder.join("policies/20-more.yml"), "rules: [").unwrap();
    scene.house.program.wait_lines(1, "nothing was reloaded").await;
}

#[tokio::test]
async fn a_mounted_folder_that_is_swapped_is_read_by_itself() {
    let mut scene = Scene::start(|plan| plan).await;
    let (alice, folder) = (scene.issuer.token().make(), scene.house.folder.path().to_owned());
    let rules = scene.plan.config_of("policies/10-rules.yaml");
    // As Kubernetes mounts a ConfigMap: the files are links into a folder behind a link that is replaced.
    for (version, groups) in [("1", "analysts"), ("2", "others")] {
        fs::create_dir_all(folder.join(format!("mounted/..{version}"))).unwrap();
        fs::write(folder.join(format!("mounted/..{version}/rules.yaml")), rules.replace("groups: [analysts]", &format!("groups: [{groups}]")))
            .unwrap();
    }
    symlink("..1", folder.join("mounted/..data")).unwrap();
    symlink("..data/rules.yaml", folder.join("mounted/rules.yaml")).unwrap();
    scene.reload(scene.plan.clone().section("policies", "mounted/").section("reload_on_change", "true")).await;
    assert_eq!(scene.reason(&alice).await, None);
    symlink("..2", folder.join("mounted/..new")).unwrap();
    fs::rename(folder.join("mounted/..new"), folder.join("mounted/..data")).unwrap();
    scene.house.program.wait_lines(2, "reloaded: ").await;
    assert_eq!(scene.reason(&alice).await.as_deref(), Some("no-rule"));
}

#[tokio::test]
async fn the_admin_address_reloads_for_whoever_brings_its_token() {
    let mut scene =
        Scene::start(|plan| plan.section("admin", "{address: 127.0.0.1:0, token: {file: admin.token}}").file("admin.token", "let-me\n")).await;
    let alice = scene.issuer.token().make();
    let admin = scene.house.admin;
    let reload = async |method: &str, authorization: &str| {
        let request = format!("{method} /-/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n{authorization}\r\n");
        send_plain(admin, request).await
    };
    let others = scene.plan.config_of("policies/10-rules.yaml").replace("groups: [analysts]", "groups: [others]");
    scene.plan.clone().policy("10-rules.yaml", &others).write_to(scene.house.folder.path());
    for (method, authorization, status) in [
        ("POST", "", 403),
        ("POST", "Authorization: Bearer let-m\r\n", 403),
        ("POST", "Authorization: let-me\r\n", 403),
        ("GET", "Authorization: Bearer let-me\r\n", 405),
    ] {
        assert_eq!(reload(method, authorization).await.status, status, "{method} {authorization}");
        assert_eq!(scene.reason(&alice).await, None);
    }
    let done = reload("POST", "Authorization: Bearer let-me\r\n").await;
    assert!(done.status == 200 && done.text().starts_with("reloaded: "), "{}", done.text());
    assert_eq!(scene.reason(&alice).await.as_deref(), Some("no-rule"));
    scene.plan.clone().policy("10-rules.yaml", "rules: [").write_to(scene.house.folder.path());
    let failed = reload("POST", "Authorization: Bearer let-me\r\n").await;
    assert!(failed.status == 422 && failed.text().contains("10-rules.yaml"), "{}", failed.text());
    assert_eq!(scene.reason(&alice).await.as_deref(), Some("no-rule"));
    let without = Scene::start(|plan| plan).await;
    let request = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\nAuthorization: Bearer \r\n\r\n";
    assert_eq!(send_plain(without.house.admin, request).await.status, 403, "without a token in the config");
}
