package main

import "strings"

// checkVariables returns those lines of NAME=value that are the agent's to set: KYC_TOKEN,
// KYC_API_URL and KYC_TOKEN_EXPIRES_AT. With quoted, the values are quoted for a shell.
//
// Another name is an error, because many run a program in whatever reads them: LD_PRELOAD,
// PATH, BASH_ENV. Other names that begin with KYC_, which a newer agent may have, are left
// out: kyc-agentd itself reads its settings from such variables.
func checkVariables(text string, quoted bool) (string, error) {
	var out, seen string
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !found || name == "" || strings.Contains(seen, " "+name+" ") {
			return "", errShape
		}
		if !strings.HasPrefix(name, "KYC_") {
			return "", failure{exitInternal, "sets " + clean(name) + ", which is not for an agent to set; " + checkSocket}
		}
		seen += " " + name + " "
		if quoted {
			if value, found = unquote(value); !found {
				return "", errShape
			}
		}
		switch known, right := checkVariable(name, value); {
		case known && !right:
			return "", errShape
		case known:
			out += line
		}
	}
	if !strings.Contains(seen, " KYC_TOKEN ") {
		return "", errShape
	}
	return out, nil
}

// checkVariable reports whether kyc-token passes the variable on, and whether its value is
// what such a variable can have.
func checkVariable(name, value string) (known, right bool) {
	switch name {
	case "KYC_TOKEN":
		r := shapeReader{rest: value}
		r.around("", "")
		return true, !r.wrong && r.rest == ""
	case "KYC_API_URL":
		return true, value == "" || isURL(value)
	case "KYC_TOKEN_EXPIRES_AT":
		return true, value == "" || isTime(value)
	}
	return false, true
}

// unquote reads a value as internal/shellquote writes it: without quotes if a shell takes
// each of its characters for itself, or between single quotes.
func unquote(s string) (value string, ok bool) {
	inner, quoted := strings.CutPrefix(s, "'")
	if !quoted {
		for i := range len(s) {
			if c := s[i]; !unreserved(c) && !strings.Contains("/:@,+", string(rune(c))) || c == '~' {
				return "", false
			}
		}
		return s, true
	}
	inner, ended := strings.CutSuffix(inner, "'")
	value = replaceAll(inner, `'\''`, "\x00")
	if !ended || strings.Contains(value, "'") || strings.Contains(inner, "\x00") {
		return "", false
	}
	return replaceAll(value, "\x00", "'"), true
}
