# METADATA
# title: Host exhaustion
# description: A request is refused rather than let the host run out of memory, disk, CPU or places.
package cordon.rules.host

import data.cordon.reason
import data.cordon.rules.host.reserve

# METADATA
# title: The host has not enough free memory
# custom:
#   short_name: memory
#   remedy: Try again when other tasks have ended, or ask for less memory.
deny contains reason.from(rego.metadata.chain(), []) if not memory_left

memory_left if input.facts.host.mem_free_mb - input.intent.limits.mem_quota_mb >= reserve.mem_mb

# METADATA
# title: The host has not enough free disk
# custom:
#   short_name: disk
#   remedy: Try again when other tasks have ended, or ask for less disk.
deny contains reason.from(rego.metadata.chain(), []) if not disk_left

disk_left if input.facts.host.disk_free_mb - input.intent.limits.disk_quota_mb >= reserve.disk_mb

# METADATA
# title: The host's CPUs are busy
# custom:
#   short_name: cpu
#   remedy: Try again later.
deny contains reason.from(rego.metadata.chain(), []) if not cpu_left

cpu_left if input.facts.host.cpu_free_percent >= reserve.cpu_percent

# METADATA
# title: All places for VMs are taken
# custom:
#   short_name: slots
#   remedy: Try again when another task has ended.
deny contains reason.from(rego.metadata.chain(), []) if not slot_left

slot_left if input.facts.host.vms_running < input.facts.host.vms_max
