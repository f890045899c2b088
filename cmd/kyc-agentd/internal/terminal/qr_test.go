package terminal

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rsc.io/qr"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

const (
	totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSW"
	totpURL    = "otpauth://totp/KYC%20prod:ana%40example.com?secret=" + totpSecret + "&issuer=KYC%20prod"
)

// undraw reads a drawn QR code back, frame included: true is dark.
func undraw(t *testing.T, lines []string) (dark [][]bool) {
	t.Helper()
	for _, line := range lines {
		line, colours := strings.CutPrefix(line, "\x1b[30;107m")
		line, reset := strings.CutSuffix(line, "\x1b[0m")
		if !colours || !reset {
			t.Fatalf("%q does not say its colours", line)
		}
		var upper, lower []bool
		for _, block := range line {
			i := slices.Index([]rune(" ▀▄█"), block)
			if i < 0 {
				t.Fatalf("%q has %q", line, block)
			}
			upper, lower = append(upper, i&1 != 0), append(lower, i&2 != 0)
		}
		dark = append(dark, upper, lower)
	}
	return dark
}

func TestDrawQR(t *testing.T) {
	code, err := qr.Encode(totpURL, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	dark := undraw(t, drawQR(code))
	if len(dark) < code.Size+2*quietZone || len(dark) > code.Size+2*quietZone+1 {
		t.Errorf("%d rows for a code of %d", len(dark), code.Size)
	}
	for y, row := range dark {
		if len(row) != code.Size+2*quietZone {
			t.Errorf("row %d has %d columns", y, len(row))
		}
		for x, got := range row {
			if got != code.Black(x-quietZone, y-quietZone) {
				t.Fatalf("%d, %d is dark: %t", x, y, got)
			}
		}
	}
	// The three corners by which a reader finds a code: dark, 7 wide, in a light frame.
	n := len(dark[0]) - quietZone
	for _, at := range [][2]int{{quietZone, quietZone}, {n - 7, quietZone}, {quietZone, n - 7}} {
		if row := dark[at[1]][at[0]-1 : at[0]+8]; fmt.Sprint(row[1:8]) != fmt.Sprint(slices.Repeat([]bool{true}, 7)) || row[0] || row[8] {
			t.Errorf("no corner at %v: %v", at, row)
		}
	}
}

// A reader that nobody here wrote takes the URL off the screen.
func TestQRIsRead(t *testing.T) {
	reader := testpeer.Program(t, "zbarimg", "zbar-tools")
	const module = 4 // pixels
	for _, url := range []string{totpURL, "otpauth://totp/x?secret=ABCD", "otpauth://totp/" + strings.Repeat("long%20", 40) + "?secret=" + totpSecret} {
		code, err := qr.Encode(url, qr.L)
		if err != nil {
			t.Fatal(err)
		}
		dark := undraw(t, drawQR(code))
		screen := image.NewGray(image.Rect(0, 0, len(dark[0])*module, len(dark)*module))
		for i := range screen.Pix {
			if x, y := i%screen.Stride/module, i/screen.Stride/module; !dark[y][x] {
				screen.Pix[i] = 255
			}
		}
		var file bytes.Buffer
		if err := png.Encode(&file, screen); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "screen.png")
		if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := exec.Command(reader, "--raw", "--quiet", path).Output(); err != nil || string(got) != url+"\n" {
			t.Errorf("%s reads %q, %v", reader, got, err)
		}
	}
}

func TestInFours(t *testing.T) {
	for s, want := range map[string]string{"": "", "ABC": "ABC", "ABCD": "ABCD", "ABCDE": "ABCD E", "ABCDEFGHI": "ABCD EFGH I"} {
		if got := inFours(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestIsUTF8(t *testing.T) {
	tests := []struct {
		vars config.Environ
		want bool
	}{
		{nil, false},
		{config.Environ{"LANG=C.UTF-8"}, true},
		{config.Environ{"LANG=de_DE.utf8"}, true},
		{config.Environ{"LANG=C"}, false},
		{config.Environ{"LANG=C.UTF-8", "LC_CTYPE=C"}, false},
		{config.Environ{"LANG=C", "LC_CTYPE=en_US.UTF-8"}, true},
		{config.Environ{"LANG=C.UTF-8", "LC_CTYPE=C.UTF-8", "LC_ALL=POSIX"}, false},
		{config.Environ{"LANG=C.UTF-8", "LC_ALL="}, true},
	}
	for _, tt := range tests {
		if got := UTF8(tt.vars.Get); got != tt.want {
			t.Errorf("%s: %t", tt.vars, got)
		}
	}
}

func TestShowTOTP(t *testing.T) {
	const (
		text = "Secret: JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP JBSW\r\nURL: " + totpURL + "\r\n"
		hint = "(no QR code: it needs a terminal of 45 columns and 24 lines)\r\n"
	)
	tests := []struct {
		name          string
		columns, rows uint16
		locale        string
		drawn         bool
		after         string
	}{
		{"a usual terminal", 80, 24, "LANG=C.UTF-8", true, ""},
		{"just large enough", 45, 24, "LANG=C.UTF-8", true, ""},
		{"too narrow", 44, 50, "LANG=C.UTF-8", false, hint},
		{"too low", 80, 23, "LANG=C.UTF-8", false, hint},
		{"of unknown size", 0, 0, "LANG=C.UTF-8", false, hint},
		{"not UTF-8", 80, 50, "LANG=C", false, "(no QR code: the locale (LANG) is not UTF-8)\r\n"},
		{"dumb", 80, 50, "TERM=dumb", false, "(no QR code: TERM is dumb)\r\n"},
		{"without colours", 80, 50, "NO_COLOR=1", false, "(no QR code: it needs black and white, and NO_COLOR is set)\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := terminaltest.New(t)
			p.Resize(tt.columns, tt.rows)
			tty := New(p.TTY)
			go func() {
				tty.ShowTOTP(agent.Challenge{TOTPSecret: totpSecret, TOTPURL: totpURL}, config.Environ{"LANG=C.UTF-8", "TERM=xterm", tt.locale}.Get)
				tty.Printf("the end")
			}()
			p.Sees("the end\r\n")
			after, ok := strings.CutPrefix(strings.TrimSuffix(p.Seen(), "the end\r\n"), text)
			if !ok {
				t.Fatalf("%q", p.Seen())
			}
			if !tt.drawn {
				if after != tt.after {
					t.Errorf("after the URL: %q", after)
				}
				return
			}
			if code, _ := qr.Encode(totpURL, qr.L); strings.TrimSuffix(after, "\r\n") != strings.Join(drawQR(code), "\r\n") {
				t.Errorf("after the URL: %q", after)
			}
		})
	}
}

// A challenge that is too much for a QR code is still one to read.
func TestTOTPOfAnyLength(t *testing.T) {
	for _, url := range []string{"", strings.Repeat("x", 5000)} {
		p := terminaltest.New(t)
		p.Resize(500, 500)
		go New(p.TTY).ShowTOTP(agent.Challenge{TOTPSecret: totpSecret, TOTPURL: url}, config.Environ{"LANG=C.UTF-8"}.Get)
		p.Sees("Secret: " + inFours(totpSecret) + "\r\n")
		if url != "" {
			p.Sees("URL: " + url + "\r\n")
		}
	}
}
