package cordon.rules.lease_test

import data.cordon.rules.lease
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"lease.expired": ["The presented lease has expired: \"l-1\""],
	"lease.holder": ["The presented lease is someone else's: \"l-1\""],
	"lease.intent": ["The presented lease is for another intent: \"l-1\""],
	"lease.not_yet_valid": ["The presented lease is not valid yet: \"l-1\""],
	"lease.phase": ["The presented lease is for another phase: \"l-1\""],
	"lease.revoked": ["The presented lease was revoked: \"l-1\""],
	"lease.signature": ["The presented lease's signature does not verify: \"l-1\""],
	"lease.stale_policy": ["The presented lease was decided by another policy: \"l-1\""],
	"lease.ttl long": ["The lease's life is not within its bounds: \"601\""],
	"lease.used": ["The presented lease has been used: \"l-1\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := lease.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

test_a_life_below_nothing_is_nothing if {
	request := json.patch(testing.hello, [{"op": "replace", "path": "/facts/lease/ttl_s", "value": -5}])
	lease.ttl_granted == 0 with input as request
	lease.ttl_granted == 0 with input as json.remove(testing.hello, ["/facts/lease/ttl_s"])
	lease.ttl_granted == 60 with input as testing.hello
}
