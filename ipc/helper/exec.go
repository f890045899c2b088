package helper

import (
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/format"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// answerExec answers `kyc-token exec` with the variables for the program that it becomes:
// NAME=value up to the end of the line, without quotes.
func answerExec(c *call) (Answer, error) {
	t, err := c.token(c.environment)
	if err != nil {
		return Answer{}, err
	}
	var b strings.Builder
	for _, v := range format.Variables(t, time.Now()) {
		b.WriteString(v.Name + "=" + sanitize.OneLine(v.Value) + "\n")
	}
	return answerWith(t, wire.MediaText, b.String()), nil
}
