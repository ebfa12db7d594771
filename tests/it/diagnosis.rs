//! What is wrong with a token is said in one sentence, the same wherever somebody looks for it.

use crate::support::{
    client::{get, post, send},
    house::{Plan, run},
    issuer::Issuer,
    recorder::Recorder,
    script::Script,
};

#[tokio::test]
async fn the_same_sentence_stands_in_the_answer_the_challenge_the_record_and_the_explanation() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let plan = Plan::new(&issuer.url, &[&recorder.url]);
    let house = plan.start().await;
    // Every mismatch but that of time, which would differ by a second from one place to the next.
    let token = issuer.token().claim("aud", "account").claim("azp", "grafana").claim("typ", "ID").claim("cnf", "x").make();
    let answer = send(&house, post("/", &token, "SELECT 1")).await;
    let sentence =
        answer.text().strip_prefix("Code: 516. DB::Exception: ").and_then(|text| text.split_once(" (AUTHENTICATION")).unwrap().0.to_owned();
    let places = ["Token audience is [\"account\"]", "Audience mapper with \"clickhouse\"", "client \"grafana\"", "an ID token", "bound to a key"];
    let order: Vec<usize> = places.iter().map(|words| sentence.find(words).unwrap_or_else(|| panic!("{words:?} is not in {sentence}"))).collect();
    assert!(order.is_sorted(), "audience first: {sentence}");
    let challenge = answer.header("www-authenticate").unwrap();
    let quoted: String = sentence.replace('"', "'").chars().take(300).collect();
    assert!(challenge.ends_with(&format!("error=\"invalid_token\", error_description=\"{quoted}\"")), "{challenge}");
    assert_eq!(house.wait_records(1).await[0]["message"], sentence);
    let folder = plan.file("token", &token).lay_out();
    for more in [vec![], vec!["--offline"]] {
        let ended = run(folder.path(), &[vec!["token", "explain", "--config", "keyhouse.yaml", "token"], more].concat()).await;
        assert!(ended.out.contains(&format!("refused (audience_mismatch): {sentence}\n")), "{}", ended.out);
    }
    assert!(recorder.requests().is_empty());
}

#[tokio::test]
async fn what_others_are_told_of_their_statement_is_not_in_the_record() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    let answer = send(&house, post("/", &issuer.token().make(), "SELECT 'secret' FROM FROM sales.orders")).await;
    assert_eq!(answer.header("x-keyhouse-reason"), Some("not-understood"));
    let record = house.wait_records(1).await.remove(0);
    assert!(record.get("message").is_none() && !record.to_string().contains("secret"), "{record}");
}

#[tokio::test]
async fn a_token_is_explained_as_one_of_the_header_that_it_comes_in() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let headers = "audiences: [clickhouse]\n    from_headers: [{name: X-Id-Token, token_types: [id]}]";
    let plan = Plan::new(&issuer.url, &[&recorder.url]).edit("audiences: [clickhouse]", headers);
    let house = plan.start().await;
    let token = issuer.token().claim("at_hash", "x").make();
    let folder = plan.file("token", &token).lay_out();
    for (more, good, words) in [
        (vec!["--from-header", "x-id-token"], true, "lets in alice"),
        (vec!["--from-header", "X-Id-Token", "--offline"], true, "lets in alice"),
        (vec![], false, "refused (wrong_token_type): This is an ID token"),
        (vec!["--from-header", "X-Other"], false, "refused (no_credentials): The header `x-other` stands in no provider's from_headers"),
    ] {
        let ended = run(folder.path(), &[vec!["token", "explain", "--config", "keyhouse.yaml", "token"], more.clone()].concat()).await;
        assert!(ended.status.success() == good && ended.out.contains(words), "{more:?}: {}{}", ended.out, ended.err);
    }
    let header = send(&house, get("/?query=SELECT%201", &[&format!("X-Id-Token: {token}")])).await;
    let bearer = send(&house, get("/?query=SELECT%201", &[&format!("Authorization: Bearer {token}")])).await;
    assert_eq!((header.status, bearer.header("x-keyhouse-reason")), (200, Some("wrong_token_type")));
    assert_eq!(recorder.wait_requests(1).await.len(), 1);
}
