// Package shellquote makes the commands in messages safe to paste into a shell, and the
// values in a file safe for a shell to read.
package shellquote

import "strings"

// Quote returns s as one word for sh, bash and zsh. What needs no quotes has none: a
// path reads better so, and some programs that read NAME=value without a shell take
// quotes for a part of the value.
//
// A NUL, which no argument can hold, is left as it is.
func Quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, special) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// special reports whether r may mean something to a shell: zsh expands a word that
// begins with '=', and '%' begins the name of a job.
func special(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@,", r)
}
