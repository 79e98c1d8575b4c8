package cordon.rules.network_test

import data.cordon.rules.network
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"network.capability_missing mode": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/network",
			"value": "egress",
		},
	},
	"network.capability_missing endpoint": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/intent/scope/endpoints/-",
			"value": {
				"host": "mirror.cordon.test",
				"port": 443,
				"proto": "tcp",
			},
		},
	},
	"network.no_endpoint none": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints",
			"value": [],
		},
	},
	"network.no_endpoint mode": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/network",
			"value": "deny_all",
		},
	},
	"network.host_not_plain upper case": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "MIRROR.cordon.test",
		},
	},
	"network.host_not_plain dot at the end": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "mirror.cordon.test.",
		},
	},
	"network.host_not_plain look-alike": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "m\u0456rror.cordon.test",
		},
	},
	"network.host_not_plain user": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "a@mirror.cordon.test",
		},
	},
	"network.host_not_plain star": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "*.mirror.cordon.test",
		},
	},
	"network.host_not_plain address": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "::1",
		},
	},
	"network.host_not_plain empty": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "",
		},
	},
	"network.host_not_plain label": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test",
		},
	},
	"network.host_not_plain long": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.te",
		},
	},
	"network.host_not_plain zero in front of a number": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "198.18.0.01",
		},
	},
	"network.host_not_plain number that is too large": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "198.18.0.256",
		},
	},
	"network.host_not_plain three numbers": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "198.18.1",
		},
	},
	"network.host_not_plain one number": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "3323068421",
		},
	},
	"network.host_not_plain hexadecimal number": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "198.18.0.0x1",
		},
	},
	"network.host_not_plain five numbers": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "198.18.0.10.10",
		},
	},
	"network.denied metadata": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "169.254.169.254",
		},
	},
	"network.denied although allowed": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0",
			"value": {
				"host": "198.18.0.1",
				"port": 80,
				"proto": "tcp",
			},
		},
	},
	"network.not_allowed port": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/port",
			"value": 22,
		},
	},
	"network.not_allowed name that looks like an address": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "198.18.0.test",
		},
	},
	"network.not_allowed host": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "example.test",
		},
	},
	"network.not_allowed longest label": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test",
		},
	},
	"network.not_allowed longest name": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/host",
			"value": "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.t",
		},
	},
	"network.not_allowed protocol": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/intent/scope/endpoints/0/proto",
			"value": "udp",
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

reachable := [
	["mirror.cordon.test", 80, "tcp"],
	["mirror.cordon.test", 443, "tcp"],
	["a.mirror.cordon.test", 443, "tcp"],
	["resolver.cordon.test", 53, "udp"],
	["198.18.0.10", 80, "tcp"],
	["198.18.0.10", 443, "tcp"],
	["198.18.0.10", 8080, "tcp"],
	["198.18.0.0", 80, "tcp"],
	["198.18.0.9", 80, "tcp"],
	["198.18.0.99", 80, "tcp"],
	["198.18.0.109", 80, "tcp"],
	["198.18.0.199", 80, "tcp"],
	["198.18.0.200", 80, "tcp"],
	["198.18.0.249", 80, "tcp"],
	["198.18.0.255", 80, "tcp"],
]

unreachable := [
	["mirror.cordon.test", 81, "tcp"],
	["mirror.cordon.test", 443, "udp"],
	["a.mirror.cordon.test", 80, "tcp"],
	["a.b.mirror.cordon.test", 443, "tcp"],
	["xmirror.cordon.test", 443, "tcp"],
	["mirror.cordon.test.evil.test", 443, "tcp"],
	["resolver.cordon.test", 53, "tcp"],
	["198.18.1.10", 80, "tcp"],
	["198.18.0.10.evil.test", 80, "tcp"],
	["198.18.0.10", 22, "tcp"],
	["198.18.0.001", 80, "tcp"],
	["198.18.0.256", 80, "tcp"],
	["198.18.0.1000", 80, "tcp"],
	["198.18.0.com", 80, "tcp"],
	["198.18.0.1x", 80, "tcp"],
]

# What each entry of the denylist is there for, written out a second time.
denied_examples := {
	"localhost": "localhost",
	"*.localhost": "a.localhost",
	"metadata.*.internal": "metadata.google.internal",
	"metadata": "metadata",
	"127.*.*.*": "127.0.0.1",
	"0.*.*.*": "0.0.0.0",
	"10.*.*.*": "10.0.2.2",
	"169.254.*.*": "169.254.169.254",
	"192.168.*.*": "192.168.122.1",
	"100.100.100.200": "100.100.100.200",
	"198.18.0.1": "198.18.0.1",
	"*.onion": "a.onion",
}

test_endpoints_of_the_allowlist_are_granted if {
	every endpoint in reachable {
		count(granted(endpoint)) == 1
	}
}

test_their_neighbours_are_not if {
	every endpoint in unreachable {
		count(granted(endpoint)) == 0
	}
}

test_every_denied_host_is_denied if {
	{entry | some entry in network.denylist} == object.keys(denied_examples)
	every entry, host in denied_examples {
		network.denied(host)
		[other | some other in network.denylist; glob.match(other, ["."], host)] == [entry]
	}
}

test_denied_hosts_are_never_granted if {
	every host in denied_examples {
		count(granted([host, 80, "tcp"])) == 0
	}
}

test_no_network_unless_granted if {
	network.mode == "deny_all" with input as testing.bases.hello
	network.mode == "egress" with input as testing.bases.egress
	network.granted == set() with input as json.patch(testing.bases.egress, [{
		"op": "replace",
		"path": "/intent/requester",
		"value": "cp15",
	}])
}

granted([host, port, proto]) := endpoints if {
	endpoints := network.granted with input as json.patch(testing.bases.egress, [{
		"op": "replace",
		"path": "/intent/scope/endpoints/0",
		"value": {"host": host, "port": port, "proto": proto},
	}])
}
