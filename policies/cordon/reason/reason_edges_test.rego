package cordon.reason_test

import data.cordon.reason

test_the_sixth_value_is_counted if {
	reason.listed(["a", "b", "c", "d", "e"]) == `"a", "b", "c", "d", "e"`
	reason.listed(["a", "b", "c", "d", "e", "f"]) == `"a", "b", "c", "d", "e", and 1 more`
}
