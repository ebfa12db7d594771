//! Providers behind a proxy that the environment names: keys come through it, and ClickHouse is asked without it.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{
    client::ask,
    house::Plan,
    issuer::{Hits, Issuer},
    recorder::Recorder,
    script::Script,
};

/// A proxy that makes tunnels (RFC 9110 9.3.6), and remembers what it was asked for.
struct Proxy {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heads) = (listener.local_addr().unwrap().to_string(), Arc::<Mutex<Vec<String>>>::default());
        let mut tasks = JoinSet::new();
        let remembered = Arc::clone(&heads);
        tasks.spawn(async move {
            let mut tunnels = JoinSet::new();
            loop {
                let (caller, _) = listener.accept().await.unwrap();
                tunnels.spawn(tunnel(caller, Arc::clone(&remembered)));
            }
        });
        Self { address, heads, _tasks: tasks }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn tunnel(mut caller: TcpStream, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(caller.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    heads.lock().unwrap().push(head);
    let mut server = TcpStream::connect(target).await.unwrap();
    caller.write_all(b"HTTP/1.1 200 here you are\r\n\r\n").await.unwrap();
    // Whoever hangs up first is no trouble of this test.
    let _ = copy_bidirectional(&mut caller, &mut server).await;
}

#[tokio::test]
async fn keys_come_through_the_proxy_of_the_environment_and_statements_do_not() {
    let (issuer, recorder, proxy) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await, Proxy::start().await);
    let plan = Plan::new(&issuer.url, &[&recorder.url]).environment("HTTP_PROXY", &format!("http://who:secret@{}", proxy.address));
    let house = plan.clone().environment("NO_PROXY", "").start().await;
    assert_eq!(ask(&house, &issuer.token().make(), "SELECT 1").await.status, 200);
    let heads = proxy.heads();
    assert_eq!((heads.len(), issuer.hits()), (2, Hits { discovery: 1, key_set: 1 }), "{heads:?}");
    let authority = issuer.url.trim_start_matches("http://");
    for head in &heads {
        assert!(head.starts_with(&format!("CONNECT {authority} HTTP/1.1\r\n")), "{head}");
        assert!(head.to_lowercase().contains(&"proxy-authorization: Basic d2hvOnNlY3JldA==".to_lowercase()), "{head}");
    }
    assert!(!house.program.log().contains("secret"), "{}", house.program.log());
    let near = plan.environment("NO_PROXY", "127.0.0.1").start().await;
    assert_eq!(ask(&near, &issuer.token().make(), "SELECT 1").await.status, 200);
    assert_eq!(proxy.heads().len(), 2, "what NO_PROXY names is asked without it");
}
