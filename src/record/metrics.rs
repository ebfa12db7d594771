//! Numbers for Prometheus.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use super::entry::{Entry, Outcome};

/// What the second reader makes of most reads.
const AGREES: &str = "agrees";

/// Every number that Keyhouse keeps.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    /// Of these, what most of them are: looked up once.
    answered: IntCounter,
    second_opinions: IntCounterVec,
    agreed: IntCounter,
    observed: IntCounterVec,
    seconds: Histogram,
    bytes: IntCounter,
    /// Connections of callers.
    pub connections: IntGauge,
    /// Connections that were closed at once, by why.
    pub connections_refused: IntCounterVec,
    /// Records that could not be written.
    pub records_lost: IntCounter,
    /// Tokens found among the kept ones.
    pub tokens_found: IntCounter,
    /// Tokens not found there.
    pub tokens_missed: IntCounter,
    /// Of these, the ones that are known to be bad.
    pub tokens_bad: IntCounter,
    /// Requests whose record is open.
    pub requests_running: IntGauge,
    /// Statements that hold a slot.
    pub statements_running: IntGauge,
    /// Statements that wait for one.
    pub statements_waiting: IntGauge,
    /// Answers that were kept.
    pub answers_kept: IntCounter,
    /// The same, while they are asked again.
    pub answers_stale: IntCounter,
    /// Answers that others were being given already.
    pub answers_joined: IntCounter,
    /// Answers that were asked to be kept.
    pub answers_asked: IntCounter,
    /// Answers that are not kept although the rule keeps answers.
    pub answers_bypassed: IntCounter,
    /// Connections opened to ClickHouse.
    pub upstream_connections: IntCounter,
    keys_fetches: IntCounterVec,
    keys_last_success: GaugeVec,
    secret_refreshes: IntCounterVec,
    reloads: IntCounterVec,
    reloaded: Gauge,
    reload_last_success: Gauge,
    generation: IntGauge,
    ready: Gauge,
}

impl Metrics {
    /// A registry of our own with everything in it at zero.
    ///
    /// # Errors
    /// A name that is no metric's, which a test would have found.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("keyhouse".to_owned()), None)?;
        let requests =
            IntCounterVec::new(Opts::new("requests_total", "Requests by how they ended and why they were refused."), &["outcome", "reason"])?;
        let second_opinions = IntCounterVec::new(Opts::new("second_opinions_total", "What the second reader of SQL made of reads."), &["opinion"])?;
        let token_cache = IntCounterVec::new(
            Opts::new(
                "token_cache_total",
                "Tokens by what was known of them: verified before (hit), nothing (miss), and of these that their signature is wrong (bad).",
            ),
            &["found"],
        )?;
        registry.register(Box::new(token_cache.clone()))?;
        let answers = Opts::new("answers_total", "Answers by rules that keep answers: kept, stale (and asked again), joined, asked, bypassed.");
        let answers = IntCounterVec::new(answers, &["answer"])?;
        registry.register(Box::new(answers.clone()))?;
        let metrics = Self {
            answered: requests.with_label_values(&[Outcome::Answered.word(), ""]),
            requests,
            agreed: second_opinions.with_label_values(&[AGREES]),
            second_opinions,
            observed: IntCounterVec::new(
                Opts::new("observed_total", "Requests that passed and that a rule under observation would have refused, by rule and reason."),
                &["rule", "reason"],
            )?,
            seconds: Histogram::with_opts(
                HistogramOpts::new("request_seconds", "From the head's arrival to the answer's end.")
                    .buckets(vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0]),
            )?,
            bytes: IntCounter::new("answer_bytes_total", "Bytes of answers that went out.")?,
            connections: IntGauge::new("connections", "Connections of callers.")?,
            connections_refused: IntCounterVec::new(
                Opts::new("connections_refused_total", "Connections closed before a request, by why."),
                &["why"],
            )?,
            records_lost: IntCounter::new("records_lost_total", "Records that could not be written.")?,
            tokens_found: token_cache.with_label_values(&["hit"]),
            tokens_missed: token_cache.with_label_values(&["miss"]),
            tokens_bad: token_cache.with_label_values(&["bad"]),
            answers_kept: answers.with_label_values(&["kept"]),
            answers_stale: answers.with_label_values(&["stale"]),
            answers_joined: answers.with_label_values(&["joined"]),
            answers_asked: answers.with_label_values(&["asked"]),
            answers_bypassed: answers.with_label_values(&["bypassed"]),
            requests_running: IntGauge::new("requests_running", "Requests that have not ended.")?,
            statements_running: IntGauge::new("statements_running", "Statements that run and count for a limit of admission.")?,
            statements_waiting: IntGauge::new("statements_waiting", "Statements that wait for their turn.")?,
            upstream_connections: IntCounter::new("upstream_connections_total", "Connections opened to ClickHouse.")?,
            keys_fetches: IntCounterVec::new(Opts::new("jwks_fetches_total", "Fetches of keys by provider and result."), &["provider", "result"])?,
            keys_last_success: GaugeVec::new(Opts::new("jwks_last_success_timestamp_seconds", "When the keys were last fetched."), &["provider"])?,
            secret_refreshes: IntCounterVec::new(
                Opts::new("secret_refreshes_total", "Runs of the commands that are asked again for a secret, by its key in the config and result."),
                &["secret", "result"],
            )?,
            reloads: IntCounterVec::new(Opts::new("reloads_total", "Reloads of the config by their result."), &["result"])?,
            reloaded: Gauge::new("config_last_reload_successful", "Whether what runs is what the files say, as far as was asked.")?,
            reload_last_success: Gauge::new("config_last_reload_success_timestamp_seconds", "When the config that runs was read.")?,
            generation: IntGauge::new("config_generation", "The number of the config that runs: 1 at the start, one more at every reload.")?,
            ready: Gauge::new("ready", "Whether requests can be served.")?,
            registry,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        let registry = &self.registry;
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.second_opinions.clone()))?;
        registry.register(Box::new(self.observed.clone()))?;
        registry.register(Box::new(self.seconds.clone()))?;
        registry.register(Box::new(self.bytes.clone()))?;
        registry.register(Box::new(self.connections.clone()))?;
        registry.register(Box::new(self.connections_refused.clone()))?;
        registry.register(Box::new(self.records_lost.clone()))?;
        registry.register(Box::new(self.requests_running.clone()))?;
        registry.register(Box::new(self.statements_running.clone()))?;
        registry.register(Box::new(self.statements_waiting.clone()))?;
        registry.register(Box::new(self.upstream_connections.clone()))?;
        registry.register(Box::new(self.keys_fetches.clone()))?;
        registry.register(Box::new(self.keys_last_success.clone()))?;
        registry.register(Box::new(self.secret_refreshes.clone()))?;
        registry.register(Box::new(self.reloads.clone()))?;
        registry.register(Box::new(self.reloaded.clone()))?;
        registry.register(Box::new(self.reload_last_success.clone()))?;
        registry.register(Box::new(self.generation.clone()))?;
        registry.register(Box::new(self.ready.clone()))
    }

    /// Counts a request that ended.
    pub(super) fn request_ended(&self, entry: &Entry) {
        match (entry.outcome, entry.reason) {
            (Outcome::Answered, None) => self.answered.inc(),
            (outcome, reason) => self.requests.with_label_values(&[outcome.word(), reason.unwrap_or("")]).inc(),
        }
        self.seconds.observe(entry.took_ms / 1000.0);
        self.bytes.inc_by(entry.bytes);
        match entry.second_opinion {
            Some(AGREES) => self.agreed.inc(),
            Some(opinion) => self.second_opinions.with_label_values(&[opinion]).inc(),
            None => {}
        }
        if let Some((rule, reason)) = entry.rule.as_deref().zip(entry.observed) {
            self.observed.with_label_values(&[rule, reason]).inc();
        }
    }

    /// Counts a fetch of keys that succeeded.
    pub fn keys_fetched(&self, provider: &str, now: SystemTime) {
        self.keys_fetches.with_label_values(&[provider, "ok"]).inc();
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.keys_last_success.with_label_values(&[provider]).set(now.as_secs_f64());
    }

    /// Counts a fetch of keys that failed.
    pub fn keys_failed(&self, provider: &str) {
        self.keys_fetches.with_label_values(&[provider, "failed"]).inc();
    }

    /// Shows a secret's refreshes from now on: a first failure is seen only beside a zero before it.
    pub fn secret_is_refreshed(&self, key: &str) {
        for result in ["ok", "failed"] {
            self.secret_refreshes.with_label_values(&[key, result]).inc_by(0);
        }
    }

    /// Counts a run of the command of a secret that is asked for again.
    pub fn secret_refresh_ended(&self, key: &str, good: bool) {
        self.secret_refreshes.with_label_values(&[key, if good { "ok" } else { "failed" }]).inc();
    }

    /// Notes that the config that was read now is the one that runs, by its number.
    pub fn config_runs(&self, generation: u64, now: SystemTime) {
        self.reloaded.set(1.0);
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.reload_last_success.set(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    }

    /// Counts a reload.
    pub fn reload_ended(&self, good: bool) {
        self.reloads.with_label_values(&[if good { "ok" } else { "failed" }]).inc();
        if !good {
            self.reloaded.set(0.0);
        }
    }

    /// Everything in the text format of Prometheus.
    ///
    /// # Errors
    /// Where the encoder fails.
    pub fn text(&self, ready: bool) -> Result<Vec<u8>, prometheus::Error> {
        self.ready.set(f64::from(u8::from(ready)));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn every_number_is_registered() {
        let metrics = Metrics::new().unwrap();
        metrics.requests.with_label_values(&["refused", "no-rule"]).inc();
        metrics.keys_failed("corp");
        let text = String::from_utf8(metrics.text(true).unwrap()).unwrap();
        assert!(text.contains("keyhouse_requests_total{outcome=\"refused\",reason=\"no-rule\"} 1"), "{text}");
        assert!(text.contains("keyhouse_jwks_fetches_total{provider=\"corp\",result=\"failed\"} 1"), "{text}");
        assert!(text.contains("keyhouse_ready 1"), "{text}");
    }
}
