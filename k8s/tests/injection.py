"""What the injection template adds to a pod."""

import json
import re

from checks import VALUES, Checks


class Injection(Checks):
    """What the injection template adds to a pod."""

    def a_server_gets_shim_socket_secrets_and_slices(self) -> None:
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
            # It watches the file itself, which a mount of a single file (subPath) would never change.
            assert shim["command"] == ["ssa-resolver", "--config", "/etc/ssa/config/resolver.json"]
            assert {"name": "ssa-config", "mountPath": "/etc/ssa/config", "readOnly": True} in shim["volumeMounts"]
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

    def a_client_gets_no_slices_and_no_capabilities(self) -> None:
        spec = self.helm.inject(self.template, {"ssa-outbound": "enabled"}, {}, True)
        assert [container["name"] for container in spec["initContainers"]] == ["istio-proxy", "ssa-resolver"]
        assert "NET_ADMIN" not in json.dumps(spec)
        assert {volume["name"] for volume in spec["volumes"]} == {"ssa-socket", "ssa-config"}

    def a_pod_with_both_roles_is_configured_for_both(self) -> None:
        labels = {"ssa-inbound": "enabled", "ssa-outbound": "enabled"}
        spec = self.helm.inject(self.template, labels, {"ssa-release": "blue", "ssa-slices": "none"}, True)
        (config,) = [volume for volume in spec["volumes"] if volume["name"] == "ssa-config"]
        assert config["configMap"]["name"] == "blue-resolver-both"
        assert "ssa-anyip" not in json.dumps(spec)

    def both_ways_to_configure_istiod_contain_the_same_template(self) -> None:
        data = self.all["ConfigMap", "ssa-injection"]["data"]
        (operator,) = self.helm.read([data["istio-operator.yaml"]])
        assert operator["spec"]["values"]["sidecarInjectorWebhook"]["templates"]["ssa"] == self.template
        assert not re.findall(r"@[A-Z_]+@", self.template), "a mark is left"

    def clients_query_names_unchanged_if_configured(self) -> None:
        data = self.helm.objects("-f", VALUES, "--set", "outbound.ndots=2")["ConfigMap", "ssa-injection"]["data"]
        (values,) = self.helm.read([data["istiod-values.yaml"]])
        template = values["sidecarInjectorWebhook"]["templates"]["ssa"]
        client, server = {"ssa-outbound": "enabled"}, {"ssa-inbound": "enabled"}
        wanted = {"options": [{"name": "ndots", "value": "2"}]}
        assert self.helm.inject(template, client, {}, True)["dnsConfig"] == wanted
        assert self.helm.inject(template, client | server, {}, True)["dnsConfig"] == wanted
        own = {"DNSConfig": {"Options": [{"Name": "ndots", "Value": "1"}]}}
        for spec in (
            self.helm.inject(template, server, {}, True),
            self.helm.inject(template, client, {}, True, own),
            self.helm.inject(self.template, client, {}, True),
        ):
            assert "dnsConfig" not in spec, spec["dnsConfig"]
