//! A server on a free port and a client that sends bytes as they are.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::fake::FakeNode;
use crate::api::{Access, Limits, Server, Stopped};
use crate::config::Config;

/// No answer of a working server takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Running {
    pub(super) node: Arc<FakeNode>,
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Stopped>>,
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

pub(super) fn limits() -> Limits {
    Limits::from(&Config::default())
}

pub(super) fn start() -> Running {
    start_with(limits())
}

pub(super) fn start_with(limits: Limits) -> Running {
    start_behind(limits, Access::open())
}

pub(super) fn start_behind(limits: Limits, access: Access) -> Running {
    let node = Arc::new(FakeNode::new());
    let server = Server::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, limits, access).unwrap();
    let address = server.local_addr();
    let (stop, stopped) = oneshot::channel();
    let served = Arc::clone(&node);
    let thread = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stop = async {
            let _ = stopped.await;
        };
        let ended = runtime.block_on(server.serve(served, stop, Duration::from_millis(300))).unwrap();
        runtime.shutdown_background();
        ended
    });
    Running { node, address, stop: Some(stop), thread: Some(thread) }
}

impl Running {
    pub(super) fn stop(mut self) -> Stopped {
        self.ask_to_stop();
        self.thread.take().unwrap().join().unwrap()
    }

    pub(super) fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(super) fn send(&self, request: &str) -> Reply {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        Reply::read(&mut stream)
    }

    pub(super) fn request(&self, method: &str, target: &str, headers: &str, body: &str) -> Reply {
        let length = body.len();
        self.send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}",
            self.address
        ))
    }

    pub(super) fn get(&self, target: &str) -> Reply {
        self.request("GET", target, "", "")
    }

    pub(super) fn post(&self, target: &str, json: &str) -> Reply {
        self.request("POST", target, "Content-Type: application/json\r\n", json)
    }
}

impl Reply {
    /// Reads until the server closes.
    pub(super) fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    pub(super) fn headers(&self, name: &str) -> Vec<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }
}
