//! A gateway as a process of its own, which can be killed.

#[allow(dead_code, reason = "not all of the tests that share this need it")]
pub(crate) mod listen;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

/// A gateway process; killed when dropped, so that a failed test leaves none behind.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: String,
    /// All that it said when it was ready.
    #[allow(dead_code, reason = "one of the tests that share this needs it")]
    pub(crate) ready: String,
    _stdout: BufReader<ChildStdout>,
}

impl Gateway {
    /// Starts on any free ports of this machine, with its data in this folder.
    #[allow(dead_code, reason = "as above")]
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_meshlive-gateway"));
        Self::start_by(program, data, arguments)
    }

    /// The same by a command that ends with the program.
    pub(crate) fn start_by(mut program: Command, data: &Path, arguments: &[&str]) -> Self {
        let mut child = program
            .args(["serve", "--http", "127.0.0.1:0", "--rtmp", "off", "--data"])
            .arg(data)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        let url = ready.strip_prefix("ready http://").expect(&ready);
        let address = url.split(['/', ' ']).next().unwrap().to_owned();
        Self {
            child,
            address,
            ready,
            _stdout: stdout,
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP: it stands still, and its connections stand.
    #[allow(dead_code, reason = "one of the tests that share this needs it")]
    pub(crate) fn freeze(&self) {
        let id = self.child.id().to_string();
        let stopped = Command::new("kill").args(["-STOP", &id]).status();
        assert!(stopped.unwrap().success());
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        connection
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let host = &self.address;
        write!(
            connection,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        (head[9..12].parse().unwrap(), answer.split_off(end + 4))
    }

    /// One of its counters, by its name with its labels; `None` before it was counted.
    #[allow(dead_code, reason = "as above")]
    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        let metrics = String::from_utf8(self.get("/metrics").1).unwrap();
        let of = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        metrics.lines().find_map(of)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
