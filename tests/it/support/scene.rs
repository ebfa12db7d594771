//! The usual cast: an issuer, a recording upstream and a house between them.

use serde_json::Value;

use super::{
    client::Answer,
    house::{House, Plan},
    issuer::Issuer,
    recorder::Recorder,
    script::Script,
    token::Token,
    until,
};

pub struct Scene {
    /// Without it nobody knows the callers.
    issuer: Issuer,
    pub recorder: Recorder,
    pub house: House,
    /// Of the analysts, who read.
    pub alice: String,
    /// Of the engineers, who also insert.
    pub bob: String,
}

impl Scene {
    /// A house that is ready, in front of a recorder that answers like this.
    pub async fn start(script: Script, shape: impl FnOnce(Plan) -> Plan) -> Self {
        Self::ready(Recorder::start(script).await, shape).await
    }

    /// A house that is ready, in front of this recorder.
    pub async fn ready(recorder: Recorder, shape: impl FnOnce(Plan) -> Plan) -> Self {
        let scene = Self::unready(recorder, shape).await;
        until("a house that is ready", async || (scene.house.admin_get("/-/ready").await.status == 200).then_some(())).await;
        scene
    }

    /// A house that knows its callers, whatever it knows of its upstream.
    pub async fn unready(recorder: Recorder, shape: impl FnOnce(Plan) -> Plan) -> Self {
        let issuer = Issuer::start().await;
        let house = shape(Plan::new(&issuer.url, &[&recorder.url])).start_unready().await;
        let knows = async || (house.admin_get("/-/ready").await.json()["identity_providers"]["corp"] == "ready").then_some(());
        until("a house that knows its callers", knows).await;
        let alice = issuer.token().make();
        let bob = issuer.token().subject("bob").groups(&["engineers"]).make();
        Self { issuer, recorder, house, alice, bob }
    }

    /// The caller was told why, and the record says the same; gives the record.
    pub async fn refused(&self, answer: &Answer, status: u16, reason: &str) -> Value {
        assert_eq!((answer.status, answer.header("X-Keyhouse-Reason")), (status, Some(reason)), "{}", answer.text());
        let record = self.record_of(answer).await;
        assert_eq!((&record["outcome"], &record["reason"], &record["status"]), (&"refused".into(), &reason.into(), &status.into()));
        record
    }

    /// A good token of the callers' issuer, to be made otherwise.
    pub fn token(&self) -> Token {
        self.issuer.token()
    }

    /// The one record of this answer.
    pub async fn record_of(&self, answer: &Answer) -> Value {
        self.house.record_of(answer).await
    }

    /// One number of `/metrics`, by the whole of its line before it; 0 where it is not there.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = self.house.admin_get("/metrics").await.text();
        let number = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        number.map_or(0, |number| number.parse().unwrap())
    }

    pub async fn wait_metric(&self, name: &str, value: u64) {
        until(&format!("{name} {value}"), async || (self.metric(name).await == value).then_some(())).await;
    }
}
