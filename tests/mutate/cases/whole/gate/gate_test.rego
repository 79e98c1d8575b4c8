package gate_test

import data.gate

test_largest_allowed if gate.allow with input as {"size": 9, "name": "alice"}

test_too_large if gate.allow == false with input as {"size": 10, "name": "alice"}

test_mallory if gate.allow == false with input as {"size": 1, "name": "mallory"}

test_trudy if gate.allow == false with input as {"size": 1, "name": "trudy"}

test_a_star_is_a_name if gate.allow with input as {"size": 1, "name": "*"}

test_blocked_is_the_list if {
	gate.blocked with input as {"name": "mallory"}
	not gate.blocked with input as {"name": "alice"}
}

test_list_is_complete if data.gate.banned == ["mallory", "trudy"]
