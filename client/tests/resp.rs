//! A client of real Redis servers, each with some of the slices.
#![cfg(all(target_os = "linux", feature = "resp"))]

mod redis;

use ssa_client::{
    Options, Service,
    resp::{Client, Value},
};
use ssa_testing::namespace::{Endpoint, Process, client_host, eventually, inside, program};

const RECORD: &str = "v=ssa1; addr=hash(obj):10 const(0):54";

/// Three endpoints; the first has two quarters.
const QUARTERS: [&[&str]; 3] = [
    &["2001:db8:5::/66", "2001:db8:5:0:4000::/66"],
    &["2001:db8:5:0:8000::/66"],
    &["2001:db8:5:0:c000::/66"],
];

struct Stores {
    endpoints: Vec<Endpoint>,
    servers: Vec<Option<Process>>,
}

impl Stores {
    fn start(arguments: &[&str]) -> Self {
        client_host();
        let endpoints: Vec<Endpoint> = (0..)
            .zip(QUARTERS)
            .map(|(number, own)| Endpoint::new(number, own))
            .collect();
        let start = |endpoint: &Endpoint| Some(redis::start(endpoint, arguments));
        let servers = endpoints.iter().map(start).collect();
        Self { endpoints, servers }
    }
}

fn client() -> Client {
    let service = Service::fixed("kv.example", Some("2:2001:db8:5::/64"), &[RECORD], Options::default());
    Client::new(service.expect("a service"), 6379)
}

fn with_redis(test: &str, body: impl AsyncFnOnce()) {
    inside(test, || {
        if program("redis-server").is_none() {
            eprintln!("SKIPPED: {test}: redis-server is not installed; make setup does it");
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(body());
    });
}

/// Returns which endpoint has a key: 0 to 2.
fn owner(client: &Client, key: &str) -> usize {
    let address = u128::from(*client.target(key.as_bytes()).expect("a target").address.ip());
    usize::try_from(address >> 62 & 3).expect("a quarter").saturating_sub(1)
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

#[test]
fn commands_of_many_keys_go_to_each_endpoint_with_its_own() {
    with_redis("commands_of_many_keys_go_to_each_endpoint_with_its_own", async || {
        let _stores = Stores::start(&[]);
        let client = client();
        let keys: Vec<String> = (0..60).map(|number| format!("user:{number}")).collect();
        let mut owned = [0_i64; 3];
        for key in &keys {
            owned[owner(&client, key)] += 1;
        }
        assert!(owned.iter().all(|count| *count > 3), "{owned:?}");

        let mut set = vec!["MSET".to_owned()];
        set.extend(keys.iter().flat_map(|key| [key.clone(), format!("value of {key}")]));
        assert_eq!(client.command(&set).await.expect("a reply"), Value::Status("OK".into()));
        // Each store has its own keys, and no others.
        for (number, count) in owned.into_iter().enumerate() {
            let of = |key: &&String| owner(&client, key) == number;
            let target = client
                .target(keys.iter().find(of).expect("a key").as_bytes())
                .expect("a target");
            let size = client.send(target, &[b"DBSIZE"]).await.expect("a reply");
            assert_eq!(size, Value::Integer(count), "endpoint {number}");
        }
        // Values come in the order of the keys, with gaps where there are none.
        let mut get = vec!["mget".to_owned(), "nobody".to_owned()];
        get.extend(keys.iter().rev().cloned());
        let mut expected = vec![Value::Null];
        expected.extend(keys.iter().rev().map(|key| bulk(&format!("value of {key}"))));
        assert_eq!(client.command(&get).await.expect("a reply"), Value::Array(expected));

        let command = |name: &str| [&[name.to_owned()], &keys[..]].concat();
        assert_eq!(
            client.command(&command("EXISTS")).await.expect("a reply"),
            Value::Integer(60)
        );
        assert_eq!(
            client.command(&command("TOUCH")).await.expect("a reply"),
            Value::Integer(60)
        );
        assert_eq!(
            client
                .command(&["DEL", "user:1", "user:2", "user:3", "nobody"])
                .await
                .expect("a reply"),
            Value::Integer(3)
        );
        assert_eq!(
            client.command(&command("UNLINK")).await.expect("a reply"),
            Value::Integer(57)
        );
        assert_eq!(client.command(&["GET", "user:9"]).await.expect("a reply"), Value::Null);
    });
}

#[test]
fn keys_of_one_tag_are_together_and_others_are_refused() {
    with_redis("keys_of_one_tag_are_together_and_others_are_refused", async || {
        let _stores = Stores::start(&[]);
        let client = client();
        let ok = Value::Status("OK".into());
        assert_eq!(
            client.command(&["SET", "{user:7}.name", "Ada"]).await.expect("a reply"),
            ok
        );
        assert_eq!(
            client
                .command(&["RENAME", "{user:7}.name", "{user:7}.old"])
                .await
                .expect("a reply"),
            ok
        );
        let script = "return redis.call('GET', KEYS[1]) .. ARGV[1]";
        let joined = client
            .command(&["EVAL", script, "1", "{user:7}.old", "!"])
            .await
            .expect("a reply");
        assert_eq!(joined, bulk("Ada!"));
        assert_eq!(
            client
                .command(&["MSETNX", "{a}1", "x", "{a}2", "y"])
                .await
                .expect("a reply"),
            Value::Integer(1)
        );

        let apart = (0..99)
            .map(|number| format!("k{number}"))
            .find(|key| owner(&client, key) != owner(&client, "k"));
        let error = client
            .command(&["RENAME", "k", &apart.expect("a key elsewhere")])
            .await
            .expect_err("apart");
        assert_eq!(
            error.to_string(),
            "RENAME: its keys are at 2 endpoints; keys with the same {hash tag} are at one"
        );
        let error = client.command(&["PING"]).await.expect_err("no key").to_string();
        assert_eq!(error, "PING: has no key, so no endpoint can be chosen for it");
        let error = client.command(&["MSET", "k"]).await.expect_err("no value").to_string();
        assert_eq!(error, "MSET: keys and values must come in turn");
        // An error of the store is a reply.
        client.command(&["SET", "text", "x"]).await.expect("a reply");
        let reply = client.command(&["INCR", "text"]).await.expect("a reply");
        assert!(
            matches!(&reply, Value::Error(text) if text.contains("not an integer")),
            "{reply:?}"
        );
    });
}

#[test]
fn commands_follow_each_other_on_a_connection_and_a_lost_store_concerns_its_own_keys() {
    with_redis(
        "commands_follow_each_other_on_a_connection_and_a_lost_store_concerns_its_own_keys",
        async || {
            let mut stores = Stores::start(&["--requirepass", "a-password"]);
            let client = client().with_setup(&["AUTH", "a-password"]);
            assert!(!format!("{client:?}").contains("a-password"));
            let counter = |number: u32| format!("counter:{}", number % 20);
            let many = (0..2000).map(|number| {
                let client = client.clone();
                async move { client.command(&["INCR", &counter(number)]).await.map(drop) }
            });
            futures_util::future::try_join_all(many).await.expect("replies");
            for number in 0..20 {
                assert_eq!(
                    client.command(&["GET", &counter(number)]).await.expect("a reply"),
                    bulk("100")
                );
            }

            stores.servers[1] = None;
            let (mut answered, mut lost) = (0, 0);
            for number in 0..20 {
                let key = counter(number);
                match (owner(&client, &key), client.command(&["GET", &key]).await) {
                    (1, Err(error)) => {
                        let address = client.target(key.as_bytes()).expect("a target").address.to_string();
                        assert!(error.to_string().contains(&address), "{error}");
                        lost += 1;
                    }
                    (0 | 2, Ok(value)) => {
                        assert_eq!(value, bulk("100"));
                        answered += 1;
                    }
                    other => panic!("{key}: {other:?}"),
                }
            }
            assert!(answered > 0 && lost > 0, "{answered} {lost}");
            // Another endpoint takes its slices: the client goes on with the same plan.
            stores.endpoints[2].take("2001:db8:5:0:8000::/66");
            let key = (0..20)
                .map(counter)
                .find(|key| owner(&client, key) == 1)
                .expect("a key");
            assert_eq!(
                client.command(&["SET", &key, "again"]).await.expect("a reply"),
                Value::Status("OK".into())
            );

            let refused = self::client()
                .with_setup(&["AUTH", "another"])
                .command(&["GET", "x"])
                .await
                .expect_err("refused");
            let told = refused.to_string();
            assert!(
                told.contains("what the connection begins with is refused: WRONGPASS") && !told.contains("another"),
                "{told}"
            );
        },
    );
}
