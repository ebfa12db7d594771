//! A listener on loopback that can really be closed, so that callers are refused, and open again on the same port.

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Mutex,
    task::JoinSet,
};

type Serve = Arc<dyn Fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub struct Door {
    address: SocketAddr,
    serve: Serve,
    state: Mutex<State>,
}

enum State {
    /// Bound without listening: the kernel refuses callers and gives the port to nobody else.
    Shut(TcpSocket),
    Open(JoinSet<()>),
}

impl Door {
    /// A door that is still shut; its address stays the same for as long as it lives.
    pub fn new<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self { address: socket.local_addr().unwrap(), serve: Arc::new(move |stream| Box::pin(serve(stream))), state: Mutex::new(State::Shut(socket)) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn open(&self) {
        let mut state = self.state.lock().await;
        if let State::Shut(socket) = std::mem::replace(&mut *state, State::Open(JoinSet::new())) {
            let mut tasks = JoinSet::new();
            tasks.spawn(accept(socket.listen(1024).unwrap(), Arc::clone(&self.serve)));
            *state = State::Open(tasks);
        }
    }

    /// Closes the listener and all its connections before it returns.
    pub async fn shut(&self) {
        let mut state = self.state.lock().await;
        if let State::Open(tasks) = &mut *state {
            // Bound before the listener goes: anybody could be given the port in between.
            let socket = bind(self.address);
            tasks.shutdown().await;
            *state = State::Shut(socket);
        }
    }
}

async fn accept(listener: TcpListener, serve: Serve) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        connections.spawn(serve(stream));
        while connections.try_join_next().is_some() {}
    }
}

fn bind(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}
