//! A running `rsops keyservice`.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::scratch::Scratch;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server that is stopped with this value.
pub(super) struct Service {
    child: Child,
    url: String,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Service {
    /// On a free port.
    pub(super) fn tcp(scratch: &Scratch, keys: &[&str]) -> Self {
        Self::start(scratch, keys, &["--verbose", "--address", "127.0.0.1:0"], &[])
    }

    /// At `service.sock` in the working folder.
    pub(super) fn unix(scratch: &Scratch, keys: &[&str]) -> Self {
        Self::with(scratch, keys, &[])
    }

    /// With variables of its own.
    pub(super) fn with(scratch: &Scratch, keys: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start(
            scratch,
            keys,
            &["--verbose", "--network", "unix", "--address", "service.sock"],
            variables,
        )
    }

    /// Without `--verbose`.
    pub(super) fn quiet(scratch: &Scratch, keys: &[&str]) -> Self {
        Self::start(scratch, keys, &["--network", "unix", "--address", "service.sock"], &[])
    }

    fn start(scratch: &Scratch, keys: &[&str], arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let call = scratch.call([&["keyservice"], arguments].concat()).keys(keys);
        let call = variables.iter().fold(call, |call, (name, value)| call.variable(name, value));
        let mut command = call.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("our own program");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let log = Arc::new(Mutex::new(String::new()));
        let sink = log.clone();
        let reader = thread::spawn(move || {
            for line in stderr.lines() {
                let line = line.expect("text");
                let mut log = sink.lock().expect("no reader panicked");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut service = Self { child, url: String::new(), log, reader: Some(reader) };
        service.url = service.until_it_listens(scratch, arguments);
        service
    }

    fn until_it_listens(&mut self, scratch: &Scratch, arguments: &[&str]) -> String {
        let socket = scratch.folder().join("service.sock");
        let is_unix = arguments.contains(&"unix");
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let log = self.log();
            if is_unix && socket.exists() && (log.contains("Listening") || !arguments.contains(&"--verbose"))
            {
                return format!("unix://{}", socket.display());
            }
            let address = log.lines().find_map(|line| line.split_once(" address=\"").map(|(_, rest)| rest));
            if let Some(address) = address {
                return format!("tcp://{}", address.trim_end_matches('"'));
            }
            assert!(self.child.try_wait().expect("our child").is_none(), "{log}");
            thread::sleep(Duration::from_millis(2));
        }
        panic!("it does not listen: {}", self.log());
    }

    /// What clients name it by.
    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said.
    pub(super) fn log(&self) -> String {
        self.log.lock().expect("no reader panicked").clone()
    }

    /// Tells it to end, which it does as it should; what it has said.
    pub(super) fn end(mut self, signal: Signal) -> String {
        kill_process(Pid::from_child(&self.child), signal).expect("our child, which nobody has waited for");
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "it still runs");
            thread::sleep(Duration::from_millis(2));
        };
        self.reader.take().expect("started once").join().expect("text");
        assert_eq!(status.code(), Some(0), "{status}: {}", self.log());
        self.log()
    }

    /// Leaves it no time to tidy up.
    pub(super) fn kill(mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // it may have ended
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
