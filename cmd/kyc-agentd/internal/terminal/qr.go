package terminal

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"rsc.io/qr"

	"github.com/legaltalent/kyc-agent/agent"
)

// ShowTOTP shows what sets up an authenticator app: the secret for typing, the URL, and its
// QR code if the terminal is UTF-8 and large enough.
func (t *Terminal) ShowTOTP(c agent.Challenge, getenv func(string) string) {
	t.Printf("Secret: %s", inFours(c.TOTPSecret))
	if c.TOTPURL == "" {
		return
	}
	t.Printf("URL: %s", c.TOTPURL)
	code, err := qr.Encode(c.TOTPURL, qr.L)
	if err != nil { // too long for a QR code
		return
	}
	drawing := drawQR(code)
	if why := t.cannotShow(code.Size+2*quietZone, len(drawing)+1, getenv); why != "" {
		t.Printf("(no QR code: %s)", why)
		return
	}
	_, _ = io.WriteString(t.f, strings.Join(drawing, "\n")+"\n")
}

// cannotShow returns why there can be no drawing of that size, or "".
func (t *Terminal) cannotShow(width, height int, getenv func(string) string) string {
	columns, rows := t.size()
	switch {
	case getenv("TERM") == "dumb":
		return "TERM is dumb"
	case getenv("NO_COLOR") != "":
		return "it needs black and white, and NO_COLOR is set"
	case !UTF8(getenv):
		return "the locale (LANG) is not UTF-8"
	case columns < width || rows < height:
		return fmt.Sprintf("it needs a terminal of %d columns and %d lines", width, height)
	}
	return ""
}

// inFours writes a secret in groups of four, which are easy to type.
func inFours(s string) string {
	var groups []string
	for group := range slices.Chunk([]rune(s), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " ")
}

// UTF8 reports whether the locale is UTF-8. POSIX defines the order of the variables.
func UTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// quietZone is the width of the light frame around a QR code. The standard says 4, which
// does not fit on a terminal of 24 lines; readers accept 2.
const quietZone = 2

// drawQR draws a QR code, two of its rows in one line of text. It sets the colours,
// because not every reader accepts a code with dark and light exchanged.
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
