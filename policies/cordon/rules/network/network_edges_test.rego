package cordon.rules.network_test

import data.cordon.rules.network
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"network.denied although allowed": ["The endpoint is on the denylist: \"198.18.0.1\""],
	"network.host_not_plain address": ["The host is not spelled plainly: \"::1\""],
	"network.not_allowed host": ["The endpoint is not on the allowlist: \"tcp://example.test:443\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := network.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

edge_reach(endpoints) := json.patch(testing.bases.egress, [{
	"op": "replace",
	"path": "/intent/scope/endpoints",
	"value": endpoints,
}])

test_an_endpoint_without_a_host_is_on_no_list if {
	request := edge_reach([{"port": 443, "proto": "tcp"}])
	"network.not_allowed" in {reason.code | some reason in network.deny} with input as request
}

test_no_network_without_an_endpoint_granted if {
	network.mode == "deny_all" with input as edge_reach([])
	network.mode == "deny_all" with input as edge_reach([{"host": "example.test", "port": 443, "proto": "tcp"}])
	network.mode == "egress" with input as testing.bases.egress
}

test_only_plain_hosts_are_granted if {
	request := edge_reach([{"host": host, "port": 443, "proto": "tcp"} | some host in ["plain.test", "NOT_PLAIN.test"]])
	{endpoint.host | some endpoint in network.granted} == {"plain.test"} with input as request
		with network.allowlist as [{"host": "*.test", "ports": [443], "proto": "tcp"}]
}
