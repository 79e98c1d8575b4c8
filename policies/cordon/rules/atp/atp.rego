# METADATA
# title: ATP and the nap
# description: Every request costs. Who has little left is refused what costs much, and so naps until it has more.
package cordon.rules.atp

import data.cordon.reason
import data.cordon.rules.matrix

# METADATA
# scope: document
# description: What the request costs - a base, each capability, each command after the first, times the phase's factor.
default cost := 0

cost := factor * ((base + sum([matrix.capabilities[token].atp | some token in input.intent.capabilities])) + extra) if {
	factor := data.cordon.rules.atp.phase_factor[input.intent.phase]
	base := data.cordon.rules.atp.base
	extra := max([0, count(input.intent.commands) - 1])
}

# METADATA
# title: The request costs more ATP than the requester has
# custom:
#   short_name: insufficient
#   remedy: Wait until the budget is refilled, or ask for fewer capabilities and commands.
deny contains reason.from(rego.metadata.chain(), [sprintf("costs %v", [cost])]) if not affordable

affordable if cost <= input.facts.budget.atp

# METADATA
# title: The requester is to rest - below the nap floor only cheap requests pass
# custom:
#   short_name: nap
#   remedy: Wait until the budget is above the floor, or ask for something cheap.
deny contains reason.from(rego.metadata.chain(), [sprintf("costs %v", [cost])]) if not awake

awake if input.facts.budget.atp >= data.cordon.rules.atp.nap_floor

awake if {
	is_number(input.facts.budget.atp)
	cost < data.cordon.rules.atp.nap_cost
}
