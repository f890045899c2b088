package support

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
)

// Whatever else goes wrong, these are in no bundle. Programs that log do not always know that
// they log a secret.
var secretPatterns = []*lazyregexp.Regexp{
	lazyregexp.New(`eyJ[\w-]{6,}(\.[\w-]*){1,4}`), // a token
	lazyregexp.New(`AGE-SECRET-KEY-[\w-]+`),
	lazyregexp.New(`\bsk_\w+`), // a service key of the KYC API
	lazyregexp.New(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)`),
	lazyregexp.New(`(?i)\b(bearer|basic) [\w+/=.~-]{8,}`),
	lazyregexp.New(`(?i)\b(password|secret|passwd|token)(\s*=\s*|["']\s*:\s*|:\s+)["']?[^\s"'(]+`),
}

var (
	userInfo = lazyregexp.New(`(\w+://)[^/\s"']+@`) // of a URL
	eMail    = lazyregexp.New(`[\w.+%-]+@[\w-]+(\.[\w-]+)+`)
	logged   = lazyregexp.New(`\b(?:KYC_USER|user)="?([^\s"]+)`)
)

// A masker replaces names of users, the same name by the same words, and secrets.
type masker struct {
	home  string
	users []string
}

// add has names replaced wherever they are.
func (m *masker) add(names ...string) {
	for _, name := range names {
		if name != "" && !slices.Contains(m.users, name) {
			m.users = append(m.users, name)
		}
	}
}

// mask returns text without what it should not have.
func (m *masker) mask(text string) string {
	for _, p := range secretPatterns {
		text = p.Get().ReplaceAllString(text, "(removed)")
	}
	if len(m.home) > 1 {
		text = strings.ReplaceAll(text, m.home, "~")
	}
	text = userInfo.Get().ReplaceAllString(text, "$1(removed)@")
	for _, found := range logged.Get().FindAllStringSubmatch(text, -1) {
		m.add(found[1])
	}
	m.add(eMail.Get().FindAllString(text, -1)...)
	for i, name := range m.users {
		word := regexp.MustCompile(`(^|[^\w.+-])` + regexp.QuoteMeta(name) + `($|[^\w+-])`)
		for range 2 { // names that share the character between them
			text = word.ReplaceAllString(text, fmt.Sprintf("${1}user-%d${2}", i+1))
		}
	}
	return text
}
