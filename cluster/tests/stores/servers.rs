//! Real servers: etcd, and the API server of Kubernetes on one.

mod definitions;
mod policies;

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use ssa_cluster::{
    controller::{self, Controller, Options},
    election::Leading,
    objects::{Kind, LabelValue, Name, SliceEndpoint, SliceEndpointSpec, SliceSet, Timestamp},
    store::{EtcdOptions, EtcdStore, KubernetesStore, Occurrence, Store, StoreError, crds},
};
use tempfile::TempDir;

use crate::fixture::{Case, Env, Fixture, Later};

/// How long a server may take until it answers.
const LONG: Duration = Duration::from_mins(3);

/// Finds a program by a script of hack/; else says why it is missing.
fn found(script: &str) -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack").join(script);
    let answer = Command::new(&script).output().map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    if answer.status.success() {
        Ok(told.into())
    } else {
        Err(told)
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that ends with this one, however that ends: a shell waits for its input to close.
struct Process(Child);

impl Process {
    fn start(program: &Path, arguments: &[String], log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new("sh")
            .args([
                "-c",
                r#""$@" </dev/null & pid=$!; read -r _; kill -KILL "$pid"; wait "$pid""#,
                "sh",
            ])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}

/// Asks again and again until there is an answer.
async fn until<T, E: std::fmt::Display>(what: &str, log: &Path, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) if began.elapsed() > LONG => {
                let log = fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                panic!(
                    "{what}: {error}\n{}",
                    lines[lines.len().saturating_sub(40)..].join("\n")
                );
            }
            // Between two questions, and not in place of one.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// etcd, alone.
pub(crate) struct Etcd {
    program: Result<PathBuf, String>,
    running: OnceLock<RunningEtcd>,
}

struct RunningEtcd {
    folder: TempDir,
    port: u16,
    program: PathBuf,
    process: Mutex<Option<Process>>,
}

impl RunningEtcd {
    fn start(program: &Path) -> Self {
        let running = Self {
            folder: tempfile::tempdir().unwrap(),
            port: free_port(),
            program: program.to_owned(),
            process: Mutex::new(None),
        };
        running.restart();
        running
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn restart(&self) {
        let mut process = self.process.lock().unwrap();
        drop(process.take());
        let peers = format!("http://127.0.0.1:{}", free_port());
        let data = self.folder.path().join("data");
        let arguments = [
            ("--name", "default".to_owned()),
            ("--data-dir", data.display().to_string()),
            ("--listen-client-urls", self.url()),
            ("--advertise-client-urls", self.url()),
            ("--listen-peer-urls", peers),
        ];
        let arguments: Vec<String> = arguments
            .iter()
            .map(|(flag, value)| format!("{flag}={value}"))
            .collect();
        *process = Some(Process::start(&self.program, &arguments, &self.log()));
        drop(process);
        // A plain question to its port: the stores under test find their own way back.
        in_runtime(until("etcd", &self.log(), async || {
            self.gateway("kv/range", json!({"key": "AA=="})).await
        }));
    }

    /// Asks by HTTP and JSON, as anybody but the store does.
    async fn gateway(&self, call: &str, question: Value) -> Result<Value, String> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let body = question.to_string();
        let asked = async {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
            let head = format!(
                "POST /v3/{call} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = asked.await.map_err(|error| error.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        if !head.contains(" 200 ") {
            return Err(answer);
        }
        serde_json::from_str(body).map_err(|error| format!("{error}: {answer}"))
    }
}

impl Etcd {
    pub(crate) fn new() -> Self {
        Self {
            program: found("etcd.sh"),
            running: OnceLock::new(),
        }
    }

    fn running(&self) -> &RunningEtcd {
        let program = self.program.as_ref().unwrap();
        self.running.get_or_init(|| RunningEtcd::start(program))
    }
}

impl Fixture for Etcd {
    fn missing(&self) -> Option<String> {
        self.program.clone().err()
    }

    fn prepare(&self) {
        self.running();
    }

    fn open<'a>(&'a self, area: &'a str) -> Later<'a, Store> {
        Box::pin(async move {
            let options = EtcdOptions {
                endpoints: vec![self.running().url()],
                prefix: format!("/{area}"),
                ..EtcdOptions::default()
            };
            Store::new(Arc::new(EtcdStore::new(&options).unwrap()))
        })
    }

    fn told(&self, area: &str) -> Option<Vec<(&'static str, String)>> {
        let store = format!("etcd:{}", self.running().url());
        Some(vec![("SSA_STORE", store), ("SSA_STORE_PREFIX", format!("/{area}"))])
    }

    fn restart(&self) {
        std::thread::scope(|scope| scope.spawn(|| self.running().restart()).join().unwrap());
    }

    fn forget<'a>(&'a self, _: &'a str) -> Later<'a, ()> {
        Box::pin(async move {
            let running = self.running();
            let status = running.gateway("kv/range", json!({"key": "AA=="})).await.unwrap();
            let order = json!({"revision": status["header"]["revision"], "physical": true});
            running.gateway("kv/compaction", order).await.unwrap();
        })
    }

    fn spoil<'a>(&'a self, area: &'a str, kind: Kind, object: Value) -> Later<'a, ()> {
        Box::pin(async move {
            let key = format!(
                "/{area}/{}/{}",
                kind.plural(),
                object["metadata"]["name"].as_str().unwrap()
            );
            let value = json!({
                "generation": object["metadata"]["generation"], "spec": object["spec"], "status": object["status"]
            });
            let order = json!({"key": base64(key.as_bytes()), "value": base64(value.to_string().as_bytes())});
            self.running().gateway("kv/put", order).await.unwrap();
        })
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap();
            text.push(if place > chunk.len() {
                '='
            } else {
                ALPHABET[index].into()
            });
        }
    }
    text
}

/// The API server of Kubernetes, on an etcd of its own.
pub(crate) struct Kubernetes {
    programs: Result<(PathBuf, PathBuf), String>,
    running: OnceLock<RunningKubernetes>,
}

struct RunningKubernetes {
    etcd: RunningEtcd,
    port: u16,
    program: PathBuf,
    process: Mutex<Option<Process>>,
}

/// The token of an administrator of a cluster that lives for as long as a test.
const TOKEN: &str = "test-administrator";

impl RunningKubernetes {
    fn start((program, etcd): &(PathBuf, PathBuf)) -> Self {
        let running = Self {
            etcd: RunningEtcd::start(etcd),
            port: free_port(),
            program: program.clone(),
            process: Mutex::new(None),
        };
        let folder = running.folder();
        let key = folder.join("service-accounts.key");
        let made = Command::new("openssl")
            .args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"])
            .arg(&key)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        fs::write(
            folder.join("tokens.csv"),
            format!("{TOKEN},administrator,administrator,system:masters\n"),
        )
        .unwrap();
        running.restart();
        in_runtime(running.define());
        running
    }

    fn folder(&self) -> &Path {
        self.etcd.folder.path()
    }

    fn log(&self) -> PathBuf {
        self.folder().join("kube-apiserver.log")
    }

    fn restart(&self) {
        let mut process = self.process.lock().unwrap();
        drop(process.take());
        let file = |name: &str| self.folder().join(name).display().to_string();
        let arguments = [
            ("--etcd-servers", self.etcd.url()),
            ("--bind-address", "127.0.0.1".into()),
            ("--advertise-address", "127.0.0.1".into()),
            ("--secure-port", self.port.to_string()),
            ("--cert-dir", file("certificates")),
            ("--service-cluster-ip-range", "10.0.0.0/24".into()),
            ("--endpoint-reconciler-type", "none".into()),
            ("--authorization-mode", "RBAC".into()),
            ("--token-auth-file", file("tokens.csv")),
            ("--service-account-issuer", "https://kubernetes.default.svc".into()),
            ("--service-account-key-file", file("service-accounts.key")),
            ("--service-account-signing-key-file", file("service-accounts.key")),
        ];
        let arguments: Vec<String> = arguments
            .iter()
            .map(|(flag, value)| format!("{flag}={value}"))
            .collect();
        *process = Some(Process::start(&self.program, &arguments, &self.log()));
        drop(process);
        in_runtime(until("kube-apiserver", &self.log(), async || {
            let ready = http::Request::get("/readyz").body(Vec::new()).unwrap();
            self.client(TOKEN)
                .await?
                .request_text(ready)
                .await
                .map_err(|error| error.to_string())
        }));
    }

    /// Returns how to reach it with a token, as `kubectl` keeps it; its certificate is its own authority's, which it made as it started.
    fn kubeconfig(&self, token: &str) -> Result<Value, String> {
        let certificates =
            fs::read(self.folder().join("certificates/apiserver.crt")).map_err(|error| error.to_string())?;
        Ok(json!({
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port),
                "certificate-authority-data": base64(&certificates),
            }}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }))
    }

    async fn config(&self, token: &str) -> Result<kube::Config, String> {
        let file = serde_json::from_value(self.kubeconfig(token)?).map_err(|error| error.to_string())?;
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options).await;
        config.map_err(|error| error.to_string())
    }

    async fn client(&self, token: &str) -> Result<kube::Client, String> {
        kube::Client::try_from(self.config(token).await?).map_err(|error| error.to_string())
    }

    /// Writes as the administrator; what is there already stays.
    async fn make(&self, path: &str, object: &Value) -> Result<Value, kube::Error> {
        ask(
            &self.client(TOKEN).await.unwrap(),
            "POST",
            path,
            "application/json",
            object,
        )
        .await
    }

    /// Has it know the kinds.
    async fn define(&self) {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        for definition in crds() {
            until("a definition", &self.log(), async || self.make(path, &definition).await).await;
        }
        for kind in Kind::ALL {
            let (group, version) = (kind.group(), kind.version());
            let path = format!("/apis/{group}/{version}/{}", kind.plural());
            until("a kind", &self.log(), async || {
                let request = http::Request::get(&path).body(Vec::new()).unwrap();
                self.client(TOKEN).await.unwrap().request::<Value>(request).await
            })
            .await;
        }
    }
}

async fn ask(
    client: &kube::Client,
    method: &str,
    path: &str,
    content: &str,
    body: &Value,
) -> Result<Value, kube::Error> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content)
        .body(body.to_string().into_bytes())
        .unwrap();
    client.request(request).await
}

impl Kubernetes {
    pub(crate) fn new() -> Self {
        let programs = found("kube-apiserver.sh").and_then(|program| Ok((program, found("etcd.sh")?)));
        Self {
            programs,
            running: OnceLock::new(),
        }
    }

    fn running(&self) -> &RunningKubernetes {
        let programs = self.programs.as_ref().unwrap();
        self.running.get_or_init(|| RunningKubernetes::start(programs))
    }
}

impl Fixture for Kubernetes {
    fn missing(&self) -> Option<String> {
        self.programs.clone().err()
    }

    fn kubernetes(&self) -> Option<&Kubernetes> {
        Some(self)
    }

    fn prepare(&self) {
        self.running();
    }

    fn open<'a>(&'a self, area: &'a str) -> Later<'a, Store> {
        Box::pin(async move {
            let running = self.running();
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": area}});
            match running.make("/api/v1/namespaces", &namespace).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("{error}"),
            }
            let config = running.config(TOKEN).await.unwrap();
            Store::new(Arc::new(KubernetesStore::new(config, Some(area)).unwrap()))
        })
    }

    fn told(&self, area: &str) -> Option<Vec<(&'static str, String)>> {
        let running = self.running();
        let file = running.folder().join(format!("kubeconfig-{area}"));
        fs::write(&file, running.kubeconfig(TOKEN).unwrap().to_string()).unwrap();
        Some(vec![
            ("SSA_STORE", format!("kubernetes:{area}")),
            ("KUBECONFIG", file.display().to_string()),
        ])
    }

    fn restart(&self) {
        std::thread::scope(|scope| scope.spawn(|| self.running().restart()).join().unwrap());
    }

    /// It keeps what happened in memory, and what its etcd keeps beside that.
    fn forget<'a>(&'a self, area: &'a str) -> Later<'a, ()> {
        Box::pin(async move {
            let running = self.running();
            let status = running.etcd.gateway("kv/range", json!({"key": "AA=="})).await.unwrap();
            let order = json!({"revision": status["header"]["revision"], "physical": true});
            running.etcd.gateway("kv/compaction", order).await.unwrap();
            self.restart();
            let _ = area;
        })
    }

    fn spoil<'a>(&'a self, area: &'a str, kind: Kind, object: Value) -> Later<'a, ()> {
        Box::pin(async move {
            let path = format!(
                "/apis/{}/namespaces/{area}/{}/{}",
                kind.api_version(),
                kind.plural(),
                object["metadata"]["name"].as_str().unwrap()
            );
            let client = self.running().client(TOKEN).await.unwrap();
            let patch = json!({"spec": object["spec"]});
            ask(&client, "PATCH", &path, "application/merge-patch+json", &patch)
                .await
                .unwrap();
        })
    }
}

/// What only Kubernetes promises.
pub(crate) const OWN: &[(&str, bool, Case)] = &[
    ("an_agent_writes_its_own_objects_alone", false, |env| {
        Box::pin(policies::an_agent_writes_its_own_objects_alone(env))
    }),
    ("what_the_types_refuse_the_server_refuses", false, |env| {
        Box::pin(definitions::what_the_types_refuse_the_server_refuses(env))
    }),
    ("endpoints_follow_pods", false, |env| {
        Box::pin(endpoints_follow_pods(env))
    }),
    ("what_happened_is_told_as_an_event", false, |env| {
        Box::pin(what_happened_is_told_as_an_event(env))
    }),
];

/// The server takes events, and they are found by the object that they are about, as `kubectl describe` looks for them.
async fn what_happened_is_told_as_an_event(env: Env) {
    let running = env.fixture.kubernetes().unwrap().running();
    let (area, store) = (env.area.as_str(), env.open().await);
    let set = json!({"service": "s", "apl": "2:2001:db8:5::/64", "endpoints": {"list": []}});
    let set = SliceSet::new(Name::new("told").unwrap(), serde_json::from_value(set).unwrap());
    store.create(&set).await.unwrap();
    let occurrence = Occurrence {
        kind: Kind::SliceSet,
        name: set.name().clone(),
        reason: "TakenOver",
        message: "move told-2: 3 prefixes from a to b, for a is lost".to_owned(),
        warning: true,
    };
    for _ in 0..2 {
        store.publish(&occurrence, "controller-1").await.unwrap();
    }
    let client = running.client(TOKEN).await.unwrap();
    let group = "ssa.dev.example/v1alpha1";
    let path = format!("/apis/{group}/namespaces/{area}/slicesets/told");
    let object = ask(&client, "GET", &path, "application/json", &json!({}))
        .await
        .unwrap();
    let uid = object["metadata"]["uid"].as_str().unwrap();
    let events = format!("/api/v1/namespaces/{area}/events?fieldSelector=involvedObject.uid={uid}");
    let found = ask(&client, "GET", &events, "application/json", &json!({}))
        .await
        .unwrap();
    let found = found["items"].as_array().unwrap();
    assert_eq!(found.len(), 2);
    for event in found {
        assert_eq!(
            (&event["reason"], &event["type"]),
            (&json!("TakenOver"), &json!("Warning"))
        );
        assert_eq!(
            (&event["involvedObject"]["kind"], &event["count"]),
            (&json!("SliceSet"), &json!(1))
        );
        assert_eq!(event["message"], occurrence.message);
    }
    // About what is not there nothing is told.
    let gone = Occurrence {
        name: Name::new("gone").unwrap(),
        ..occurrence
    };
    let told = store.publish(&gone, "controller-1").await;
    assert!(matches!(told, Err(StoreError::NotFound { .. })), "{told:?}");
}

/// Waits until the endpoint of a pod is as it shall be; `None` where there is none.
async fn endpoint_is(running: &RunningKubernetes, store: &Store, wanted: impl Fn(Option<&SliceEndpoint>) -> bool) {
    until("the endpoint", &running.log(), async || {
        let found = match store.get::<SliceEndpointSpec>(&Name::new("web-0").unwrap()).await {
            Ok(found) => Some(found),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.to_string()),
        };
        if wanted(found.as_ref()) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

/// A leader has an endpoint for each pod that a set selects: from its address to its end.
async fn endpoints_follow_pods(env: Env) {
    let running = env.fixture.kubernetes().unwrap().running();
    let (area, store) = (env.area.as_str(), env.open().await);
    let client = running.client(TOKEN).await.unwrap();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app"}});
    running
        .make(&format!("/api/v1/namespaces/{area}/serviceaccounts"), &account)
        .await
        .unwrap();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {
        "name": "node-of-a-zone", "labels": {"topology.kubernetes.io/zone": "zone-a"},
    }});
    running.make("/api/v1/nodes", &node).await.unwrap();
    let set = json!({"service": "s", "apl": "2:2001:db8:5::/64", "endpoints": {"selector": {"app": "web"}}});
    let set = SliceSet::new(Name::new("one").unwrap(), serde_json::from_value(set).unwrap());
    store.create(&set).await.unwrap();

    let far = tokio::time::Instant::now() + Duration::from_hours(1);
    let (_leading, leads) = tokio::sync::watch::channel(Leading::Until(far));
    let controller = Controller::new(store.clone(), Options::default());
    let by = Name::new("controller-1").unwrap();
    let rounds = controller::run(
        controller,
        (store.clone(), by),
        leads,
        || Timestamp::from_millis(0),
        |_| {},
    );
    let story = async {
        let pods = format!("/api/v1/namespaces/{area}/pods");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "labels": {"app": "web"}},
            "spec": {"serviceAccountName": "app", "nodeName": "node-of-a-zone",
                     "containers": [{"name": "c", "image": "none",
                                     "ports": [{"name": "ssa-agent", "containerPort": 9476}]}]},
        });
        let made = running.make(&pods, &pod).await.unwrap();
        let status = async |ready: &str| {
            let patch = json!({"status": {
                "phase": "Running", "podIP": "fd00::1", "podIPs": [{"ip": "fd00::1"}],
                "conditions": [{"type": "Ready", "status": ready}],
            }});
            let path = format!("{pods}/web-0/status");
            ask(&client, "PATCH", &path, "application/merge-patch+json", &patch)
                .await
                .unwrap();
        };
        let uid = made["metadata"]["uid"].as_str().unwrap();
        status("False").await;
        endpoint_is(running, &store, |one| {
            one.is_some_and(|one| {
                let (owner, spec) = (one.metadata.owner.as_ref().unwrap(), &one.spec);
                let domain = spec.domain.as_ref().map(LabelValue::as_str);
                let port = spec.http_port.map(ssa_snapshot::Port::get);
                owner.uid == uid
                    && (spec.address.to_string().as_str(), domain, port) == ("fd00::1", Some("zone-a"), Some(9476))
                    && spec.drained
            })
        })
        .await;
        status("True").await;
        endpoint_is(running, &store, |one| one.is_some_and(|one| !one.spec.drained)).await;
        let path = format!("{pods}/web-0");
        let delete = async |seconds: u32| {
            let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": seconds});
            ask(&client, "DELETE", &path, "application/json", &options)
                .await
                .unwrap()
        };
        // Told to end, and ready as before.
        delete(30).await;
        endpoint_is(running, &store, |one| one.is_some_and(|one| one.spec.drained)).await;
        delete(0).await;
        endpoint_is(running, &store, |one| one.is_none()).await;
        // Another pod of this name.
        running.make(&pods, &pod).await.unwrap();
        status("True").await;
        endpoint_is(running, &store, |one| {
            one.is_some_and(|one| one.metadata.owner.as_ref().unwrap().uid != uid && !one.spec.drained)
        })
        .await;
    };
    tokio::select! {
        () = rounds => panic!("the rounds have ended"),
        () = story => {}
    }
}

impl RunningKubernetes {
    /// Returns a token of a service account; if a pod is named, one that is bound to it, as kubelet mounts them.
    async fn token(&self, area: &str, account: &str, pod: Option<&Value>) -> String {
        let mut spec = json!({"expirationSeconds": 3600});
        if let Some(pod) = pod {
            let (name, uid) = (&pod["metadata"]["name"], &pod["metadata"]["uid"]);
            spec["boundObjectRef"] = json!({"kind": "Pod", "apiVersion": "v1", "name": name, "uid": uid});
        }
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let path = format!("/api/v1/namespaces/{area}/serviceaccounts/{account}/token");
        let answer = self.make(&path, &request).await.unwrap();
        answer["status"]["token"].as_str().unwrap().to_owned()
    }

    async fn store_of(&self, area: &str, token: &str) -> Store {
        let config = self.config(token).await.unwrap();
        Store::new(Arc::new(KubernetesStore::new(config, Some(area)).unwrap()))
    }
}
