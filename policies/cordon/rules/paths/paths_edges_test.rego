package cordon.rules.paths_test

import data.cordon.rules.paths
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"paths.denied collect": ["The path is on the denylist: \"/workspace/key.pem\""],
	"paths.file_mode": ["The file's mode has more than permission bits: \"/workspace/a.txt\""],
	"paths.not_allowed beside": ["The path lies outside what may be used so: \"cwd\", \"/workspaces\""],
	"paths.not_plain NUL": ["The path is not spelled plainly: \"/workspace/a\\x00b\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := paths.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

edge_messages(path) := codes if {
	request := json.patch(testing.bases.tmp, [
		{"op": "replace", "path": "/intent/collect", "value": [path]},
		{"op": "replace", "path": "/intent/commands/0/cwd", "value": path},
		{"op": "replace", "path": "/intent/files", "value": [{"path": path, "mode": 420, "size": 1}]},
	])
	codes := {reason.msg | some reason in paths.deny} with input as request
}

test_the_capability_opens_tmp_to_work_in_and_nothing_else if {
	edge_messages("/tmp/a") == {sprintf("The path lies outside what may be used so: %q, \"/tmp/a\"", [use]) |
		some use in {"collect", "file"}
	}
	every use in {"collect", "cwd", "file"} {
		sprintf("The path lies outside what may be used so: %q, \"/opt/a\"", [use]) in edge_messages("/opt/a")
		sprintf("The path lies outside what may be used so: %q, \"/opt\"", [use]) in edge_messages("/opt")
	}
}

test_a_missing_path_is_shown_empty if {
	request := json.patch(testing.bases.file, [{"op": "remove", "path": "/intent/files/0/path"}])
	`The path is not spelled plainly: ""` in {reason.msg | some reason in paths.deny} with input as request
	nowhere := json.patch(testing.hello, [{"op": "remove", "path": "/intent/commands/0/cwd"}])
	`The path is not spelled plainly: ""` in {reason.msg | some reason in paths.deny} with input as nowhere
}

test_no_entry_has_a_large_letter if {
	every entry in paths.denylist {
		lower(entry) == entry
	}
}

test_denied_in_any_case_of_letters if {
	every path in {"/workspace/.SSH/config", "/workspace/A.PEM", "/workspace/.Git/Hooks/x", "/workspace/.GIT/CONFIG.WORKTREE"} {
		paths.denied(path)
	}
}

# Nothing that a decoder would take for another path; a percent sign that encodes nothing is a character.
test_nothing_is_encoded if {
	every path in {"/workspace/%2e%2e/a", "/workspace/a%2Fb", "/workspace/a%5c", "/workspace/%00", "/workspace/x%41", "/%9F"} {
		not paths.plain(path)
	}
	every path in {"/workspace/100%", "/workspace/%2", "/workspace/%2g", "/workspace/%g2", "/workspace/%%"} {
		paths.plain(path)
	}
}

test_a_broken_pattern_denies if {
	every broken in {"", 5, "%[0-9"} {
		not paths.plain("/workspace/a") with paths.encoded_pattern as broken
	}
}
