//! The threads that serve. Each has a runtime, listening sockets and connections to ClickHouse of its own, so that a request
//! stays on one thread from its first byte to its last.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::thread::JoinHandle;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Connections that the system takes before they are accepted.
const BACKLOG: u32 = 4096;

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// The number of the worker that this thread is, from 1 on; 0 for any other thread.
pub fn number() -> usize {
    NUMBER.get()
}

/// Every worker. Dropped, they end, and with them whatever still runs on them.
pub struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    /// Dropped, it ends.
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts so many, each with a stack of so many bytes.
    ///
    /// # Errors
    /// Where the system gives no more threads or descriptors.
    pub fn start(count: NonZeroUsize, stack: usize) -> io::Result<Self> {
        (1..=count.get()).map(|number| Worker::start(number, stack)).collect::<io::Result<_>>().map(Self)
    }

    /// One listening socket for each worker, all of one address: the system spreads connections over them (`SO_REUSEPORT`).
    ///
    /// # Errors
    /// Where the address cannot be listened on; `SO_REUSEPORT` alone would share it with any other process of this user.
    pub fn bind(&self, address: SocketAddr) -> io::Result<Vec<TcpListener>> {
        let address = std::net::TcpListener::bind(address)?.local_addr()?;
        self.0.iter().map(|worker| worker.bind(address)).collect()
    }

    /// Runs something on each worker.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, tasks: impl IntoIterator<Item = F>) {
        for (worker, task) in self.0.iter().zip(tasks) {
            worker.runtime.spawn(task);
        }
    }
}

impl Worker {
    fn start(number: usize, stack: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).stack_size(stack);
        let thread = thread.spawn(move || {
            NUMBER.set(number);
            // Told, or left: both are an end.
            runtime.block_on(ended).unwrap_or_default();
        })?;
        Ok(Self { runtime: handle, end, thread })
    }

    fn bind(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let _entered = self.runtime.enter();
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let (ends, threads): (Vec<_>, Vec<_>) = self.0.drain(..).map(|worker| (worker.end, worker.thread)).unzip();
        // All are told before one is waited for.
        drop(ends);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended by a fault");
            }
        }
    }
}
