//! DNS servers to ask: BIND and Knot as they are, and one that answers what no real server would.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(15);

/// A real server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `named` of the package bind9.
    Bind,
    /// `knotd` of the package knot.
    Knot,
}

/// A running server, which is killed at the end.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a server for the zone `example.`, under a folder of this name.
    pub(crate) fn start(kind: Kind, name: &str, zone: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).expect("the folder is made");
        std::fs::write(folder.join("zone"), zone).expect("the zone is written");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let port = free_port();
            let mut child = launch(kind, &folder, port);
            if answers(port, &mut child, deadline) {
                return Self { child, port };
            }
            let _ = child.kill();
            let _ = child.wait();
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "{kind:?} does not answer on port {port}; it said:\n{log}"
            );
        }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The server by IPv4, as `--server` takes it.
    pub(crate) fn v4(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The server by IPv6.
    pub(crate) fn v6(&self) -> String {
        format!("[::1]:{}", self.port)
    }
}

fn launch(kind: Kind, folder: &Path, port: u16) -> Child {
    let log = std::fs::File::create(folder.join("log")).expect("the log is made");
    let quoted = folder.display();
    let (configuration, mut command) = match kind {
        Kind::Bind => {
            let configuration = format!(
                "options {{ directory \"{quoted}\"; pid-file none; session-keyfile none; recursion no; \
                 listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 port {port} {{ ::1; }}; }};\n\
                 controls {{ }};\n\
                 zone \"example\" {{ type primary; file \"{quoted}/zone\"; }};\n"
            );
            let mut command = Command::new(binary("named", "bind9"));
            command.args(["-g", "-c"]);
            (configuration, command)
        }
        Kind::Knot => {
            // One that was killed has left its PID, which another process may have by now: it would not start beside that.
            let _ = std::fs::remove_file(folder.join("knot.pid"));
            let configuration = format!(
                "server:\n  rundir: \"{quoted}\"\n  listen: [\"127.0.0.1@{port}\", \"::1@{port}\"]\n\
                 database:\n  storage: \"{quoted}\"\n\
                 log:\n  - target: stderr\n    any: info\n\
                 zone:\n  - domain: example\n    storage: \"{quoted}\"\n    file: zone\n"
            );
            let mut command = Command::new(binary("knotd", "knot"));
            command.arg("-c");
            (configuration, command)
        }
    };
    let path = folder.join("configuration");
    std::fs::write(&path, configuration).expect("the configuration is written");
    let log_too = log.try_clone().expect("the log has a second handle");
    command
        .arg(path)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .spawn()
        .expect("the server starts")
}

/// Finds a server's program; without it the tests cannot tell what they are there to tell.
fn binary(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: apt-get install {package} (make setup does it)"))
}

/// A port that is free for UDP and TCP, for the moment.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let port = tcp.local_addr().expect("it has an address").port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Waits until the server has its zone; false where it ended or the time is up.
fn answers(port: u16, child: &mut Child, deadline: Instant) -> bool {
    // `example. SOA`, with recursion desired.
    let question = b"\x53\x5a\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x00\x00\x06\x00\x01";
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("a timeout can be set");
    while Instant::now() < deadline && child.try_wait().is_ok_and(|status| status.is_none()) {
        let _ = socket.send_to(question, (Ipv4Addr::LOCALHOST, port));
        let mut answer = [0; 512];
        if let Ok((length, _)) = socket.recv_from(&mut answer)
            && length > 12
            && answer[3].trailing_zeros() >= 4
            && answer[7] > 0
        {
            return true;
        }
    }
    false
}

/// A server that says of every question what it is told to.
pub(crate) struct Liar {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a [`Liar`] makes of a question (name and type): a response code and the data of records of a type.
pub(crate) type Lie = fn(&str, u16) -> Option<(u8, Vec<(u16, Vec<u8>)>)>;

impl Liar {
    pub(crate) fn start(lie: Lie) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a timeout can be set");
        let address = socket.local_addr().expect("it has an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut question = [0; 1500];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut question)
                    && let Some(answer) = answer(&question[..length], lie)
                {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(question: &[u8], lie: Lie) -> Option<Vec<u8>> {
    let mut end = 12;
    let mut name = String::new();
    while question[end] != 0 {
        let length = usize::from(question[end]);
        name.push_str(&String::from_utf8_lossy(&question[end + 1..=end + length]).to_lowercase());
        name.push('.');
        end += length + 1;
    }
    let kind = u16::from_be_bytes([question[end + 1], question[end + 2]]);
    let (code, records) = lie(&name, kind)?;
    let mut answer = question[..2].to_vec();
    answer.extend([
        0x84,
        code,
        0,
        1,
        0,
        u8::try_from(records.len()).expect("few records"),
        0,
        0,
        0,
        0,
    ]);
    answer.extend(&question[12..end + 5]);
    for (kind, data) in records {
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 60]);
        answer.extend(u16::try_from(data.len()).expect("little data").to_be_bytes());
        answer.extend(data);
    }
    Some(answer)
}
