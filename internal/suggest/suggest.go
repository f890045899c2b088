// Package suggest finds the known name that somebody most likely meant to type.
//
//	suggest.Closest("stagng", []string{"prod", "staging"}) // "staging"
//
// It answers with one of the names that it got, and never with what was typed.
package suggest

import (
	"cmp"
	"strings"
)

// commands are what people type after kyc-token, which takes it for an environment, and what
// they have to type.
var commands = map[string]string{
	"auth": "kyc-agentd auth", "doctor": "kyc-agentd doctor", "list": "kyc-agentd list", "log": "kyc-agentd log", "login": "kyc-agentd login",
	"logout": "kyc-agentd logout", "ls": "kyc-agentd ls", "status": "kyc-agentd status", "wait": "kyc-agentd wait", "whoami": "kyc-agentd whoami",
	"help": "kyc-token -h", "version": "kyc-token -v", "token": "kyc-token", "claims": "kyc-token -f claims", "json": "kyc-token -f json",
}

// Environments is the hint of an error about an environment that is none of names.
func Environments(typed string, names []string) string {
	hint := "configured are: " + strings.Join(names, ", ")
	if meant := cmp.Or(Closest(typed, names), commands[typed]); meant != "" {
		hint = "did you mean " + meant + "? " + hint
	}
	return hint
}

// Closest returns the one of names that typed is a slip of: at most one letter wrong in
// three, or at most two letters wrong. It is "" if there is none, or if two are as close.
func Closest(typed string, names []string) string {
	best, least := "", min(2, len(typed)/3)+1
	for _, name := range names {
		switch d := distance(typed, name); {
		case d < least:
			best, least = name, d
		case d == least:
			best = ""
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap with the next one to make
// b of a: the optimal string alignment distance. It counts bytes; names are ASCII.
func distance(a, b string) int {
	if len(a) > len(b)+2 || len(b) > len(a)+2 { // too far for Closest
		return len(a) + len(b)
	}
	// rows[i][j] is the distance of a[:i] and b[:j].
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			if i == 0 || j == 0 {
				rows[i][j] = i + j
				continue
			}
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
