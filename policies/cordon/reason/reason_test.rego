package cordon.reason_test

import data.cordon.reason

chain := [{
	"path": ["cordon", "rules", "host", "deny"],
	"annotations": {"title": "Full", "custom": {"short_name": "slots", "remedy": "Wait."}},
}]

test_reason if {
	reason.from(chain, []) == {"code": "host.slots", "msg": "Full", "remedy": "Wait."}
	reason.from(chain, ["a"]).msg == `Full: "a"`
	reason.from(chain, {"b", 7}).msg == `Full: "7", "b"`
}

test_values_are_quoted_and_cut if {
	reason.listed(["a\u0000\n"]) == `"a\x00\n"`
	reason.listed([sprintf("%0100d", [7])]) == sprintf("%q", [sprintf("%080d", [0])])
	reason.listed(["1", "2", "3", "4", "5"]) == `"1", "2", "3", "4", "5"`
	reason.listed(["1", "2", "3", "4", "5", "6", "7"]) == `"1", "2", "3", "4", "5", and 2 more`
	reason.listed([]) == ""
}

test_field if {
	reason.field({"a": 1}, "a") == 1
	reason.field({}, "a") == "(missing)"
}
