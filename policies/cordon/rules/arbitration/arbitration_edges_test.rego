package cordon.rules.arbitration_test

import data.cordon.rules.arbitration
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"arbitration.contradictory_review": ["A reviewer has said both yes and no: \"cp18\""],
	"arbitration.lease_overlap above": ["Another requester's lease writes in the same place: \"l-2\""],
	"arbitration.reviewers_disagree": ["The reviewers disagree: \"cp18\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := arbitration.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

edge_held(changes) := json.patch(testing.bases.beside, [object.union({"op": "replace"}, change) | some change in changes])

edge_codes(request) := codes if codes := {reason.code | some reason in arbitration.deny} with input as request

test_every_glob_of_the_other_lease_counts if {
	request := edge_held([{"path": "/facts/active_leases/0/write", "value": ["/workspace/docs/**", "/workspace/site/**"]}])
	"arbitration.lease_overlap" in edge_codes(request)
}

test_a_lease_of_nobody_is_in_the_way if {
	request := edge_held([{"path": "/facts/active_leases/0/requester", "value": ""}])
	"arbitration.lease_overlap" in edge_codes(request)
}

test_a_lease_on_everything_is_no_private_place if {
	request := edge_held([{"path": "/facts/active_leases/0/write", "value": ["/**"]}])
	"arbitration.lease_overlap" in edge_codes(request)
}

test_a_lease_beside_is_none_from_the_first_second_on if {
	request := edge_held([{"path": "/now", "value": 0}, {"path": "/facts/active_leases/0/expires_at", "value": 1}])
	not "arbitration.lease_overlap" in edge_codes(request)
}

test_what_is_not_renewed_was_renewed_no_time if {
	request := json.patch(testing.hello, [{"op": "replace", "path": "/facts/lease/renewals", "value": -1}])
	"arbitration.renewal_limit" in edge_codes(request)
}

test_a_human_does_not_stand_in_for_the_history if {
	passed := [{"op": "add", "path": "/facts/reviews/-", "value": testing.review("human", "PASS")}]
	forgotten := [{"op": "remove", "path": "/facts/history/violations"}]
	"arbitration.repeat_violator" in edge_codes(json.patch(testing.hello, array.concat(passed, forgotten)))
	not "arbitration.repeat_violator" in edge_codes(json.patch(testing.hello, passed))
}
