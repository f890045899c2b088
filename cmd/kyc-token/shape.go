package main

// What answers on the socket may be another program, such as one in a container that could
// write to the socket's folder. What it says is printed only if it has the shape of what was
// asked for: curl obeys its configuration, a shell its input, git each line of a helper.

import (
	"strings"
	"unicode/utf8"
)

// checkShape returns what to print of the answer text. It must be what kyc-agentd writes for
// these options, to the byte, but for the values.
func (o options) checkShape(text string) (string, error) {
	if text == "" && o.mayBeEmpty() {
		return "", nil
	}
	if o.mode == modeExec || o.mode == modeToken && o.format == "env" {
		return checkVariables(text, o.mode == modeToken)
	}
	check := o.shape()
	if check == nil {
		return "", failure{exitUsage, "is in a format that this version of kyc-token does not know: " + o.format + "; upgrade it"}
	}
	r := shapeReader{rest: text}
	check(&r)
	if r.wrong || r.rest != "" {
		return "", errShape
	}
	return text, nil
}

// errShape continues "PATH: the answer".
var errShape = failure{exitInternal, "is not what was asked for; " + checkSocket}

// shape returns what reads the answer, or nil.
func (o options) shape() func(*shapeReader) {
	switch o.mode {
	case modeGet:
		return (*shapeReader).bazel
	case modeGit:
		if o.operation == "capability" {
			return func(r *shapeReader) { r.literal("version 0\ncapability authtype\n") }
		}
		return (*shapeReader).git
	case modeTerraform:
		return (*shapeReader).terraform
	case modeGoauth:
		return (*shapeReader).goauth
	}
	switch o.format {
	case "", "token":
		return func(r *shapeReader) { r.around("", "\n") }
	case "header":
		return func(r *shapeReader) { r.around("Authorization: Bearer ", "\n") }
	case "curl":
		return func(r *shapeReader) { r.around(`oauth2-bearer = "`, "\"\n") }
	case "json":
		return (*shapeReader).json
	case formatK8s:
		return (*shapeReader).k8s
	case "google":
		return (*shapeReader).google
	case "claims":
		return (*shapeReader).claims
	case "aws":
		return (*shapeReader).aws
	}
	return nil
}

func (r *shapeReader) bazel() {
	r.around(`{"headers":{"Authorization":["Bearer `, `"]}`)
	if r.optional(`,"expires":"`) {
		r.time()
		r.literal(`"`)
	}
	r.literal("}\n")
}

func (r *shapeReader) git() {
	r.around("capability[]=authtype\nauthtype=Bearer\ncredential=", "\nephemeral=1\n")
	if r.optional("password_expiry_utc=") {
		r.number()
		r.literal("\n")
	}
}

func (r *shapeReader) terraform() {
	if !r.optional("{}\n") {
		r.around(`{"token":"`, "\"}\n")
	}
}

func (r *shapeReader) goauth() {
	for more := true; more; more = !r.wrong && r.rest != "" && r.rest[0] != '\n' {
		r.literal("https://")
		r.some(hostChar)
		r.literal("\n")
	}
	r.around("\nAuthorization: Bearer ", "\n\n")
}

func (r *shapeReader) k8s() {
	r.literal(`{"apiVersion":"client.authentication.k8s.io/v1`)
	r.optional("beta1")
	r.around(`","kind":"ExecCredential","status":{"token":"`, `"`)
	if r.optional(`,"expirationTimestamp":"`) {
		r.time()
		r.literal(`"`)
	}
	r.literal("}}\n")
}

func (r *shapeReader) google() {
	r.around(`{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:id_token","id_token":"`, `"`)
	if r.optional(`,"expiration_time":`) {
		r.number()
	}
	r.literal("}\n")
}

func (r *shapeReader) aws() {
	r.around(`{"Version":1,"AccessKeyId":"`, `"`)
	r.around(`,"SecretAccessKey":"`, `"`)
	r.around(`,"SessionToken":"`, `","Expiration":"`)
	r.time()
	r.literal("\"}\n")
}

// claims reads an object on one line of ASCII, which no terminal obeys. It does not look into
// it: nothing but a JSON parser reads claims.
func (r *shapeReader) claims() {
	end := len(r.rest) - 1
	r.wrong = end < 1 || r.rest[0] != '{' || r.rest[end] != '\n'
	for i := range end {
		if c := r.rest[i]; c < ' ' || c > '~' {
			r.wrong = true
		}
	}
	r.rest = ""
}

// jsonFields are those that json reads by name.
const jsonFields = " token token_type expires_at expires_in environment api_url user sub access_token "

func (r *shapeReader) json() {
	r.around(`{"token":"`, `","token_type":"Bearer","expires_at":"`)
	if !r.optional(`","expires_in":"`) { // an API key does not expire
		r.time()
		r.literal(`","expires_in":"`)
		r.number()
	}
	r.literal(`","environment":"`)
	r.some(nameChar)
	r.literal(`","api_url":"`)
	if url := r.jsonText(); url != "" && !isURL(url) {
		r.wrong = true
	}
	r.literal(`"`)
	for _, name := range []string{"user", "sub"} { // an older agent does not have them
		if r.optional(`,"` + name + `":"`) {
			r.jsonText()
			r.literal(`"`)
		}
	}
	if r.optional(`,"access_token":"`) {
		r.around("", `"`)
	}
	for r.optional(`,"`) { // a newer agent may have more
		if name := r.some(nameChar); strings.Contains(jsonFields, " "+name+" ") {
			r.wrong = true
		}
		r.literal(`":"`)
		r.jsonText()
		r.literal(`"`)
	}
	r.literal("}\n")
}

// A shapeReader reads an answer from its beginning. After the first thing that is not as it
// should be it is wrong, and stays so.
type shapeReader struct {
	rest  string
	wrong bool
}

// literal reads s.
func (r *shapeReader) literal(s string) {
	if !r.optional(s) {
		r.wrong = true
	}
}

// optional reads s if it is next, and reports whether it is.
func (r *shapeReader) optional(s string) (is bool) {
	if r.wrong {
		return false
	}
	r.rest, is = strings.CutPrefix(r.rest, s)
	return is
}

// some reads one character or more for which is returns true, and returns them.
func (r *shapeReader) some(is func(c byte) bool) string {
	n := 0
	for n < len(r.rest) && is(r.rest[n]) {
		n++
	}
	if n == 0 {
		r.wrong = true
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// around reads a token between before and after. What is between has the characters of a
// token68 (RFC 9110, 11.2), which no reader takes for anything else.
func (r *shapeReader) around(before, after string) {
	r.literal(before)
	r.some(tokenChar)
	r.literal(after)
}

func (r *shapeReader) number() { r.some(digit) }

// time reads a time in RFC 3339, in UTC and whole seconds.
func (r *shapeReader) time() {
	const form = "0000-00-00T00:00:00Z"
	if len(r.rest) < len(form) || !isTime(r.rest[:len(form)]) {
		r.wrong = true
		return
	}
	r.rest = r.rest[len(form):]
}

// isTime reports whether s looks like "2006-01-02T15:04:05Z".
func isTime(s string) bool {
	const form = "0000-00-00T00:00:00Z"
	if len(s) != len(form) {
		return false
	}
	for i := range len(form) {
		if form[i] == '0' && !digit(s[i]) || form[i] != '0' && form[i] != s[i] {
			return false
		}
	}
	return true
}

// isURL reports whether s is a URL that can be shown on one line.
func isURL(s string) bool {
	return (strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")) && oneLine(s) == s
}

// jsonText reads the inside of a JSON string, and returns what it stands for: one line that
// can be shown.
func (r *shapeReader) jsonText() string {
	var text []byte
	for r.rest != "" && r.rest[0] != '"' && !r.wrong {
		if r.rest[0] != '\\' {
			c, size := utf8.DecodeRuneInString(r.rest)
			text = utf8.AppendRune(text, c)
			r.rest = r.rest[size:]
			continue
		}
		text = utf8.AppendRune(text, r.jsonEscape())
	}
	if s := string(text); oneLine(s) == s {
		return s
	}
	r.wrong = true
	return ""
}

// jsonEscape reads one of the escapes that encoding/json writes for a character that can be
// shown: \" and \\, and \u for the characters of HTML.
func (r *shapeReader) jsonEscape() rune {
	for _, c := range [...]struct {
		escape string
		is     rune
	}{{`\"`, '"'}, {`\\`, '\\'}, {`\u003c`, '<'}, {`\u003e`, '>'}, {`\u0026`, '&'}} {
		if r.optional(c.escape) {
			return c.is
		}
	}
	r.wrong = true
	return 0
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func nameChar(c byte) bool { return 'a' <= c && c <= 'z' || digit(c) || c == '-' || c == '_' }

func tokenChar(c byte) bool { return unreserved(c) || c == '+' || c == '/' || c == '=' }

// hostChar is for a host of letters, digits and dots or an IPv6 address, and its port.
func hostChar(c byte) bool { return nameChar(c) || c == '.' || c == ':' || c == '[' || c == ']' }
