# A policy whose tests notice every mutant.
package gate

default allow := false

allow if {
	input.size < data.gate.max_size
	not blocked
}

blocked if input.name in data.gate.banned
