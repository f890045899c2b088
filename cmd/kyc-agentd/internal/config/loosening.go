package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A Loosening is a key whose new value takes a protection away: programs could do more unasked, a
// secret would go elsewhere, or the agent records less or locks less.
type Loosening struct {
	Key     string
	was, is string
}

// String returns `environments.prod.confirm: "true" becomes "false"`.
func (l Loosening) String() string { return l.Key + ": " + shown(l.was) + " becomes " + shown(l.is) }

func shown(value string) string {
	if value == "" {
		return "unset"
	}
	return strconv.Quote(sanitize.OneLine(value))
}

// A class says of a key which changes of its value take a protection away. Every key has one,
// which a test holds: a new key cannot be forgotten.
type class struct {
	loosens func(was, is string) bool
	// ofNew says that the key counts in a new environment, too. Nobody has signed in to that, so
	// that most keys of it take nothing from anybody.
	ofNew bool
}

// The classes of keys. A list is compared as text with commas.
var (
	// harmless is for what decides neither who gets a secret nor what is recorded, and for a key
	// whose meaning other keys have.
	harmless = &class{loosens: func(_, _ string) bool { return false }}
	// moves is for where a secret is sent or kept, and whom the agent believes.
	moves = &class{loosens: func(was, is string) bool { return was != is }}
	// gives is for what programs get something by: not if it is unset.
	gives       = &class{loosens: given}
	givesUnseen = &class{loosens: given, ofNew: true}
	// adds is for a list of what programs may use.
	adds = &class{loosens: moreItems}
	// permits and protects are for true and false.
	permits  = &class{loosens: func(was, is string) bool { return is == "true" && was != "true" }, ofNew: true}
	protects = &class{loosens: func(was, is string) bool { return was == "true" && is != "true" }}

	auditClass = &class{loosens: func(was, is string) bool { return auditRank(is) < auditRank(was) }}
	// The daemon's own log has the heads of the audit log, at the level info.
	logClass  = &class{loosens: func(was, is string) bool { return hidesHeads(is) && !hidesHeads(was) }}
	flowClass = &class{loosens: func(was, is string) bool {
		return agent.AuthFlow(is).ShowsPassword() && !agent.AuthFlow(was).ShowsPassword()
	}}
	idleClass = &class{loosens: lessIdle}
)

func given(was, is string) bool { return is != "" && is != was }

func moreItems(was, is string) bool {
	had := strings.Split(was, ",")
	return is != "" && slices.ContainsFunc(strings.Split(is, ","), func(item string) bool { return !slices.Contains(had, item) })
}

// auditRank orders the settings of audit: a higher one proves more.
func auditRank(s string) int { return slices.Index([]string{"off", "on", "required"}, s) }

func hidesHeads(level string) bool { return level == "warn" || level == "error" }

// lessIdle reports whether the agent locks later, or not at all.
func lessIdle(was, is string) bool {
	before, after := parseIdle(was), parseIdle(is)
	return before > 0 && (after == 0 || after > before)
}

// Loosened returns the changes from old to new that take a protection away, each key with its
// values. A change that only forbids is none.
func Loosened(old, new Config) (changes []Loosening) {
	changes = append(loosenedEnvironments(old, new), loosenedSinks(old, new)...)
	changes = append(changes, loosenedSockets(old, new)...)
	for _, k := range topKeys {
		if was, is := k.get(old), k.get(new); k.class.loosens(was, is) {
			changes = append(changes, Loosening{k.key, was, is})
		}
	}
	for _, k := range autoLockKeys {
		if was, is := k.get(old.AutoLock), k.get(new.AutoLock); k.class.loosens(was, is) {
			changes = append(changes, Loosening{"auto_lock." + k.key, was, is})
		}
	}
	return changes
}

// loosenedEnvironments compares the environments. To remove one counts as well, because an
// environment of the same name could take its place, with its sign-in and none of its protections.
func loosenedEnvironments(old, new Config) (changes []Loosening) {
	for _, name := range old.Names() {
		if _, stays := new.Environments[name]; !stays {
			changes = append(changes, Loosening{"environments." + name, "configured", ""})
		}
	}
	for _, name := range new.Names() {
		was, existed := old.Environments[name]
		is := new.Environments[name]
		for _, f := range environmentFields {
			before, after := f.in(&was).String(), f.in(&is).String()
			if (existed || f.class.ofNew) && f.class.loosens(before, after) {
				changes = append(changes, Loosening{"environments." + name + "." + f.key, before, after})
			}
		}
	}
	return changes
}

// loosenedSinks returns the token files that are new, or that more users can read.
func loosenedSinks(old, new Config) (changes []Loosening) {
	for _, s := range new.Sinks {
		same := slices.IndexFunc(old.Sinks, func(o Sink) bool {
			return o.Environment == s.Environment && o.Path == s.Path && o.Format == s.Format
		})
		switch {
		case same < 0:
			changes = append(changes, Loosening{"sinks." + s.Environment.s, "", s.describe()})
		case s.fileMode()&^old.Sinks[same].fileMode() != 0:
			changes = append(changes, Loosening{"sinks." + s.Environment.s, old.Sinks[same].describe(), s.describe()})
		}
	}
	return changes
}

// loosenedSockets returns the sockets that are new, or that allow more.
func loosenedSockets(old, new Config) (changes []Loosening) {
	before := old.Policies()
	for _, p := range new.Policies() {
		was := ""
		if i := slices.IndexFunc(before, func(o agent.Policy) bool { return o.Socket == p.Socket }); i >= 0 {
			if p.Within(before[i]) {
				continue
			}
			was = describePolicy(before[i])
		}
		changes = append(changes, Loosening{"sockets." + p.Socket, was, describePolicy(p)})
	}
	return changes
}

// describePolicy writes every key of a socket, so that a person sees what it allows.
func describePolicy(p agent.Policy) string {
	text := fmt.Sprintf("allow %s of %s", joinedStrings(p.Allow), strings.Join(p.Environments, ","))
	if p.Allows(agent.AccessAPI) {
		text += fmt.Sprintf(", methods %s, paths %s", orAll(joinedStrings(p.Methods)), orAll(joinedPaths(p.Paths)))
	}
	if p.Rate.Count > 0 {
		text += fmt.Sprintf(", rate %d/%s", p.Rate.Count, p.Rate.Per)
	}
	if p.Confirm {
		text += ", confirm"
	}
	return text
}

func orAll(list string) string {
	if list == "" {
		return "all"
	}
	return list
}

func joinedStrings[S ~string](list []S) string {
	items := make([]string, len(list))
	for i, s := range list {
		items[i] = string(s)
	}
	return strings.Join(items, ",")
}

func joinedPaths(list []agent.PathPattern) string {
	items := make([]string, len(list))
	for i, p := range list {
		items[i] = p.String()
	}
	return strings.Join(items, ",")
}
