# METADATA
# title: The decision
# description: |
#   Gathers what every concern below `cordon.rules` says. Allowed is what something grants and nothing denies; a package
#   added there takes part without being named here.
package cordon

import data.cordon.rules.atp
import data.cordon.rules.commands
import data.cordon.rules.env
import data.cordon.rules.lease
import data.cordon.rules.limits
import data.cordon.rules.matrix
import data.cordon.rules.network
import data.cordon.rules.paths
import data.cordon.rules.phases
import data.cordon.rules.reviews
import data.cordon.rules.risk
import data.cordon.rules.scope

# METADATA
# title: cordon/decision
# description: The one answer the executor asks for.
# entrypoint: true
decision := {
	"allow": allow,
	"reasons": reasons,
	"grants": grants,
	"obligations": obligations,
	"risk": {"score": risk.score, "band": risk.band, "factors": risk.factors},
	"policy_digest": policy_digest,
}

# METADATA
# scope: document
# description: A positive grant for every capability and command asked for, and no denial from any concern.
default allow := false

allow if {
	count(reasons) == 0
	matrix.all_granted
	commands.all_granted
}

# METADATA
# description: Every denial of every concern.
reasons contains reason if {
	some name

	# regal ignore:mixed-iteration
	some reason in data.cordon.rules[name].deny # walking the packages by name evaluates nothing but their `deny`
}

# METADATA
# scope: document
# description: Which line of the matrix grants each capability and each program asked for.
grants contains grant if some grant in matrix.grants

grants contains grant if some grant in commands.grants

# METADATA
# description: What the executor must do when it carries the decision out.
obligations := {
	"limits": limits.granted,
	"hard": matrix.hard,
	"soft": matrix.soft,
	"reviewers": reviews.required,
	"keys_required": phases.keys_required,
	"atp_cost": atp.cost,
	"lease_ttl_s": lease.ttl_granted,
	"scope": {
		"read": scope.granted_read,
		"write": scope.granted_write,
		"deny": paths.denylist,
		"commands": commands.granted,
		"env": env.granted,
		"network": network.mode,
		"endpoints": network.granted,
	},
}

# METADATA
# scope: document
# description: Digest of the bundle this was decided by, stamped into it when it was loaded.
default policy_digest := "sha256:0000000000000000000000000000000000000000000000000000000000000000"

policy_digest := data.cordon.stamp.digest
