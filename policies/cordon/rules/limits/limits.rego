# METADATA
# title: Limits and tiers
# description: |
#   What a task may use at most. The base tier is for everyone; a capability can lift single limits.
package cordon.rules.limits

import data.cordon.reason
import data.cordon.rules.matrix

# METADATA
# description: The most that may be asked for, by limit - the base tier, lifted by the capabilities granted.
ceiling := object.union_n(array.concat(
	[data.cordon.rules.limits.base],
	[lifted | some token, lifted in data.cordon.rules.limits.lifts; token in matrix.granted],
))

# METADATA
# title: The limit is above what the requester's tier has
# custom:
#   short_name: over_tier
#   remedy: Ask for less, or for the capability that lifts the limit (res:high_cpu, res:large_mem).
deny contains reason.from(rego.metadata.chain(), over) if not all_under

all_under if {
	every name, most in ceiling {
		input.intent.limits[name] <= most
	}
}

over := [sprintf("%s %v > %v", [name, input.intent.limits[name], most]) |
	some name, most in ceiling
	input.intent.limits[name] > most
]

# METADATA
# title: The limit leaves nothing to run with
# custom:
#   short_name: under_floor
#   remedy: Ask for at least the smallest value of limits/data.yaml.
deny contains reason.from(rego.metadata.chain(), under) if not all_over

all_over if {
	every name, least in data.cordon.rules.limits.floor {
		input.intent.limits[name] >= least
	}
}

under := [sprintf("%s %v < %v", [name, input.intent.limits[name], least]) |
	some name, least in data.cordon.rules.limits.floor
	input.intent.limits[name] < least
]

# METADATA
# description: The limits the task runs with - what it asked for; the floor while that is more than it may have.
granted := input.intent.limits if {
	all_under
	all_over
} else := data.cordon.rules.limits.floor
