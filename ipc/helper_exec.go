package ipc

import (
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// exec answers `kyc-token exec` with the variables that the program it becomes finds
// the token in: NAME=value, to the end of the line, quoted for nobody.
func (a *api) exec(q helperRequest) (reply, error) {
	t, err := a.tokenOf(q.environment, q)
	if err != nil {
		return reply{}, err
	}
	var b strings.Builder
	for _, v := range variables(t, time.Now()) {
		b.WriteString(v.name + "=" + sanitize.OneLine(v.value) + "\n")
	}
	return answerWith(t, mediaText, b.String()), nil
}
