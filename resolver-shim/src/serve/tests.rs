use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    config::{Peer, Socket},
    folders::Folders,
    model::Entries,
    snapshot::Publisher,
    testing::Folder,
};

fn socket(folder: &Folder, peers: &str) -> Socket {
    let path = folder.path().join("s.sock");
    let json = format!(r#"{{"socket": {{"path": "{}"{peers}}}}}"#, path.display());
    crate::config::Config::from_json(json.as_bytes()).unwrap().socket
}

struct Running {
    publisher: Publisher,
    path: PathBuf,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    counters: Arc<Counters>,
    access: watch::Sender<Access>,
    commands: mpsc::Receiver<Command>,
    _folder: Folder,
}

fn own() -> u32 {
    fs::metadata("/proc/self").map_or(0, |found| found.uid())
}

fn start(peers: &str) -> Running {
    let folder = Folder::new("serve");
    let socket = socket(&folder, peers);
    let publisher = Publisher::default();
    let (stop, stopped) = watch::channel(false);
    let (access, allowed) = watch::channel(Access::new(&socket, own()));
    let counters = Arc::new(Counters::default());
    let (commands_in, commands) = mpsc::channel(1);
    let served = Served {
        inbound: publisher.latest(Role::Inbound),
        outbound: publisher.latest(Role::Outbound),
        access: allowed,
        own: own(),
        commands: commands_in,
        counters: counters.clone(),
        stop: stopped,
    };
    let bound = Listener::new(&socket, Folders::Own).unwrap();
    let task = tokio::spawn(serve(bound, mpsc::unbounded_channel().1, served));
    Running {
        publisher,
        path: socket.path,
        stop,
        task,
        counters,
        access,
        commands,
        _folder: folder,
    }
}

async fn get(path: &Path, target: &str, headers: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn snapshots_are_served_once_and_again_when_they_change() {
    let mut running = start("");
    let nothing = Entries::Inbound(Vec::new());
    running.publisher.publish(Role::Inbound, false, &nothing).unwrap();
    let answer = get(&running.path, "/v1/inbound", "").await;
    assert_eq!(status(&answer), "200");
    let tag = answer
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert!(ssa_filter::config::Snapshot::inbound(body.as_bytes()).is_ok());
    let again = get(&running.path, "/v1/inbound", &format!("if-none-match: {tag}\r\n")).await;
    assert_eq!(status(&again), "304");
    assert!(again.contains(&tag));

    let path = running.path.clone();
    let headers = format!("if-none-match: {tag}\r\nprefer: wait=60\r\n");
    let waiting = tokio::spawn(async move { get(&path, "/v1/inbound", &headers).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    running.publisher.publish(Role::Inbound, true, &nothing).unwrap();
    let changed = waiting.await.unwrap();
    assert_eq!(status(&changed), "200");
    assert!(changed.contains(r#""off":true"#));
    assert_eq!(running.counters.figures().len(), 2);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn without_a_snapshot_answers_wait_a_little() {
    let running = start("");
    let answer = get(&running.path, "/v1/outbound", "").await;
    assert_eq!(status(&answer), "503");
    let other = get(&running.path, "/", "").await;
    assert_eq!(status(&other), "404");
}

#[tokio::test(flavor = "current_thread")]
async fn stopping_answers_those_who_wait() {
    let mut running = start("");
    running
        .publisher
        .publish(Role::Inbound, false, &Entries::Inbound(Vec::new()))
        .unwrap();
    let tag = running.publisher.latest(Role::Inbound).borrow().clone().unwrap().tag();
    let path = running.path.clone();
    let headers = format!("if-none-match: {tag}\r\nprefer: wait=300\r\n");
    let waiting = tokio::spawn(async move { get(&path, "/v1/inbound", &headers).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.stop.send_replace(true);
    assert_eq!(status(&waiting.await.unwrap()), "304");
    running.task.await.unwrap();
    assert!(!running.path.exists());
}

#[tokio::test(flavor = "current_thread")]
async fn each_role_is_for_whom_the_configuration_says() {
    let own = own();
    let mut running = start(&format!(r#", "peers": [{{"uid": {own}, "roles": ["outbound"]}}]"#));
    running
        .publisher
        .publish(Role::Outbound, false, &Entries::Outbound(Vec::new()))
        .unwrap();
    running
        .publisher
        .publish(Role::Inbound, false, &Entries::Inbound(Vec::new()))
        .unwrap();
    assert_eq!(status(&get(&running.path, "/v1/outbound", "").await), "200");
    assert_eq!(status(&get(&running.path, "/v1/inbound", "").await), "403");
}

#[tokio::test(flavor = "current_thread")]
async fn who_may_fetch_nothing_takes_no_place_of_others() {
    let mut running = start(&format!(
        r#", "peers": [{{"uid": {}, "roles": ["outbound"]}}]"#,
        own() + 1
    ));
    let nothing = Entries::Outbound(Vec::new());
    running.publisher.publish(Role::Outbound, false, &nothing).unwrap();
    // One connection is not kept for a second request.
    let mut stream = UnixStream::connect(&running.path).await.unwrap();
    stream
        .write_all(b"GET /v1/outbound HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "403");
    // Those who say nothing are as few as are meant.
    let mut silent = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        silent.push(UnixStream::connect(&running.path).await.unwrap());
        tokio::task::yield_now().await;
    }
    let peer = Peer {
        uid: Some(own()),
        gid: None,
        roles: vec![Role::Outbound],
    };
    running.access.send_replace(Access {
        rules: Ok(vec![peer]),
        unmapped: [None; 2],
    });
    assert_eq!(status(&get(&running.path, "/v1/outbound", "").await), "200");
    let figures = running.counters.figures();
    let refused = figures
        .iter()
        .find(|figure| figure.name == "ssa_resolver_connections_refused_total");
    let refused = refused.unwrap();
    assert_eq!(refused.labels, [("reason", "too_many_forbidden".to_owned())]);
    assert_eq!(
        refused.value,
        u64::try_from(MAX_CONNECTIONS - MAX_UNAUTHORISED).unwrap()
    );
    drop(silent);
}

#[tokio::test(flavor = "current_thread")]
async fn who_waits_and_loses_the_right_is_refused() {
    let mut running = start("");
    let nothing = Entries::Inbound(Vec::new());
    running.publisher.publish(Role::Inbound, false, &nothing).unwrap();
    let tag = running.publisher.latest(Role::Inbound).borrow().clone().unwrap().tag();
    let path = running.path.clone();
    let headers = format!("if-none-match: {tag}\r\nprefer: wait=60\r\n");
    let waiting = tokio::spawn(async move { get(&path, "/v1/inbound", &headers).await });
    // A connection holds one receiver, and a request another.
    let held = running.publisher.waiting(Role::Inbound);
    while running.publisher.waiting(Role::Inbound) < held + 2 {
        tokio::task::yield_now().await;
    }
    running.access.send_replace(Access {
        rules: Err(own() + 1),
        unmapped: [None; 2],
    });
    running.publisher.publish(Role::Inbound, true, &nothing).unwrap();
    assert_eq!(status(&waiting.await.unwrap()), "403");
}

#[tokio::test(flavor = "current_thread")]
async fn the_own_user_may_have_the_daemon_forget() {
    let mut running = start("");
    let path = running.path.clone();
    let asking = tokio::spawn(async move {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let request = b"POST /v1/forget/web HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    });
    let Command::Forget { service, reply } = running.commands.recv().await.unwrap();
    assert_eq!(service, "web");
    reply.send(Some(3)).unwrap();
    let answer = asking.await.unwrap();
    assert_eq!(
        (status(&answer), answer.ends_with("\r\n3\n")),
        ("200", true),
        "{answer}"
    );
    assert_eq!(status(&get(&running.path, "/v1/forget/web", "").await), "405");
    let served = |own| Served {
        inbound: running.publisher.latest(Role::Inbound),
        outbound: running.publisher.latest(Role::Outbound),
        access: running.access.subscribe(),
        own,
        commands: mpsc::channel(1).0,
        counters: running.counters.clone(),
        stop: running.stop.subscribe(),
    };
    let stranger = forget("web", &Method::POST, 1234, &served(1235)).await;
    assert_eq!(stranger.status(), StatusCode::FORBIDDEN);
}

#[test]
fn access_is_by_user_and_group() {
    let folder = Folder::new("access");
    let access = Access::new(
        &socket(
            &folder,
            r#", "peers": [{"uid": 1, "gid": 2, "roles": ["inbound"]}, {"gid": 3, "roles": ["outbound"]}]"#,
        ),
        0,
    );
    assert!(access.allows(1, 2, Role::Inbound));
    assert!(!access.allows(1, 2, Role::Outbound));
    assert!(!access.allows(1, 9, Role::Inbound));
    assert!(!access.allows(0, 0, Role::Inbound));
    assert!(access.allows(9, 3, Role::Outbound));
    // In a user namespace some number stands for all who are not mapped, and so for nobody.
    let namespaced = Access {
        unmapped: [Some(1), Some(3)],
        ..access
    };
    assert!(!namespaced.allows(1, 2, Role::Inbound) && !namespaced.allows(9, 3, Role::Outbound));
    let own = Access::new(&socket(&folder, ""), 7);
    assert!(own.allows(7, 7, Role::Inbound) && !own.allows(8, 7, Role::Inbound));
}

#[tokio::test(flavor = "current_thread")]
async fn the_socket_is_tight_and_takes_the_place_of_a_dead_one() {
    let folder = Folder::new("bind");
    let config = socket(&folder, "");
    // What a daemon that was killed leaves.
    drop(std::os::unix::net::UnixListener::bind(&config.path).unwrap());
    let bound = Listener::new(&config, Folders::Own).unwrap();
    let found = fs::metadata(&config.path).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(
        Listener::new(&config, Folders::Own).unwrap_err().kind(),
        io::ErrorKind::AddrInUse
    );
    drop(bound);
    assert!(!config.path.exists());
    fs::write(&config.path, "").unwrap();
    assert_eq!(
        Listener::new(&config, Folders::Own).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    assert!(config.path.exists());
}

#[test]
fn waits_are_read_and_bounded() {
    let wait = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("prefer", HeaderValue::from_static(value));
        wait_of(&headers).as_secs()
    };
    assert_eq!(wait("wait=30"), 30);
    assert_eq!(wait("respond-async, Wait = 7"), 7);
    assert_eq!(wait("wait=99999999999"), u64::from(MAX_WAIT_S));
    for none in ["wait=", "wait=-1", "wait", "waits=3", "wait=1e9"] {
        assert_eq!(wait(none), 0, "{none}");
    }
}
