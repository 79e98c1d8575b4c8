package cordon.rules.atp_test

import data.cordon.rules.atp
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"atp.insufficient": ["The request costs more ATP than the requester has: \"costs 2\""],
	"atp.nap": ["The requester is to rest - below the nap floor only cheap requests pass: \"costs 5\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := atp.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

test_cheap_requests_need_a_known_budget_too if {
	request := json.remove(testing.hello, ["/facts/budget/atp"])
	"atp.nap" in {reason.code | some reason in atp.deny} with input as request
}
