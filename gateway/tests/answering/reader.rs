//! `gateway feed` as a process, and a relay before the gateway whose connections can be cut.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::site::PATIENCE;

/// A running `gateway feed --json`, and what it printed so far.
pub(crate) struct Reader {
    process: Child,
    lines: mpsc::UnboundedReceiver<Value>,
    seen: Vec<Value>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell of anything else.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Reader {
    pub(crate) fn start(mut command: Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = piped.spawn().unwrap();
        let printed = process.stdout.take().unwrap();
        let (line, lines) = mpsc::unbounded_channel();
        thread::spawn(move || {
            let read = serde_json::Deserializer::from_reader(printed).into_iter();
            for event in read.map_while(Result::ok) {
                if line.send(event).is_err() {
                    return;
                }
            }
        });
        Self { process, lines, seen: vec![] }
    }

    /// The next event that is `wanted`.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.lines.recv()).await;
            let event = next.unwrap().unwrap();
            self.seen.push(event.clone());
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Everything that was printed until then.
    pub(crate) fn seen(&self) -> &[Value] {
        &self.seen
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ctrl-C, and how it ended.
    pub(crate) async fn interrupt(mut self) -> ExitStatus {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        let ended = async {
            // Its standard output closes with it.
            while self.lines.recv().await.is_some() {}
        };
        tokio::time::timeout(PATIENCE, ended).await.unwrap();
        self.process.wait().unwrap()
    }
}

/// An address that leads to a gateway's.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    cut: watch::Sender<u32>,
}

impl Relay {
    pub(crate) async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target.parse().unwrap()));
        let (cut, cuts) = watch::channel(0);
        let leads_to = Arc::clone(&target);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                let target = *leads_to.lock().unwrap();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, target, cut }
    }

    /// Ends every connection that is open.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Leads to another gateway from here on.
    pub(crate) fn lead_to(&self, target: &str) {
        *self.target.lock().unwrap() = target.parse().unwrap();
    }
}
