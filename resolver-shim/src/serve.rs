//! Serves snapshots over a Unix socket, each role to whom the configuration says.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    sync::Arc,
    time::Duration,
};

use hyper::{
    HeaderMap, Method, Request, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, RETRY_AFTER},
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, mpsc, oneshot, watch},
    time::Instant,
};

use ssa_snapshot::MAX_WAIT_S;

use crate::{
    config::{Peer, Role, Socket},
    files::{self, Place},
    folders::{Folders, Missing},
    http::{self, Answer, Limits, Room},
    metrics::Counters,
    snapshot::Latest,
    users,
};

/// The most connections at once.
const MAX_CONNECTIONS: usize = 512;

/// The most connections at once of those who may fetch nothing: they are told so, and take no place of others.
const MAX_STRANGERS: usize = 16;

/// What a connection may take in time: a snapshot of the largest size in half a minute.
const LIMITS: Limits = Limits {
    head: Duration::from_secs(30),
    write: Duration::from_secs(30),
    whole: None,
};

/// The same of those who may fetch nothing.
const LIMITS_OF_STRANGERS: Limits = Limits {
    head: Duration::from_secs(2),
    write: Duration::from_secs(2),
    whole: Some(Duration::from_secs(5)),
};

/// How long the first snapshot is waited for where the request names no time.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// Who may fetch what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Those named, or everyone of this user.
    rules: Result<Vec<Peer>, u32>,
    /// The user and the group that stand for all that are not mapped: whoever is shown as them may be anybody.
    unmapped: [Option<u32>; 2],
}

impl Access {
    /// Takes it from the configuration; without peers it is the daemon's own user.
    #[must_use]
    pub fn new(socket: &Socket, own: u32) -> Self {
        Self {
            rules: socket.peers.clone().ok_or(own),
            unmapped: [users::overflow_user(), users::overflow_group()],
        }
    }

    /// Says whether a process may fetch anything.
    #[must_use]
    pub fn knows(&self, uid: u32, gid: u32) -> bool {
        [Role::Inbound, Role::Outbound]
            .into_iter()
            .any(|role| self.allows(uid, gid, role))
    }

    /// Says whether a process may fetch what is for a role.
    #[must_use]
    pub fn allows(&self, uid: u32, gid: u32, role: Role) -> bool {
        let [user, group] = self.unmapped;
        let is_user = |wanted: u32| wanted == uid && Some(uid) != user;
        let is_group = |wanted: u32| wanted == gid && Some(gid) != group;
        match &self.rules {
            Err(own) => is_user(*own),
            Ok(peers) => peers.iter().any(|peer| {
                peer.uid.is_none_or(is_user) && peer.gid.is_none_or(is_group) && peer.roles.contains(&role)
            }),
        }
    }
}

/// A bound socket, whose file goes with it.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    place: Place,
    file: (u64, u64),
}

impl Listener {
    /// Binds the socket. It is made with its permissions in a folder that nobody else can enter, and then moved to its
    /// place: nobody finds it open or half done, nothing that others put in the way is followed or changed, and one that
    /// a dead daemon left is replaced.
    ///
    /// # Errors
    ///
    /// Why it cannot be bound: another daemon serves there, something else is there, a folder on the way is another user's,
    /// or the system says no.
    pub fn new(config: &Socket, folders: Folders) -> io::Result<Self> {
        let place = Place::open(&config.path, folders, Missing::Made)?;
        if let Ok(found) = place.found() {
            if !files::is_socket(&found) {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "what is there is not a socket",
                ));
            }
            if std::os::unix::net::UnixStream::connect(place.path()).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves there"));
            }
        }
        if place.shared {
            let path = config.path.display();
            tracing::info!(%path, "others may write to the socket's folder; shared_folders permits it");
        }
        let (listener, file) = place.replace_by(|path| {
            let listener = UnixListener::bind(path)?;
            if config.group.is_some() {
                std::os::unix::fs::chown(path, None, config.group)?;
            }
            fs::set_permissions(path, fs::Permissions::from_mode(config.mode))?;
            let found = fs::symlink_metadata(path)?;
            Ok((listener, (found.dev(), found.ino())))
        })?;
        Ok(Self {
            socket: listener,
            place,
            file,
        })
    }

    /// Returns which file it is: device and inode.
    #[must_use]
    pub fn file(&self) -> (u64, u64) {
        self.file
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A successor may have taken the place already.
        if self
            .place
            .found()
            .is_ok_and(|found| (found.st_dev, found.st_ino) == self.file)
        {
            let _ = self.place.remove();
        }
    }
}

/// What the daemon is asked to do.
#[derive(Debug)]
pub enum Order {
    /// To forget what a service's verifiers keep though it is gone from the DNS.
    Forget {
        /// The service.
        service: String,
        /// How many records and lists that were; nothing where there is no such service.
        told: oneshot::Sender<Option<usize>>,
    },
}

/// What is served.
#[derive(Clone, Debug)]
pub struct Served {
    /// For verifiers.
    pub inbound: Latest,
    /// For clients.
    pub outbound: Latest,
    /// Who may fetch what.
    pub access: watch::Receiver<Access>,
    /// The daemon's own user: it and root may give orders.
    pub own: u32,
    /// Where orders go.
    pub orders: mpsc::Sender<Order>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Whether all is to end.
    pub stop: watch::Receiver<bool>,
}

/// Serves until it is to stop, and then until every request is answered. A successor takes the place of the socket; who is
/// connected stays so.
pub async fn serve(mut bound: Listener, mut successors: mpsc::UnboundedReceiver<Listener>, served: Served) {
    let (room, strangers) = (Room::new(MAX_CONNECTIONS), Room::new(MAX_STRANGERS));
    let mut stop = served.stop.clone();
    let mut conversations = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = bound.socket.accept() => accepted,
            () = http::stopped(&mut stop) => break,
            Some(_) = conversations.join_next() => continue,
            Some(successor) = successors.recv() => {
                bound = successor;
                continue;
            }
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(peer) = stream.peer_cred() else { continue };
                let known = served.access.borrow().knows(peer.uid(), peer.gid());
                let (room, limits, reason) = if known {
                    (&room, LIMITS, "too_many")
                } else {
                    (&strangers, LIMITS_OF_STRANGERS, "too_many_forbidden")
                };
                let Some(place) = room.take() else {
                    served
                        .counters
                        .count("ssa_resolver_connections_refused_total", &[("reason", reason)]);
                    continue;
                };
                conversations.spawn(converse(stream, (place, limits), served.clone()));
            }
            Err(error) => {
                // Out of descriptors, most likely: it passes, or not, but is not tried in a tight loop.
                tracing::warn!(error = ssa_input::files::reason(&error), "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(bound);
    conversations.join_all().await;
}

async fn converse(stream: UnixStream, (place, limits): (OwnedSemaphorePermit, Limits), served: Served) {
    let Ok(peer) = stream.peer_cred() else { return };
    let stop = served.stop.clone();
    http::converse(stream, limits, stop, |request| {
        answer(request, peer.uid(), peer.gid(), served.clone())
    })
    .await;
    drop(place);
}

/// The path of the order to forget; the service's name follows.
const FORGET: &str = "/v1/forget/";

/// Takes the order to forget, from the daemon's own user and root alone.
async fn forget(service: &str, method: &Method, uid: u32, served: &Served) -> Answer {
    if method != Method::POST {
        return http::last(http::text(StatusCode::METHOD_NOT_ALLOWED, "only POST is allowed\n"));
    }
    let is_own = uid == served.own && Some(uid) != users::overflow_user();
    if uid != 0 && !is_own {
        tracing::warn!(
            uid,
            "rejected a request to forget: only root and the daemon's own user may make one"
        );
        return http::last(http::text(
            StatusCode::FORBIDDEN,
            "only root and the daemon's own user may do this\n",
        ));
    }
    let (told, answered) = oneshot::channel();
    let order = Order::Forget {
        service: service.to_owned(),
        told,
    };
    if served.orders.send(order).await.is_err() {
        return http::last(http::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the daemon is shutting down\n",
        ));
    }
    match answered.await {
        Ok(Some(count)) => http::last(http::text(StatusCode::OK, format!("{count}\n"))),
        Ok(None) => http::last(http::text(StatusCode::NOT_FOUND, "there is no such service\n")),
        Err(_) => http::last(http::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the daemon is shutting down\n",
        )),
    }
}

async fn answer<B>(request: Request<B>, uid: u32, gid: u32, served: Served) -> Answer {
    if let Some(service) = request.uri().path().strip_prefix(FORGET) {
        return forget(service, request.method(), uid, &served).await;
    }
    let (role, mut latest) = match request.uri().path() {
        "/v1/inbound" => (Role::Inbound, served.inbound),
        "/v1/outbound" => (Role::Outbound, served.outbound),
        _ => {
            return http::last(http::text(
                StatusCode::NOT_FOUND,
                "not found: the paths are /v1/inbound and /v1/outbound\n",
            ));
        }
    };
    let count = |code| {
        let role = role.name();
        served
            .counters
            .count("ssa_resolver_requests_total", &[("role", role), ("code", code)]);
    };
    if request.method() != Method::GET {
        count("405");
        return http::text(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed\n");
    }
    if !served.access.borrow().allows(uid, gid, role) {
        count("403");
        tracing::warn!(
            uid,
            gid,
            role = role.name(),
            "rejected a request that socket.peers does not allow"
        );
        return http::last(http::text(StatusCode::FORBIDDEN, "socket.peers does not allow this\n"));
    }
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let wait = wait_of(request.headers());
    let is_known = |tag: &str| known.as_ref().is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut stop = served.stop.clone();
    let deadline = Instant::now() + wait;
    let first = Instant::now() + wait.max(FIRST_WAIT);
    loop {
        let snapshot = latest.borrow_and_update().clone();
        let tag = snapshot.as_ref().map(|snapshot| snapshot.tag());
        let until = match (&snapshot, &tag) {
            (Some(snapshot), Some(tag)) if !is_known(tag) => {
                count("200");
                return whole(snapshot.json(), tag);
            }
            (Some(_), _) => deadline,
            (None, _) => first,
        };
        let late = tokio::select! {
            changed = latest.changed() => changed.is_err(),
            () = http::stopped(&mut stop) => true,
            () = tokio::time::sleep_until(until) => true,
        };
        if !late {
            // A reload may have taken the right to it meanwhile.
            if !served.access.borrow().allows(uid, gid, role) {
                count("403");
                return http::last(http::text(StatusCode::FORBIDDEN, "socket.peers does not allow this\n"));
            }
            continue;
        }
        return if let Some(tag) = tag {
            count("304");
            tagged(http::text(StatusCode::NOT_MODIFIED, ""), &tag)
        } else {
            count("503");
            let mut response = http::text(StatusCode::SERVICE_UNAVAILABLE, "there is no snapshot yet\n");
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        };
    }
}

fn whole(json: String, tag: &str) -> Answer {
    let mut response = http::text(StatusCode::OK, json);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // It holds secrets.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tagged(response, tag)
}

fn tagged(mut response: Answer, tag: &str) -> Answer {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Reads `prefer: wait=SECONDS` (RFC 7240 §4.3).
fn wait_of(headers: &HeaderMap) -> Duration {
    let prefer = HeaderName::from_static("prefer");
    let values = headers.get_all(prefer).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(',')).map(str::trim);
    let seconds = preferences.find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let seconds = value.trim().parse::<u64>().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then_some(seconds)
    });
    Duration::from_secs(seconds.unwrap_or(0).min(MAX_WAIT_S.into()))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::{model::Entries, snapshot::Publisher, testing::Folder};

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
        orders: mpsc::Receiver<Order>,
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
        let (orders_in, orders) = mpsc::channel(1);
        let served = Served {
            inbound: publisher.latest(Role::Inbound),
            outbound: publisher.latest(Role::Outbound),
            access: allowed,
            own: own(),
            orders: orders_in,
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
            orders,
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
        assert_eq!(refused.value, u64::try_from(MAX_CONNECTIONS - MAX_STRANGERS).unwrap());
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
        let Order::Forget { service, told } = running.orders.recv().await.unwrap();
        assert_eq!(service, "web");
        told.send(Some(3)).unwrap();
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
            orders: mpsc::channel(1).0,
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
}
