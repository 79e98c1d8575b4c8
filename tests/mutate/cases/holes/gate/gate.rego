# A policy whose tests leave holes, each marked.
package gate

default allow := false

allow if {
	input.size < data.gate.max_size # hole: no test at the bound
	not blocked
	every tag in input.tags {
		tag in data.gate.tags # hole: no test with a good and a bad tag at once
	}
}

blocked if input.name in data.gate.banned
