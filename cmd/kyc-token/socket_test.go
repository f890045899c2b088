package main

import (
	"strconv"
	"strings"
	"testing"
)

func TestSocket(t *testing.T) {
	const tail = "/kyc-agentd/agent.sock"
	long := "/" + strings.Repeat("x", maxPath)
	tests := []struct {
		name, flag string
		env        []string
		want       string // a path, or a part of the error
		exit       int
	}{
		{"nothing", "", nil, "/run/user/1000" + tail, 0},
		{"runtime folder", "", []string{"XDG_RUNTIME_DIR", "/r"}, "/r" + tail, 0},
		{"relative runtime folder", "", []string{"XDG_RUNTIME_DIR", "r"}, "/run/user/1000" + tail, 0},
		{"variable", "", []string{"KYC_AGENT_SOCK", "/s", "XDG_RUNTIME_DIR", "/r"}, "/s", 0},
		{"flag", "/f", []string{"KYC_AGENT_SOCK", "/s", "XDG_RUNTIME_DIR", "/r"}, "/f", 0},
		{"relative", "agent.sock", nil, "agent.sock", 0},
		{"longest", long[:maxPath], nil, long[:maxPath], 0},
		{"flag too long", long, nil, "set a shorter -socket", exitUsage},
		{"variable too long", "", []string{"KYC_AGENT_SOCK", long}, "set a shorter KYC_AGENT_SOCK", exitConfig},
		{"runtime folder too long", "", []string{"XDG_RUNTIME_DIR", long}, "set a shorter XDG_RUNTIME_DIR", exitConfig},
		{"abstract", "@agent", nil, "set -socket to the path", exitUsage},
		{"abstract variable", "", []string{"KYC_AGENT_SOCK", "@agent"}, "set KYC_AGENT_SOCK to the path", exitConfig},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := process{uid: 1000}
			environ(test.env...)(&p)
			at, err := p.socket(options{socket: test.flag})
			if test.exit == 0 {
				if at.path != test.want || err != nil {
					t.Errorf("got %+v, %v; want %q", at, err, test.want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || asFailure(err).exit != test.exit {
				t.Errorf("got %+v, %v; want exit %d and %q", at, err, test.exit, test.want)
			}
		})
	}
}

func TestLongPathSaysHowLong(t *testing.T) {
	path := "/" + strings.Repeat("x", 200)
	run(t, nil, "-socket", path, "-f", "curl").
		wantFailure(t, exitUsage, failClosed, "201 bytes", "system's "+strconv.Itoa(maxPath))
}
