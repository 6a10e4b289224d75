#!/usr/bin/env python3
"""Checks the chart and the scripts beside it without a cluster; hack/chart.sh runs it."""

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback
from pathlib import Path

K8S = Path(__file__).resolve().parent.parent
ROOT = K8S.parent
sys.path.insert(0, str(ROOT / "e2e"))
from lib.helm import Helm, must, relabel, run  # noqa: E402

VALUES = Path(__file__).with_name("values.yaml")
# What Istio's sidecar keeps for itself.
RESERVED = [15000, 15001, 15002, 15004, 15006, 15008, 15009, 15020, 15021, 15053, 15090]
# Ours are labels of filters' metrics; these come from the scrape.
SCRAPED = {"namespace", "pod"}


class Skipped(Exception):
    """A check that cannot be made here, with the reason."""


def patches(filter_, applies):
    return [patch for patch in filter_["spec"]["configPatches"] if patch["applyTo"] == applies]


def extension(filter_):
    (patch,) = patches(filter_, "EXTENSION_CONFIG")
    return patch["patch"]["value"]


def plugin(filter_):
    """Returns the plugin configuration, as text."""
    return extension(filter_)["typed_config"]["config"]["configuration"]["value"]


def all_of(value):
    """Goes through everything in a value."""
    yield value
    if isinstance(value, dict):
        for inner in value.values():
            yield from all_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from all_of(inner)


class Checks:
    """Each method is a check, and its name the fact that it shows."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.helm = Helm(options.helm, folder)
        self.all = self.helm.objects("-f", VALUES)
        self.inbound = self.all["EnvoyFilter", "ssa-inbound"]
        self.outbound = self.all["EnvoyFilter", "ssa-outbound"]
        self.template = self._template(self.all)

    def _template(self, objects):
        (values,) = self.helm.read([objects["ConfigMap", "ssa-injection"]["data"]["istiod-values.yaml"]])
        return values["sidecarInjectorWebhook"]["templates"]["ssa"]

    # ---- what it renders

    def lint_finds_nothing(self):
        for flags in [(), ("-f", VALUES)]:
            code, text = self.helm.lint(*flags)
            assert code == 0 and "0 chart(s) failed" in text, text

    def without_services_no_sidecar_is_touched(self):
        kinds = {kind for kind, _ in self.helm.objects()}
        assert kinds == {"ConfigMap", "Pod"}, kinds

    def everything_is_in_its_namespace_and_none_is_cluster_wide(self):
        for (kind, name), item in self.all.items():
            assert item["metadata"].get("namespace") == "shop", (kind, name)
            assert not kind.startswith("Cluster") and kind != "CustomResourceDefinition", kind

    def every_policy_is_for_labelled_pods_alone(self):
        wanted = {
            "inbound": {"ssa-inbound": "enabled", "app": "store"},
            "outbound": {"ssa-outbound": "enabled", "app": "client"},
        }
        assert self.inbound["spec"]["workloadSelector"]["labels"] == wanted["inbound"]
        assert self.outbound["spec"]["workloadSelector"]["labels"] == wanted["outbound"]
        for kind in ("PeerAuthentication", "AuthorizationPolicy"):
            assert self.all[kind, "ssa-inbound"]["spec"]["selector"]["matchLabels"] == wanted["inbound"]
        for (kind, _), item in self.all.items():
            if kind in ("ServiceEntry", "DestinationRule"):
                assert item["spec"]["exportTo"] == ["."]
        assert [kind for kind, _ in self.all].count("EnvoyFilter") == 2

    def the_filter_is_first_on_each_port_and_by_ecds(self):
        def listeners(filter_):
            for patch in patches(filter_, "NETWORK_FILTER"):
                if patch["patch"]["operation"] == "MERGE":
                    continue
                assert patch["patch"]["operation"] == "INSERT_FIRST"
                value = patch["patch"]["value"]
                assert value["name"] == extension(filter_)["name"]
                discovery = value["config_discovery"]
                assert discovery["config_source"]["ads"] == {} and "default_config" not in discovery
                assert discovery["type_urls"] == [
                    "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm",
                    "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC",
                ]
                yield patch["match"]["context"], patch["match"]["listener"]

        assert list(listeners(self.inbound)) == [
            ("SIDECAR_INBOUND", {"name": "virtualInbound", "portNumber": port}) for port in (8080, 9000)
        ]
        assert list(listeners(self.outbound)) == [("SIDECAR_OUTBOUND", {"portNumber": port}) for port in (8080, 9000)]

    def istiod_makes_chains_for_the_ports_that_the_filter_stands_on(self):
        service = self.all["Service", "ssa-inbound"]
        assert service["metadata"]["annotations"] == {"networking.istio.io/exportTo": "~"}
        spec = service["spec"]
        assert spec["selector"] == self.inbound["spec"]["workloadSelector"]["labels"]
        assert spec["clusterIP"] == "None"
        assert spec["ports"] == [{"name": "http-8080", "port": 8080}, {"name": "tcp-9000", "port": 9000}]

    def connections_are_written_down_where_that_is_wanted(self):
        assert not patches(self.inbound, "LISTENER")
        filter_ = self.helm.objects("-f", VALUES, "--set", "inbound.accessLog=/dev/stdout")["EnvoyFilter", "ssa-inbound"]
        (patch,) = patches(filter_, "LISTENER")
        assert patch["match"]["listener"] == {"name": "virtualInbound"} and patch["patch"]["operation"] == "MERGE"
        (log,) = patch["patch"]["value"]["access_log"]
        assert log["typed_config"]["path"] == "/dev/stdout"
        assert "FILTER_STATE(wasm.ssa" in log["typed_config"]["log_format"]["json_format"]["ssa"]

    def the_module_is_checked_and_fails_closed(self):
        for filter_ in (self.inbound, self.outbound):
            value = extension(filter_)
            assert value["typed_config"]["@type"].endswith("filters.network.wasm.v3.Wasm")
            config = value["typed_config"]["config"]
            assert config["failure_policy"] == "FAIL_CLOSED" and config["name"] == value["name"]
            assert config["vm_config"]["vm_id"] == "ssa"
            remote = config["vm_config"]["code"]["remote"]
            assert remote["sha256"] == "0123456789abcdef" * 4
            assert remote["http_uri"]["uri"] == "http://ssa-module.shop.svc:8080/ssa_filter.wasm"
        names = {extension(filter_)["name"] for filter_ in (self.inbound, self.outbound)}
        assert len(names) == 2, names

    def an_image_needs_its_digest_and_may_have_a_secret(self):
        objects = self.helm.objects(
            "-f", VALUES, "--set", "module.serve.enabled=false,module.url=oci://r.example/f:1,module.pullSecret=pull"
        )
        vm = extension(objects["EnvoyFilter", "ssa-inbound"])["typed_config"]["config"]["vm_config"]
        assert vm["code"]["remote"]["http_uri"]["uri"] == "oci://r.example/f:1"
        assert vm["environment_variables"]["key_values"] == {"ISTIO_META_WASM_IMAGE_PULL_SECRET": "shop/pull"}
        assert ("Deployment", "ssa-module") not in objects

    def hosts_of_dialled_addresses_do_not_stay(self):
        def merged(filter_):
            for patch in patches(filter_, "CLUSTER"):
                if patch["patch"]["operation"] == "MERGE":
                    yield patch["match"]["cluster"], patch["patch"]["value"]

        assert list(merged(self.inbound)) == [
            ({"portNumber": port}, {"cleanup_interval": "60s"}) for port in (8080, 9000)
        ]
        outbound = list(merged(self.outbound))
        assert [cluster for cluster, _ in outbound] == [
            {"service": "store.example", "portNumber": 8080},
            {"service": "store.example", "portNumber": 9000},
            {"service": "other.example", "portNumber": 8080},
        ]
        for _, value in outbound:
            assert value["cleanup_interval"] == "60s"
            assert value["upstream_bind_config"]["source_address"] == {"address": "fd00:10:244::7", "port_value": 0}

    def a_source_is_pinned_only_where_one_is_given(self):
        objects = self.helm.objects("-f", VALUES, "--set", "outbound.source=")
        filter_ = objects["EnvoyFilter", "ssa-outbound"]
        assert not any("upstream_bind_config" in value for value in all_of(filter_) if isinstance(value, dict))
        assert "source" not in json.loads(plugin(filter_))

    def filters_find_the_shim_by_a_socket_that_the_shim_makes(self):
        for role, filter_ in (("inbound", self.inbound), ("outbound", self.outbound)):
            (cluster,) = [
                patch["patch"]["value"]
                for patch in patches(filter_, "CLUSTER")
                if patch["patch"]["operation"] == "ADD" and patch["patch"]["value"]["name"].startswith("ssa_resolver")
            ]
            (path,) = [
                value["pipe"]["path"] for value in all_of(cluster) if isinstance(value, dict) and "pipe" in value
            ]
            assert json.loads(plugin(filter_))["snapshot"]["cluster"] == cluster["name"]
            assert self._resolver(role)["socket"]["path"] == path

    def demoted_connections_have_a_cluster_of_their_own(self):
        named = json.loads(plugin(self.inbound))["demote_cluster"]
        added = [p["patch"]["value"] for p in patches(self.inbound, "CLUSTER") if p["patch"]["operation"] == "ADD"]
        (cluster,) = [value for value in added if value["name"] == named]
        assert cluster["circuit_breakers"]["thresholds"] == [{"max_connections": 16, "max_pending_requests": 16}]
        none = self.helm.objects("-f", VALUES, "--set", "inbound.demotedConnections=0")["EnvoyFilter", "ssa-inbound"]
        assert "demote_cluster" not in json.loads(plugin(none))
        assert "ssa_demoted" not in json.dumps(none)

    def the_mesh_knows_a_service_by_its_prefixes(self):
        entry = self.all["ServiceEntry", "ssa-store.example"]["spec"]
        assert entry["resolution"] == "NONE" and entry["hosts"] == ["store.example"]
        assert entry["addresses"] == ["2001:db8:5::/64", "2001:db8:6::/120"]
        assert [(port["number"], port["protocol"]) for port in entry["ports"]] == [(8080, "HTTP"), (9000, "TCP")]
        assert entry["subjectAltNames"] == ["spiffe://cluster.local/ns/shop/sa/store"]
        rule = self.all["DestinationRule", "ssa-store.example"]["spec"]["trafficPolicy"]
        assert rule == {"tls": {"mode": "ISTIO_MUTUAL"}, "connectionPool": {"tcp": {"maxConnections": 500}}}
        assert self.all["DestinationRule", "ssa-other.example"]["spec"]["trafficPolicy"]["tls"] == {"mode": "DISABLE"}

    # ---- what others make of it

    def _resolver(self, role):
        return json.loads(self.all["ConfigMap", f"ssa-resolver-{role}"]["data"]["resolver.json"])

    def the_resolver_takes_its_configurations(self):
        for role, services in (("inbound", 1), ("outbound", 2), ("both", 2)):
            file = self.folder / f"{role}.json"
            file.write_text(json.dumps(self._resolver(role)))
            text = must(self.options.resolver, "--check", "--config", file)
            assert text.strip() == f"{services} services", text

    def nobody_reads_more_than_its_role(self):
        for role, roles in (("inbound", ["inbound"]), ("outbound", ["outbound"]), ("both", ["inbound", "outbound"])):
            configuration = self._resolver(role)
            assert configuration["socket"]["peers"] == [{"uid": 1337, "roles": roles}]
            assert (configuration["socket"]["mode"], configuration["socket"]["group"]) == ("660", 1337)
        assert "store-keys" not in json.dumps(self._resolver("outbound")), "clients are told of masters"

    def the_kill_switch_reaches_the_shim(self):
        objects = self.helm.objects("-f", VALUES, "--set", "killSwitch=true")
        for role in ("inbound", "outbound", "both"):
            off = json.loads(objects["ConfigMap", f"ssa-resolver-{role}"]["data"]["resolver.json"])["off"]
            assert off is True and self._resolver(role)["off"] is False
        for name in ("ssa-inbound", "ssa-outbound"):
            assert objects["EnvoyFilter", name]["spec"] == self.all["EnvoyFilter", name]["spec"], "a push of listeners"

    def envoy_and_the_module_take_the_plugin_configurations(self):
        for role, file, filter_ in (
            ("inbound", "server.yaml", self.inbound),
            ("outbound", "client.yaml", self.outbound),
        ):
            code, told = self._validate(file, plugin(filter_))
            assert code == 0, f"{role} is refused: {told}"
            code, told = self._validate(file, plugin(filter_).replace('"role"', '"rule"'))
            assert code == 1 and "configuration refused" in told, f"{role} with a fault: {told}"

    def _validate(self, file, configuration):
        """Has Envoy check one of envoy/ with this plugin configuration and the clusters that it names."""
        lines = (ROOT / "envoy" / file).read_text().splitlines()
        start = next(number for number, line in enumerate(lines) if line.strip() == "value: |")
        end = next(
            number
            for number in range(start, len(lines))
            if lines[number].strip() == "}" and lines[number].startswith(" " * 22 + "}")
        )
        indented = textwrap.indent(configuration.strip(), " " * 22)
        text = "\n".join([*lines[: start + 1], indented, *lines[end + 1 :]]) + "\n"
        for name in ("ssa_resolver_inbound", "ssa_resolver_outbound"):
            if name in configuration:
                text = text.replace("ssa_resolver\n", name + "\n")
        text = text.replace("application_demoted", "ssa_demoted")
        folder = self.folder / "envoy"
        folder.mkdir(exist_ok=True)
        link = folder / "ssa_filter.wasm"
        if not link.exists():
            link.symlink_to(self.options.module)
        (folder / file).write_text(text)
        done = subprocess.run(
            [self.options.envoy, "--mode", "validate", "--log-level", "error", "-c", file],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    # ---- injection

    def a_server_is_given_shim_socket_secrets_and_slices(self):
        labels = {"ssa-inbound": "enabled"}
        annotations = {"ssa-secrets": "store-keys, more.keys"}
        for native in (True, False):
            spec = self.helm.inject(self.template, labels, annotations, native)
            inits = {container["name"]: container for container in spec["initContainers"]}
            wanted = ["ssa-anyip", "ssa-slices", "ssa-resolver"]
            assert [name for name in inits if name != "istio-proxy"] == wanted
            proxies = spec["initContainers"] if native else spec["containers"]
            (proxy,) = [container for container in proxies if container["name"] == "istio-proxy"]
            mount = {"name": "ssa-socket", "mountPath": "/run/ssa"}
            assert proxy["volumeMounts"] == [mount], "the sidecar reaches more than the socket"
            assert ("containers" in spec) != native
            shim = inits["ssa-resolver"]
            assert mount in shim["volumeMounts"] and shim["restartPolicy"] == "Always"
            assert shim["securityContext"]["runAsGroup"] == 1337, "its questions would be captured"
            assert shim["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            volumes = {volume["name"]: volume for volume in spec["volumes"]}
            assert volumes["ssa-config"]["configMap"]["name"] == "ssa-resolver-inbound"
            secrets = {
                mount["mountPath"]: volumes[mount["name"]]["secret"]["secretName"]
                for mount in shim["volumeMounts"]
                if "secret" in mount["name"]
            }
            assert secrets == {"/etc/ssa/secrets/store-keys": "store-keys", "/etc/ssa/secrets/more.keys": "more.keys"}
            assert inits["ssa-anyip"]["command"] == ["ssa-routes", "pod", "/etc/ssa/slices"]
            assert inits["ssa-anyip"]["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
            assert {mount["name"] for mount in spec["volumes"]} >= {
                m["name"] for c in inits.values() for m in c["volumeMounts"]
            }

    def a_client_is_given_no_slices_and_no_rights(self):
        spec = self.helm.inject(self.template, {"ssa-outbound": "enabled"}, {}, True)
        assert [container["name"] for container in spec["initContainers"]] == ["istio-proxy", "ssa-resolver"]
        assert "NET_ADMIN" not in json.dumps(spec)
        assert {volume["name"] for volume in spec["volumes"]} == {"ssa-socket", "ssa-config"}

    def who_is_both_is_told_both(self):
        labels = {"ssa-inbound": "enabled", "ssa-outbound": "enabled"}
        spec = self.helm.inject(self.template, labels, {"ssa-release": "blue", "ssa-slices": "none"}, True)
        (config,) = [volume for volume in spec["volumes"] if volume["name"] == "ssa-config"]
        assert config["configMap"]["name"] == "blue-resolver-both"
        assert "ssa-anyip" not in json.dumps(spec)

    def both_ways_to_istiod_hold_the_same_template(self):
        data = self.all["ConfigMap", "ssa-injection"]["data"]
        (operator,) = self.helm.read([data["istio-operator.yaml"]])
        assert operator["spec"]["values"]["sidecarInjectorWebhook"]["templates"]["ssa"] == self.template
        assert "@" not in re.sub(r"\S+@sha256:", "", self.template), "a mark is left"

    # ---- bad values

    def _refused(self, setting, place):
        code, text = self.helm.template("-f", VALUES, *setting)
        assert code != 0, f"{setting} is taken"
        assert place in text, f"{setting}: {text}"

    def reserved_ports_are_refused_everywhere(self):
        for port in RESERVED:
            self._refused(["--set", f"services[0].ports[0].number={port}"], "/services/0/ports/0/number")
            self._refused(["--set", f"services[0].outbound.port={port}"], "/services/0/outbound/port")
        self._refused(["--set", "inbound.exempt[0].ports[0]=15006"], "/inbound/exempt/0/ports/0")
        self._refused(["--set", "resolver.metricsPort=15090"], "/resolver/metricsPort")
        for port in (0, 65536):
            self._refused(["--set", f"services[0].ports[0].number={port}"], "/services/0/ports/0/number")

    def ports_beside_the_reserved_are_taken(self):
        for port in (1, 14999, 15003, 15005, 15007, 15022, 15091, 65535):
            code, text = self.helm.template("-f", VALUES, "--set", f"services[0].ports[0].number={port}")
            assert code == 0, text

    def bad_values_are_refused_with_their_place(self):
        for setting, place in (
            ("module.sha256=abc", "/module/sha256"),
            ("module.sha256=", "/module/sha256"),
            ("module.serve.enabled=false", "/module"),
            ("module.url=oci://r.example/f:1", "/module"),
            ("module.url=file:///f.wasm", "/module/url"),
            ("services[0].name=Store", "/services/0/name"),
            ("services[0].allowed[0]=2001:db8::/129", "/services/0/allowed/0"),
            ("services[0].allowed=null", "/services/0"),
            ("services[0].allowed[0]=10.0.0.0/8", "/services/0/allowed/0"),
            ("services[0].allowed[0]=::/0", "/services/0/allowed/0"),
            ("services[0].allowed[0]=2001:db8::/15", "/services/0/allowed/0"),
            ("services[0].addresses[0]=10.0.0.0/8", "/services/0/addresses/0"),
            ("services[1].static.apl=nonsense", "/services/1/static/apl"),
            ("services[1].static.apl=2:2001:db8:7::/64 2001:db8:8::/64", "/services/1/static/apl"),
            ("services[1].name=store.example", "services[1].name: store.example stands already at [0]"),
            (
                "services[1].inbound.mode=shadow,services[1].ports[0].protocol=TCP",
                "services[1].ports[0]: 8080 is TCP, and HTTP at services[0].ports[0]",
            ),
            ("inbound.exempt[0].sources[0]=10.0.0.0/8", "/inbound/exempt/0/sources/0"),
            ("services[0].inbound.mode=sometimes", "/services/0/inbound/mode"),
            ("services[0].inbound.mode=false", "/services/0/inbound/mode"),
            ("services[0].inbound.policy.exempt=allow", "invalid propertyName 'exempt'"),
            ("services[0].inbound.policy.legacy=drop", "/services/0/inbound/policy/legacy"),
            ("services[0].outbound.masters=both", "/services/0/outbound"),
            ("services[0].outbound.tls=SIMPLE", "/services/0/outbound/tls"),
            ("services[0].static.rules[0]=v=spf1", "/services/0/static/rules/0"),
            ("services[0].colour=red", "/services/0"),
            ("inbound.hold.connections=4097", "/inbound/hold/connections"),
            ("inbound.mtls=DISABLE", "/inbound/mtls"),
            ("inbound.principals[0]=spiffe://cluster.local/x", "/inbound/principals/0"),
            ("outbound.pool=0", "/outbound/pool"),
            ("outbound.source=10.0.0.1", "/outbound/source"),
            ("snapshot.waitS=301", "/snapshot/waitS"),
            ("killSwitch=maybe", "/killSwitch"),
            ("colour=red", "''"),
        ):
            self._refused(["--set", setting], place)

    def bits_past_a_length_are_refused_where_a_pattern_sees_them_and_by_the_shim(self):
        def shim(prefix):
            file = self.folder / "prefix.json"
            file.write_text(json.dumps({"services": [{"name": "a.example", "allowed": [prefix], "outbound": {}}]}))
            return run(self.options.resolver, "--check", "--config", file)

        taken = "2001:db8::/32 2001:0DB8:0:0:0:0:0:0/32 2001:db8:5::/48 2001:db8:0:1::/64 2001:db8::1:0/112 ::ffff:1.2.3.4/128"
        for prefix in taken.split():
            assert shim(prefix)[0] == 0, prefix
            code, text = self.helm.template("-f", VALUES, "--set", f"services[0].allowed[0]={prefix}")
            assert code == 0, f"{prefix}: {text}"
        refused = "2001:db8::/16 2001:db8:5::/32 2001:db8:5:1::/48 2001:db8:5:0:1::/64 2001:db8:5::1/64 2001:db8::1:1/112"
        for prefix in refused.split():
            code, text = shim(prefix)
            assert code == 2 and "services[0].allowed[0]" in text, f"{prefix}: {text}"
            self._refused(["--set", f"services[0].allowed[0]={prefix}"], "/services/0/allowed/0")

    # ---- what operations.md tells to do

    def _block(self, before):
        """Returns the first indented block after a text of operations.md, as it is to be typed."""
        text = (ROOT / "docs/operations.md").read_text()
        assert text.count(before) == 1, before
        return textwrap.dedent(re.search(r"\n\n((?: +\S.*\n|\n)+)", text.split(before)[1])[1])

    def the_values_to_begin_with_are_taken(self):
        values = self.folder / "first.yaml"
        values.write_text(self._block("A first `values.yaml`").replace("DIGEST", "0" * 64))
        objects = self.helm.objects("-f", values)
        file = self.folder / "first.json"
        file.write_text(objects["ConfigMap", "ssa-resolver-both"]["data"]["resolver.json"])
        assert must(self.options.resolver, "--check", "--config", file).strip() == "1 services"

    def a_configuration_can_be_checked_before_an_upgrade(self):
        folder = self.folder / "before"
        (folder / "bin").mkdir(parents=True)
        (folder / "k8s").mkdir()
        (folder / "k8s/chart").symlink_to(K8S / "chart")
        (folder / "bin/helm").symlink_to(self.options.helm.resolve())
        (folder / "bin/ssa-resolver").symlink_to(self.options.resolver.resolve())
        (folder / "values.yaml").write_text(VALUES.read_text())
        commands = self._block("**Before each upgrade**")
        script = f'cd "{folder}" && PATH="{folder}/bin:$PATH"\n{commands}'
        assert must("bash", "-euo", "pipefail", "-c", script).strip() == "2 services"
        # What no pattern sees.
        (folder / "values.yaml").write_text(VALUES.read_text().replace("2001:db8:5::/48", "2001:db8:5::/47"))
        code, text = run("bash", "-euo", "pipefail", "-c", script)
        assert code == 2 and "services[0].allowed[0]" in text, text

    def preflight_without_an_image_says_how_it_is_used(self):
        for words in [(), ("--help",)]:
            code, text = run(K8S / "preflight.sh", *words)
            assert code == 2 and text == "usage: k8s/preflight.sh IMAGE [NAMESPACE]\n", text

    # ---- monitoring

    def _metrics(self):
        """Returns the metrics that the documents of filter and shim tell of, with their labels."""
        known = {}
        for file in ("filter.md", "resolver.md"):
            for line in (ROOT / "docs" / file).read_text().splitlines():
                cells = [cell.strip() for cell in line.split("|")[1:-1]]
                if len(cells) < 3 or "`ssa_" not in cells[0]:
                    continue
                names = re.findall(r"`(ssa_\w+)`", cells[0])
                # As in `…_min_seconds`, `…_max_seconds`, `ssa_outbound_…`.
                for ending in re.findall(r"`…(\w+)`", cells[0]):
                    names += [re.sub(r"_min_seconds$", ending, name) for name in names]
                if "`ssa_outbound_…`" in cells[0]:
                    names += [name.replace("ssa_inbound_", "ssa_outbound_") for name in names]
                for name in names:
                    known[name] = set(re.findall(r"`(\w+)`(?= |,|:|$)", cells[1]))
        assert len(known) > 20, known
        return known

    def _used(self):
        """Returns each expression of dashboard and alerts, with where it is."""
        rules = self.all["PrometheusRule", "ssa"]["spec"]["groups"][0]["rules"]
        dashboard = json.loads(self.all["ConfigMap", "ssa-dashboard"]["data"]["ssa.json"])
        yield from ((rule["alert"], rule["expr"]) for rule in rules)
        for panel in dashboard["panels"]:
            yield from ((panel["title"], target["expr"]) for target in panel["targets"])
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield variable["name"], variable["query"]

    def dashboard_and_alerts_name_metrics_and_labels_that_exist(self):
        known = self._metrics()
        used = set()
        for place, text in self._used():
            bare = re.sub(r'"[^"]*"', '""', text)
            names = set(re.findall(r"\bssa_(?:inbound|outbound|resolver)_\w+", bare))
            assert names, f"{place} names no metric"
            assert names <= set(known), f"{place}: {names - set(known)}"
            used |= names
            for name, matchers in re.findall(r"\b(ssa_(?:inbound|outbound|resolver)_\w+)\{([^}]*)\}", bare):
                labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
                assert labels <= known[name] | SCRAPED, f"{place}: {name} has no {labels - known[name]}"
            for listed in re.findall(r"by \(([^)]*)\)", bare):
                labels = {label.strip() for label in listed.split(",")}
                possible = set.union(*(known[name] for name in names)) | SCRAPED
                assert labels <= possible, f"{place}: {labels - possible}"
            assert text.count("(") == text.count(")") and text.count("{") == text.count("}"), place
        for name in ("ssa_inbound_connections_total", "ssa_outbound_connections_total", "ssa_resolver_service_state"):
            assert name in used, name

    def values_of_labels_in_them_exist(self):
        words = set(
            re.findall(r"`(\w+)`", (ROOT / "docs/filter.md").read_text() + (ROOT / "docs/resolver.md").read_text())
        )
        for place, text in self._used():
            for label, value in re.findall(r'(ssa_verdict|ssa_outcome|ssa_part|state|outcome)\s*[=!]~?"([^"]*)"', text):
                for one in value.split("|"):
                    assert one in words, f"{place}: {label} is never {one}"

    def metrics_in_the_code_are_those_of_the_documents(self):
        known = self._metrics()
        sources = [*(ROOT / "filter/src").rglob("*.rs"), *(ROOT / "resolver-shim/src").rglob("*.rs")]
        text = "\n".join(source.read_text() for source in sources)
        for name in known:
            ending = re.sub(r"^ssa_(inbound|outbound|resolver)_", "", name)
            assert ending in text, f"{name} is in no source"

    def relabelling_makes_labels_of_what_envoy_flattens(self):
        (envoy, shim) = self.all["PodMonitor", "ssa"]["spec"]["podMetricsEndpoints"]
        assert (envoy["port"], envoy["path"]) == ("http-envoy-prom", "/stats/prometheus")
        assert (shim["port"], shim["path"]) == ("ssa-metrics", "/metrics")
        for flat, wanted in {
            # As an Envoy without stats_tags prints them.
            "ssa_inbound_connections_total_service___verdict_unclaimed_outcome_denied": {
                "__name__": "ssa_inbound_connections_total",
                "ssa_service": "_",
                "ssa_verdict": "unclaimed",
                "ssa_outcome": "denied",
            },
            "ssa_inbound_connections_total_service_web_demo_test_verdict_other_port_outcome_shadow_denied": {
                "__name__": "ssa_inbound_connections_total",
                "ssa_service": "web_demo_test",
                "ssa_verdict": "other_port",
                "ssa_outcome": "shadow_denied",
            },
            "ssa_inbound_violations_total_service_a_b_part_field_0": {
                "__name__": "ssa_inbound_violations_total",
                "ssa_service": "a_b",
                "ssa_part": "field_0",
            },
            "ssa_outbound_connections_total_service_a_b_outcome_no_snapshot": {
                "__name__": "ssa_outbound_connections_total",
                "ssa_service": "a_b",
                "ssa_outcome": "no_snapshot",
            },
            "ssa_outbound_connect_failures_total_service_a_b": {
                "__name__": "ssa_outbound_connect_failures_total",
                "ssa_service": "a_b",
            },
            "ssa_outbound_source_mismatches_total_service_a_b": {
                "__name__": "ssa_outbound_source_mismatches_total",
                "ssa_service": "a_b",
            },
            "ssa_inbound_snapshots_total_outcome_installed": {
                "__name__": "ssa_inbound_snapshots_total",
                "ssa_outcome": "installed",
            },
            "ssa_inbound_snapshot_age_max_seconds": {"__name__": "ssa_inbound_snapshot_age_max_seconds"},
            "ssa_outbound_held_connections": {"__name__": "ssa_outbound_held_connections"},
            "envoy_cluster_upstream_cx_total": None,
        }.items():
            assert relabel(envoy["metricRelabelings"], {"__name__": flat}) == wanted, flat
        # As a sidecar of Istio prints it.
        shadowed = {
            "__name__": "ssa_inbound_connections_total_service_store_example_verdict_outside_outcome",
            "authz_dry_run_result": "denied",
        }
        assert relabel(envoy["metricRelabelings"], shadowed) == {
            "__name__": "ssa_inbound_connections_total",
            "ssa_service": "store_example",
            "ssa_verdict": "outside",
            "ssa_outcome": "shadow_denied",
        }

    # ---- slices

    def routes_are_set_kept_and_taken_away(self):
        script = textwrap.dedent(
            """
            set -e
            ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up
            ip -6 addr add fd00::1/64 dev v0 nodad
            ip -6 route add 2001:db8:5:0:ffff::/80 via fd00::99
            pods() { printf 'item 2001:db8:5::/64\\nslice 2001:db8:5::/65 %s fd00::a n1 fd00::11\\nslice 2001:db8:5:0:8000::/65 b fd00::b n2 fd00::12\\nslice 2001:db8:5:0:4000::1/128 a fd00::a n1 fd00::11\\n' "$1"; }
            show() { ip -6 route show table local proto 199 | awk '{print $2}' | sort | xargs; ip -6 route show proto 199 | awk '{print $1, $3}' | sort | xargs; }
            pods a | ssa-routes pod -; pods a | ssa-routes node -; show
            pods b | ssa-routes pod - --keep; show
            pods b | ssa-routes pod -; show
            ssa-routes pod "$EMPTY"; show
            echo 'item 2001:db8:5::/64' | ssa-routes pod -; echo 'item 2001:db8:5::/64' | ssa-routes node -; show
            ip -6 route show 2001:db8:5:0:ffff::/80 | awk '{print $1, $3}'
            """
        )
        empty = self.folder / "empty"
        empty.mkdir()
        lines = self._routes(script, EMPTY=str(empty))
        both = "2001:db8:5:0:4000::1 2001:db8:5::/65"
        ways = "2001:db8:5:0:4000::1 fd00::a 2001:db8:5:0:8000::/65 fd00::12 2001:db8:5::/65 fd00::a"
        assert lines == [
            both,
            ways,
            both,
            ways,
            *["2001:db8:5:0:4000::1", ways] * 2,
            "",
            "",
            "2001:db8:5:0:ffff::/80 fd00::99",
        ], lines

    def a_node_that_comes_back_has_the_routes_that_it_can_have(self):
        # Of two pods near, one has another address by now.
        script = textwrap.dedent(
            """
            set -e
            ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up
            ip -6 addr add fd00::1/64 dev v0 nodad
            ssa-routes node "$KEPT" 2>&1 | grep ^ssa-routes
            ip -6 route show proto 199 | awk '{print $1, $3}'
            if ssa-routes node - <"$KEPT/store.routes" >/dev/null 2>&1; then echo taken; else echo refused; fi
            """
        )
        kept = self.folder / "kept"
        kept.mkdir()
        (kept / "store.routes").write_text(
            "item 2001:db8:5::/64\nslice 2001:db8:5::/65 a fd01::a n1 fd00::11\n"
            "slice 2001:db8:5:0:8000::/65 b fd00::b n2 fd00::12\n"
        )
        lines = self._routes(script, KEPT=str(kept))
        assert lines == [
            "ssa-routes: no route for 2001:db8:5::/65 yet",
            "2001:db8:5:0:8000::/65 fd00::12",
            "refused",
        ], lines

    def _routes(self, script, **env):
        """Returns the lines that a script printed which calls ssa-routes as node n1 and pod a, in namespaces of its own."""
        if run("unshare", "-Urn", "true")[0] != 0:
            raise Skipped("no user and network namespaces here")
        env = {**os.environ, "POD_NAME": "a", "NODE_NAME": "n1", **env}
        env["PATH"] = f"{K8S / 'images/resolver'}:{env['PATH']}:/usr/sbin:/sbin"
        return must("unshare", "-Urn", "bash", "-c", script, env=env).splitlines()

    def a_plan_reaches_pods_before_nodes_and_leaves_pods_last(self):
        kubectl = self.folder / "bin" / "kubectl"
        kubectl.parent.mkdir()
        kubectl.write_text(FAKE_KUBECTL)
        kubectl.chmod(0o755)
        cluster = self.folder / "cluster"
        cluster.mkdir()
        env = {
            **os.environ,
            "CLUSTER": str(cluster),
            "SSA": str(self.options.ssa),
            "PATH": f"{kubectl.parent}:{os.environ['PATH']}",
        }

        def pod(name, node, address, **more):
            status = {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": address}]}
            return {"metadata": {"name": name, **more}, "spec": {"nodeName": node}, "status": status}

        def apply(*pods):
            (cluster / "pods.json").write_text(json.dumps({"items": list(pods)}))
            (cluster / "log").write_text("")
            must(
                "bash",
                K8S / "slices/apply.sh",
                "shop",
                "store.example",
                "--apl",
                "2:2001:db8:5::/64",
                "--bits",
                "2",
                "--selector",
                "app=store",
                env=env,
            )
            return (cluster / "log").read_text().splitlines()

        def nodes(**ready):
            items = [
                {
                    "metadata": {"name": f"n{n}"},
                    "status": {
                        "addresses": [{"type": "InternalIP", "address": f"fd00::1{n}"}],
                        "conditions": [{"type": "Ready", "status": ready.get(f"n{n}", "True")}],
                    },
                }
                for n in (1, 2)
            ]
            (cluster / "nodes.json").write_text(json.dumps({"items": items}))

        nodes()
        daemons = [{"metadata": {"name": f"d{n}"}, "spec": {"nodeName": f"n{n}"}} for n in (1, 2)]
        (cluster / "daemons.json").write_text(json.dumps({"items": daemons}))
        leaving = pod("s9", "n1", "fd00::9", deletionTimestamp="2026-01-01T00:00:00Z")
        log = apply(pod("s0", "n1", "fd00::a"), leaving)
        assert log == ["create configmap", "s0 pod - --keep", "d1 node -", "d2 node -", "s0 pod -"], log
        assert (
            cluster / "routes"
        ).read_text() == "item 2001:db8:5::/64\nslice 2001:db8:5::/64 s0 fd00::a n1 fd00::11\n"
        kept = json.loads((cluster / "kept.json").read_text())["data"]
        assert kept["store.example.routes"] == (cluster / "routes").read_text()

        log = apply(pod("s0", "n1", "fd00::a"), pod("s1", "n2", "fd00::b"))
        assert log == [
            "patch configmap",
            "s0 pod - --keep",
            "s1 pod - --keep",
            "d1 node -",
            "d2 node -",
            "s0 pod -",
            "s1 pod -",
        ], log
        lines = (cluster / "routes").read_text().splitlines()
        assert [line.split()[2:] for line in lines[1:]] == [
            ["s0", "fd00::a", "n1", "fd00::11"],
            ["s1", "fd00::b", "n2", "fd00::12"],
        ], lines
        # A node answers no more: what its pod had goes to the other, and nothing is asked of it.
        nodes(n2="Unknown")
        log = apply(pod("s0", "n1", "fd00::a"), pod("s1", "n2", "fd00::b"))
        assert log == ["patch configmap", "s0 pod - --keep", "d1 node -", "s0 pod -"], log
        assert (
            cluster / "routes"
        ).read_text() == "item 2001:db8:5::/64\nslice 2001:db8:5::/64 s0 fd00::a n1 fd00::11\n"
        nodes()
        # One of two leaves: the other gets all, and the plan forgets it.
        apply(pod("s1", "n2", "fd00::b"))
        assert (
            cluster / "routes"
        ).read_text() == "item 2001:db8:5::/64\nslice 2001:db8:5::/64 s1 fd00::b n2 fd00::12\n"
        plan = json.loads(json.loads((cluster / "kept.json").read_text())["data"]["store.example.plan.json"])
        assert [endpoint["name"] for endpoint in plan["endpoints"]] == ["s1"]

    def the_shim_is_told_of_a_new_configuration(self):
        folder = self.folder / "shim"
        folder.mkdir()
        fake = folder / "ssa-resolver"
        # As the shim: SIGHUP reads again, SIGTERM ends it well.
        fake.write_text(
            "#!/bin/sh\ntrap 'echo hup' HUP\ntrap 'echo term; exit 0' TERM\necho started\nwhile :; do sleep 0.1; done\n"
        )
        fake.chmod(0o755)
        (folder / "resolver.json").write_text("{}")
        env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
        process = subprocess.Popen(
            [K8S / "images/resolver/ssa-shim", folder / "resolver.json"],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
            # No shell can trap what its parent ignores, as nohup makes it.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
            start_new_session=True,
        )
        # Whatever is waited for below comes within this time, or never.
        limit = threading.Timer(30, os.killpg, (process.pid, signal.SIGKILL))
        limit.start()
        try:
            assert process.stdout.readline() == "started\n"
            (folder / "resolver.json").write_text('{"off": true}')
            assert process.stdout.readline() == "hup\n"
            process.terminate()
            assert process.stdout.readline() == "term\n"
            assert process.wait(10) == 0
        finally:
            limit.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def examples_render_and_their_rules_are_sound(self):
        examples = sorted(path.parent for path in (K8S / "examples").glob("*/values.yaml"))
        assert [example.name for example in examples] == ["hopping", "naive", "sticky", "token"], examples
        for example in examples:
            objects = self.helm.objects("-f", example / "values.yaml", "--set", f"module.sha256={'0' * 64}")
            for role in ("inbound", "outbound"):
                file = self.folder / f"{example.name}-{role}.json"
                file.write_text(objects["ConfigMap", f"ssa-resolver-{role}"]["data"]["resolver.json"])
                must(self.options.resolver, "--check", "--config", file)
                (service,) = json.loads(file.read_text())["services"]
                static = service["static"]
                _, text = run(
                    self.options.ssa,
                    "lint",
                    "--apl",
                    static["apl"],
                    *[word for rule in static["rules"] for word in ("--rule", rule)],
                    *[word for address in static["addresses"] for word in ("--aaaa", address)],
                    "--no-notes",
                )
                assert "0 errors" in text, f"{example.name}: {text}"


# Answers from files, and writes down what is done.
FAKE_KUBECTL = """#!/usr/bin/env python3
import json, os, sys
from pathlib import Path
folder, words = Path(os.environ["CLUSTER"]), sys.argv[1:]
if words[0] == "-n":
    words = words[2:]
def log(text):
    with open(folder / "log", "a") as file:
        print(text, file=file)
if words[:2] == ["get", "pods"]:
    print((folder / ("daemons.json" if "ssa-routes=node" in words else "pods.json")).read_text())
elif words[:2] == ["get", "nodes"]:
    print((folder / "nodes.json").read_text())
elif words[:2] == ["get", "configmap"]:
    kept = folder / "kept.json"
    if kept.exists():
        print(kept.read_text())
elif words[0] in ("create", "patch"):
    (folder / "kept.json").write_text(Path(words[-1]).read_text())
    log(words[0] + " configmap")
elif words[0] == "exec":
    (folder / "routes").write_text(sys.stdin.read())
    log(" ".join([words[2], *words[words.index("ssa-routes") + 1:]]))
else:
    sys.exit(f"no answer to {words}")
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("helm", "envoy", "module", "ssa", "resolver"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    options = parser.parse_args()
    passed, failed, skipped = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        checks = Checks(options, Path(folder))
        for name, check in vars(Checks).items():
            if name.startswith("_"):
                continue
            fact = name.replace("_", " ")
            try:
                check(checks)
            except Skipped as why:
                skipped += 1
                print(f"SKIPPED: {fact}: {why}")
            except Exception:  # whatever it is, the other checks go on
                failed += 1
                print(f"FAILED: {fact}")
                print(textwrap.indent(traceback.format_exc(), "  | "))
            else:
                passed += 1
                print(f"ok: {fact}")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
