package cordon.rules.shape_test

import data.cordon.rules.shape
import data.cordon.testing_test as testing

test_every_command_needs_a_program if {
	commands := [{"argv": ["echo"], "cwd": "/workspace"}, {"argv": [""], "cwd": "/workspace"}]
	request := json.patch(testing.hello, [{"op": "replace", "path": "/intent/commands", "value": commands}])
	"shape.no_command" in {reason.code | some reason in shape.deny} with input as request
}
