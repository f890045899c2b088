package main

import (
	"io"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"

	"rsc.io/qr"

	"github.com/legaltalent/kyc-agent/agent"
)

// showTOTP shows what an authenticator app is set up with: the secret for typing, the
// URL, and a QR code of it where the terminal can show one.
func (t *terminal) showTOTP(c agent.Challenge, vars config.Environ) {
	t.printf("Secret: %s", inFours(c.TOTPSecret))
	if c.TOTPURL == "" {
		return
	}
	t.printf("URL: %s", c.TOTPURL)
	code, err := qr.Encode(c.TOTPURL, qr.L)
	if err != nil { // longer than any QR code
		return
	}
	if !isUTF8(vars) || vars.Get("TERM") == "dumb" {
		return
	}
	drawing := drawQR(code)
	columns, rows := t.size()
	if width := code.Size + 2*quietZone; columns < width || rows <= len(drawing) {
		t.printf("(in a terminal of %d columns and %d lines this would be a QR code as well)", width, len(drawing)+1)
		return
	}
	_, _ = io.WriteString(t.f, strings.Join(drawing, "\n")+"\n")
}

// inFours writes a secret in groups of four, as people type it.
func inFours(s string) string {
	var groups []string
	for group := range slices.Chunk([]rune(s), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " ")
}

// isUTF8 reports whether the locale's characters are UTF-8: POSIX's order.
func isUTF8(vars config.Environ) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(vars.Get(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// quietZone is the width of the light frame around a QR code. The standard says 4, which
// does not fit on a terminal of 24 lines; readers are content with 2.
const quietZone = 2

// drawQR draws a QR code, two of its rows in one line of text. It says the colours,
// as a code with dark and light exchanged is not for every reader.
func drawQR(code *qr.Code) []string {
	const blackOnWhite, plain = "\x1b[30;107m", "\x1b[0m"
	blocks := map[[2]bool]rune{{false, false}: ' ', {true, false}: '▀', {false, true}: '▄', {true, true}: '█'}
	var lines []string
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		var line []rune
		for x := -quietZone; x < code.Size+quietZone; x++ {
			line = append(line, blocks[[2]bool{code.Black(x, y), code.Black(x, y+1)}])
		}
		lines = append(lines, blackOnWhite+string(line)+plain)
	}
	return lines
}
