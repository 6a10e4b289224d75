//! The bounds of the running daemon's sockets: how many connections, and how large a request's head.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon without services, in a folder of its own.
struct Daemon {
    process: Child,
    folder: PathBuf,
    admin: String,
}

impl Daemon {
    fn start(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("ssa-resolver-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = folder.join("config.json");
        let socket = folder.join("s.sock");
        let json = format!(r#"{{"socket": {{"path": "{}"}}, "admin": "{free}"}}"#, socket.display());
        fs::write(&config, json).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_ssa-resolver"))
            .arg("--config")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self {
            process,
            folder,
            admin: free.to_string(),
        };
        wait("the daemon serves", || {
            socket.exists() && TcpStream::connect(free).is_ok()
        });
        daemon
    }

    fn socket(&self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.join("s.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn admin(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[allow(clippy::disallowed_methods, reason = "between two looks at what it waits for")]
fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "not so in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks, and returns the status; nothing where the connection ends without one.
fn status(stream: &mut (impl Read + Write), path: &str, padding: usize) -> Option<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(padding));
    // It may be refused before it is whole.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).ok()?;
    std::str::from_utf8(&answer[9..]).ok()?.parse().ok()
}

/// Opens connections that are served, and keeps them.
fn hold<S: Read + Write>(count: usize, path: &str, connect: impl Fn() -> S) -> Vec<S> {
    let held: Vec<S> = (0..count)
        .map(|_| {
            let mut stream = connect();
            assert_eq!(status(&mut stream, path, 0), Some(200));
            stream
        })
        .collect();
    assert_eq!(status(&mut connect(), path, 0), None, "one more than {count} is served");
    held
}

#[test]
fn connections_to_the_socket_are_bounded_in_number() {
    let daemon = Daemon::start("socket");
    let held = hold(512, "/v1/inbound", || daemon.socket());
    let mut told = String::new();
    let mut admin = daemon.admin();
    admin
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    admin.read_to_string(&mut told).unwrap();
    let metric = "ssa_resolver_connections_refused_total{reason=\"too_many\"} 1\n";
    assert!(told.contains(metric), "{told}");
    drop(held);
    wait("there is room again", || {
        status(&mut daemon.socket(), "/v1/inbound", 0) == Some(200)
    });
}

/// Opens a connection from another address of this host.
fn from(source: &str, to: &str) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
        socket.connect(to.parse().unwrap()).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn an_address_has_half_of_the_connections_to_health_and_metrics() {
    let daemon = Daemon::start("admin");
    let mut held = Vec::new();
    // The connection of the start may take a place for a moment yet.
    wait("32 are served, and no more", || {
        let mut stream = daemon.admin();
        if status(&mut stream, "/healthz", 0).is_none() {
            return held.len() == 32;
        }
        held.push(stream);
        false
    });
    // Others see it all the same, and snapshots are served.
    assert_eq!(status(&mut from("127.0.0.2", &daemon.admin), "/healthz", 0), Some(200));
    assert_eq!(status(&mut daemon.socket(), "/v1/inbound", 0), Some(200));
    held.clear();
    wait("there is room again", || {
        status(&mut daemon.admin(), "/healthz", 0) == Some(200)
    });
}

#[test]
fn who_reads_no_answers_is_let_go() {
    let daemon = Daemon::start("reads");
    let mut streams = [daemon.admin(), daemon.admin()];
    for stream in &mut streams {
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let request = "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(64);
        // Until the answers fill what the system holds of both directions.
        while stream.write_all(request.as_bytes()).is_ok() {}
    }
    let began = Instant::now();
    for stream in &mut streams {
        wait("it is closed", || {
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            // What was answered is still there to be read; a reset comes before or behind it.
            match stream.write_all(b"G") {
                Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
                Ok(()) => false,
            }
        });
    }
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert_eq!(status(&mut daemon.admin(), "/healthz", 0), Some(200));
}

#[test]
fn heads_are_bounded_in_size() {
    let daemon = Daemon::start("head");
    let room = (16 << 10) - 200;
    assert_eq!(status(&mut daemon.socket(), "/v1/inbound", room), Some(200));
    assert_eq!(status(&mut daemon.admin(), "/healthz", room), Some(200));
    for padding in [16 << 10, 1 << 20] {
        for status in [
            status(&mut daemon.socket(), "/v1/inbound", padding),
            status(&mut daemon.admin(), "/healthz", padding),
        ] {
            assert!(matches!(status, None | Some(431)), "{padding}: {status:?}");
        }
    }
    assert_eq!(status(&mut daemon.socket(), "/v1/inbound", 0), Some(200));
}
