# METADATA
# title: Lease admissibility
# description: How long a lease may live, and whether one that is presented may still be used.
package cordon.rules.lease

import data.cordon.reason
import data.cordon.rules.lease.settings

# METADATA
# title: The lease's life is not within its bounds
# custom:
#   short_name: ttl
#   remedy: Ask for a life of at least 1 second and at most what lease/data.yaml allows.
deny contains reason.from(rego.metadata.chain(), [reason.field(input.facts.lease, "ttl_s")]) if not within_bounds

within_bounds if {
	input.facts.lease.ttl_s >= 1
	input.facts.lease.ttl_s <= settings.ttl_most_s
}

# METADATA
# title: The lease would end before its task may
# custom:
#   short_name: shorter_than_task
#   remedy: Ask for a longer lease or a shorter wallclock_timeout_s.
deny contains reason.from(rego.metadata.chain(), []) if not long_enough

long_enough if input.facts.lease.ttl_s >= input.intent.limits.wallclock_timeout_s

# METADATA
# description: The longest life the lease may be issued with, seconds.
ttl_granted := max([0, min([settings.ttl_most_s, object.get(input, ["facts", "lease", "ttl_s"], 0)])])

# METADATA
# title: The presented lease's signature does not verify
# custom:
#   short_name: signature
#   remedy: Present the lease exactly as it was issued.
deny contains reason.from(rego.metadata.chain(), [reason.field(lease, "lease_id")]) if {
	some lease in input.facts.presented
	not holds("signature", lease)
}

# METADATA
# title: The presented lease is not valid yet
# custom:
#   short_name: not_yet_valid
#   remedy: Wait until the lease begins.
deny contains reason.from(rego.metadata.chain(), [reason.field(lease, "lease_id")]) if {
	some lease in input.facts.presented
	not holds("begun", lease)
}

# METADATA
# title: The presented lease has expired
# custom:
#   short_name: expired
#   remedy: Ask for a new lease.
deny contains reason.from(rego.metadata.chain(), [reason.field(lease, "lease_id")]) if {
	some lease in input.facts.presented
	not holds("unexpired", lease)
}

# METADATA
# title: The presented lease was revoked
# custom:
#   short_name: revoked
#   remedy: Find out why it was revoked; then ask for a new lease.
deny contains reason.from(rego.metadata.chain(), [reason.field(lease, "lease_id")]) if {
	some lease in input.facts.presented
	not holds("unrevoked", lease)
}

# METADATA
# title: The presented lease has been used
# custom:
#   short_name: used
#   remedy: Ask for a new lease; each serves one run.
deny contains reason.from(rego.metadata.chain(), [reason.field(lease, "lease_id")]) if {
	some lease in input.facts.presented
	not holds("unused", lease)
}

# METADATA
# title: The presented lease is someone else's
# custom:
#   short_name: holder
#   remedy: Present a lease that was issued to this requester.
deny contains reason.from(rego.metadata.chain(), [reason.field(lease, "lease_id")]) if {
	some lease in input.facts.presented
	not holds("holder", lease)
}

# METADATA
# title: The presented lease is for another intent
# custom:
#   short_name: intent
#   remedy: Present the lease that was issued for this intent.
deny contains reason.from(rego.metadata.chain(), [reason.field(lease, "lease_id")]) if {
	some lease in input.facts.presented
	not holds("intent", lease)
}

# METADATA
# title: The presented lease is for another phase
# custom:
#   short_name: phase
#   remedy: Ask for a lease in this phase.
deny contains reason.from(rego.metadata.chain(), [reason.field(lease, "lease_id")]) if {
	some lease in input.facts.presented
	not holds("phase", lease)
}

# METADATA
# title: The presented lease was decided by another policy
# custom:
#   short_name: stale_policy
#   remedy: Have the intent decided again by the policy that is loaded now, and ask for a new lease.
deny contains reason.from(rego.metadata.chain(), [reason.field(lease, "lease_id")]) if {
	some lease in input.facts.presented
	not holds("policy", lease)
}

holds("signature", lease) if lease.signature_valid == true

holds("begun", lease) if lease.not_before <= input.now

holds("unexpired", lease) if lease.expires_at > input.now

holds("unrevoked", lease) if lease.revoked == false

holds("unused", lease) if lease.used == false

holds("holder", lease) if lease.issued_to == input.intent.requester

holds("intent", lease) if lease.intent_id == input.intent.id

holds("phase", lease) if lease.phase == input.intent.phase

holds("policy", lease) if lease.policy_digest == data.cordon.stamp.digest
