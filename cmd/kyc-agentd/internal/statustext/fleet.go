package statustext

import (
	"fmt"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// Fleet says what is known of the agents that share a sign-in: "revision 1790000012 by node-3;
// node-1 refreshes; seen: node-1, node-3". It is empty for a sign-in that is not shared.
func Fleet(e agent.EnvironmentStatus) string {
	f := e.Fleet
	if f == nil {
		return ""
	}
	parts := []string{"no record seen yet"}
	if f.Revision > 0 {
		parts[0] = fmt.Sprintf("revision %d", f.Revision)
	}
	if f.Writer != "" {
		parts[0] += " by " + sanitize.OneLine(f.Writer)
	}
	if f.Holder != "" {
		parts = append(parts, sanitize.OneLine(f.Holder)+" refreshes")
	}
	if f.Pending {
		parts = append(parts, "this agent has a newer refresh token, which the others do not have yet")
	}
	if len(f.Members) > 0 {
		parts = append(parts, "seen: "+Members(f))
	}
	return strings.Join(parts, "; ")
}

// maxMembers is how many names a line has.
const maxMembers = 8

// Members names the agents that were seen.
func Members(f *agent.FleetStatus) string {
	names := f.Members
	more := ""
	if len(names) > maxMembers {
		more = fmt.Sprintf(" and %d more", len(names)-maxMembers)
		names = names[:maxMembers]
	}
	return sanitize.OneLine(strings.Join(names, ", ")) + more
}
