package cordon.rules.limits_test

import data.cordon.rules.limits
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"limits.over_tier cpu_quota": ["The limit is above what the requester's tier has: \"cpu_quota 101 > 100\""],
	"limits.over_tier disk_quota_mb": ["The limit is above what the requester's tier has: \"disk_quota_mb 1025 > 1024\""],
	"limits.under_floor cpu_quota": ["The limit leaves nothing to run with: \"cpu_quota 4 < 5\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := limits.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

edge_messages(pids, cpu_quota) := messages if {
	request := json.patch(testing.hello, [
		{"op": "replace", "path": "/intent/limits/pids", "value": pids},
		{"op": "replace", "path": "/intent/limits/cpu_quota", "value": cpu_quota},
	])
	messages := {reason.msg | some reason in limits.deny} with input as request
}

test_only_what_is_out_of_bounds_is_named if {
	edge_messages(1, 4) == {`The limit leaves nothing to run with: "cpu_quota 4 < 5"`}
	edge_messages(256, 101) == {`The limit is above what the requester's tier has: "cpu_quota 101 > 100"`}
}
