package cordon.rules.risk_test

import data.cordon.rules.risk
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"risk.band_refused": ["The risk is in a band that is refused: \"score 100, band critical\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := risk.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

edge_factors(changes) := found if found := risk.factors with input as json.patch(testing.hello, changes)

test_factors_have_these_names_and_points if {
	edge_factors([]) == set()
	edge_factors([{"op": "replace", "path": "/intent/patch/size", "value": 1}]) == {{"name": "patch", "points": 10}}
	edge_factors([{"op": "replace", "path": "/intent/collect", "value": ["/workspace/core/a"]}]) == {{
		"name": "core paths",
		"points": 15,
	}}
	edge_factors([{"op": "replace", "path": "/facts/history/violations", "value": 1}]) == {{
		"name": "violations",
		"points": 10,
	}}
	edge_factors([{"op": "replace", "path": "/intent/limits/wallclock_timeout_s", "value": 121}]) == {{
		"name": "long run",
		"points": 5,
	}}
}

test_one_point_is_a_factor if {
	capability := {"risk": 1}
	risk.factors == {{"name": "capability base:execute", "points": 1}} with input as testing.hello
		with data.cordon.rules.matrix.capabilities as {"base:execute": capability}
}

test_what_is_weighed_must_be_known if {
	every path in {
		"/facts/history/violations",
		"/facts/history/runs",
		"/intent/patch/size",
		"/intent/limits/wallclock_timeout_s",
	} {
		codes := {reason.code | some reason in risk.deny} with input as json.remove(testing.hello, [path])
		"risk.band_refused" in codes
	}
}

test_every_band_says_whom_it_demands_and_whether_it_is_refused if {
	every band in risk.bands {
		is_array(band.reviewers)
		is_boolean(band.refused)
	}
}
