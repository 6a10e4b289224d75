//! `ssa lint` of what is around a record: Envoy's configuration, and the resolver of this machine.

mod support;

use support::{file, ssa, text};

#[test]
fn what_is_no_configuration_of_envoy_is_refused() {
    for (name, content, wanted) in [
        ("none", "a: [1\nb: 2", "is neither YAML nor JSON (line 2, column"),
        ("text", "hello", "is not a configuration of Envoy"),
        ("empty", "", "is not a configuration of Envoy"),
        ("comment", "# static_resources:\n", "is not a configuration of Envoy"),
        (
            "other",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
            "is not a configuration of Envoy",
        ),
        ("json", "{\"services\": []}", "is not a configuration of Envoy"),
        ("bytes", "\u{0}\u{1}", "neither YAML nor JSON"),
        (
            "number",
            "admin: {}\nstatic_resources: 7\n",
            "static_resources: must be an object (line 2)",
        ),
        (
            "member",
            "static_resources:\n- listeners\n",
            "static_resources: must be an object",
        ),
        (
            "object",
            "filter_chains: {filters: []}\n",
            "filter_chains: must be a list (line 1)",
        ),
    ] {
        let path = file(&format!("lint_envoy_{name}"), content);
        ssa(&["lint", "--envoy", text(&path)])
            .exits(2)
            .tells(&["--envoy ", wanted]);
    }
    ssa(&["lint", "--envoy", "/no/such.yaml"])
        .exits(2)
        .tells(&["the directory /no does not exist"]);
}

#[test]
fn the_proxy_protocol_is_found_in_every_form_and_in_no_mention() {
    let kind = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
    let dump =
        format!("{{\"configs\": [{{\"listener_filters\": [\n{{\"typed_config\": {{\"@type\": \"{kind}\"}}}}]}}]}}");
    let map = format!(
        "kind: ConfigMap\ndata:\n  envoy.yaml: |\n    static_resources:\n      listeners:\n      - listener_filters:\n        - typed_config: {{\"@type\": {kind}}}\n"
    );
    for (name, content, lines) in [
        ("dump", dump, vec![2]),
        ("map", map, vec![7]),
        (
            "name",
            "listener_filters:\n- name: envoy.filters.listener.proxy_protocol\n".to_owned(),
            vec![2],
        ),
        (
            "flag",
            "filter_chains:\n- filters: []\n  use_proxy_proto: true\n- {useProxyProto: True}\n- {use_proxy_proto: false}\n".to_owned(),
            vec![3, 4],
        ),
        (
            "discovered",
            format!(
                "listener_filters:\n- name: envoy.filters.listener.proxy_protocol\n  config_discovery:\n    type_urls:\n    - type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector\n    - {kind}\n"
            ),
            vec![6],
        ),
        (
            "discovered_json",
            format!("{{\"listener_filters\": [{{\"configDiscovery\":\n{{\"typeUrls\": [\"{kind}\"]}}}}]}}"),
            vec![2],
        ),
        (
            "discovered_other",
            "listener_filters:\n- name: envoy.filters.listener.proxy_protocol\n  config_discovery:\n    type_urls: [type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector]\n".to_owned(),
            vec![],
        ),
        (
            "udpa",
            format!("listener_filters:\n- typed_config:\n    \"@type\": type.googleapis.com/udpa.type.v1.TypedStruct\n    type_url: {kind}\n"),
            vec![4],
        ),
        (
            "xds",
            format!("listener_filters:\n- typedConfig:\n    \"@type\": type.googleapis.com/xds.type.v3.TypedStruct\n    value: {{}}\n    typeUrl: {kind}\n"),
            vec![5],
        ),
        (
            "typed_struct_alone",
            format!("name: a\ntyped_config:\n  \"@type\": type.googleapis.com/xds.type.v3.TypedStruct\n  type_url: {kind}\n"),
            vec![4],
        ),
        (
            "second",
            "listener_filters:\n- typed_config: {\"@type\": type.googleapis.com/envoy.config.filter.listener.proxy_protocol.v2.ProxyProtocol}\n".to_owned(),
            vec![2],
        ),
        (
            "upstream",
            "static_resources:\n  clusters:\n  - transport_socket:\n      typed_config: {\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport}\n".to_owned(),
            vec![],
        ),
        (
            "mention",
            format!("static_resources: {{}} # {kind}\nadmin:\n  note: \"# {kind}\"\n"),
            vec![],
        ),
        (
            "other",
            "resources:\n- \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n".to_owned(),
            vec![],
        ),
    ] {
        let path = file(&format!("lint_proxy_{name}"), &content);
        let run = ssa(&["lint", "--envoy", text(&path)]).exits(i32::from(!lines.is_empty()));
        for line in &lines {
            assert!(
                run.stdout.contains(&format!("{}:{line}: ", text(&path))),
                "{}",
                run.stdout
            );
        }
        assert_eq!(
            run.stdout.matches("[proxy-protocol]").count(),
            lines.len(),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn configurations_of_the_module_are_judged_as_it_judges_them() {
    let listener = |vm: &str, configuration: &str| {
        format!(
            r#"{{"static_resources": {{"listeners": [{{"filter_chains": [{{"filters": [{{"name": "ssa", "typed_config": {{
                "@type": "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm",
                "config": {{"vm_config": {vm}{configuration}}}}}}}]}}]}}]}}}}"#
        )
    };
    let text_of = |json: &str| {
        let value = serde_json::Value::from(json);
        format!(
            r#", "configuration": {{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": {value}}}"#
        )
    };
    let (ours, by_file) = (
        r#"{"vm_id": "ssa"}"#,
        r#"{"code": {"local": {"filename": "/a/ssa_filter.wasm"}}}"#,
    );
    let inbound = r#"{"role": "inbound", "snapshot": {"cluster": "ssa_resolver"}}"#;
    let key = "00112233445566778899aabbccddeeff";
    for (name, vm, configuration, wanted) in [
        ("good", ours, text_of(inbound), vec![]),
        ("none", ours, String::new(), vec!["configuration: missing"]),
        (
            "typo",
            by_file,
            text_of(&inbound.replace("inbound", "inbounds")),
            vec!["role: must be one of inbound, outbound"],
        ),
        (
            "fields",
            ours,
            text_of(&inbound.replace(r#""role""#, r#""hold": {"ms": 30001}, "colour": 1, "role""#)),
            vec!["hold.ms: must be an integer from 0 to 30000", "colour: unknown field"],
        ),
        ("text", ours, text_of("role: inbound"), vec!["not JSON"]),
        (
            "key",
            ours,
            text_of(&inbound.replace(r#""role""#, &format!(r#""secrets": {{"k1": "{key}"}}, "role""#))),
            vec![": "],
        ),
        (
            "struct",
            ours,
            r#", "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"role": "inbound"}}"#
                .to_owned(),
            vec!["is not a google.protobuf.StringValue"],
        ),
        (
            "other",
            r#"{"vm_id": "other", "code": {"local": {"filename": "/a/other.wasm"}}}"#,
            text_of("role: inbound"),
            vec![],
        ),
    ] {
        let path = file(&format!("lint_plugin_{name}"), &listener(vm, &configuration));
        let run = ssa(&["lint", "--envoy", text(&path)]).exits(i32::from(!wanted.is_empty()));
        let found = run.stdout.matches("[plugin-configuration]").count();
        assert_eq!(found, wanted.len(), "{name}: {}", run.stdout);
        let run = run.prints(&wanted);
        assert!(!run.stdout.contains(&key[..8]), "{}", run.stdout);
    }
    for sample in ["client.yaml", "server.yaml"] {
        let path = format!("{}/../envoy/{sample}", env!("CARGO_MANIFEST_DIR"));
        let run = ssa(&["lint", "--envoy", &path]);
        assert!(!run.stdout.contains("plugin-configuration"), "{}", run.stdout);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_resolver_is_looked_for_where_it_is_said_to_be() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("lint_resolver.sock");
    let _ = std::fs::remove_file(&path);
    let state = |path: &str| {
        let run = ssa(&["lint", "--host", "--json", "--resolver-socket", path]);
        let checks = run.json()["host"].as_array().cloned().expect("checks are a list");
        let check = checks
            .into_iter()
            .find(|check| check["code"] == "host-resolver")
            .expect("it is checked");
        (check["state"].as_str().map(str::to_owned), check["what"].to_string())
    };
    let (found, what) = state(text(&path));
    assert_eq!(found.as_deref(), Some("note"), "{what}");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let (found, what) = state(text(&path));
    assert_eq!(found.as_deref(), Some("fine"), "{what}");
    assert!(what.contains(text(&path)), "{what}");
    drop(listener);
    let (found, what) = state(text(&path));
    assert_eq!(found.as_deref(), Some("warning"), "{what}");
    ssa(&["lint", "--resolver-socket", "/x"]).exits(2);
}
