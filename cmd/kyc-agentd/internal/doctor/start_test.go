package doctor

import (
	"errors"
	"io"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// StartError speaks only of an agent that systemd starts for this socket, and cannot start.
func TestStartError(t *testing.T) {
	w := newFixture(t)
	w.set("PATH=" + w.path("bin"))
	unanswered := &agent.Error{Code: agent.CodeUnavailable, Message: "no agent answers", Err: io.EOF}
	restarting := func() {
		w.unit(serviceUnit, "ActiveState", "activating")
		w.unit(serviceUnit, "NRestarts", "2")
	}
	for name, c := range map[string]struct {
		change func()
		want   string // "" is unanswered
		code   agent.Code
	}{
		"it runs": {func() { w.credential("missing") }, "", agent.CodeUnavailable},
		"it is reloading": {func() {
			w.unit(serviceUnit, "ActiveState", "reloading")
			w.credential("missing")
		}, "", agent.CodeUnavailable},
		"it is stopping": {func() {
			w.unit(serviceUnit, "ActiveState", "deactivating")
			w.credential("missing")
		}, "", agent.CodeUnavailable},
		"it was killed, and starts slowly": {func() {
			w.unit(serviceUnit, "ActiveState", "activating")
			w.unit(serviceUnit, "NRestarts", "1")
		}, "", agent.CodeUnavailable},
		"it starts for the first time": {func() {
			w.unit(serviceUnit, "ActiveState", "activating")
		}, "", agent.CodeUnavailable},
		"the units are for another socket": {func() {
			restarting()
			w.unit(socketUnit, "Listen", "/elsewhere (Stream)")
		}, "", agent.CodeUnavailable},
		"no units": {func() {
			w.unit(socketUnit, "LoadState", "not-found")
			w.unit(serviceUnit, "LoadState", "not-found")
			w.unit(socketUnit, "Listen", "")
			w.unit(serviceUnit, "ActiveState", "inactive")
		}, "", agent.CodeUnavailable},
		"the socket has failed, which systemctl explains when it is started": {func() {
			w.unit(socketUnit, "ActiveState", "failed")
			w.unit(serviceUnit, "ActiveState", "inactive")
		}, "", agent.CodeUnavailable},
		"nothing is known": {func() { w.units = "" }, "", agent.CodeUnavailable},
		"a credential": {func() {
			restarting()
			w.credential("missing")
		}, "kyc-agentd.service loads the credential kyc-agentd.key from " + w.path("missing") + ", which does not exist: systemd does not start the agent",
			agent.CodeConfiguration},
		"no program": {func() {
			restarting()
			w.unit(serviceUnit, "ExecStart", "{ path=/nowhere/kyc-agentd ; argv[]=/nowhere/kyc-agentd serve }")
		}, "kyc-agentd.service starts /nowhere/kyc-agentd, which is not there", agent.CodeUnavailable},
		"no service": {func() {
			w.unit(serviceUnit, "LoadState", "not-found")
			w.unit(serviceUnit, "ActiveState", "inactive")
		}, "kyc-agentd.socket is installed and kyc-agentd.service is not", agent.CodeUnavailable},
		"a signal at each start": {func() {
			restarting()
			w.unit(serviceUnit, "Result", "signal\nExecMainCode=2\nExecMainStatus=9")
		}, "kyc-agentd.service ends at each start (signal 9), and systemd starts it again and again", agent.CodeUnavailable},
		"how it ended is forgotten": {restarting, "kyc-agentd.service ends at each start, and systemd starts it again and again", agent.CodeUnavailable},
		"systemd has given up": {func() {
			w.unit(serviceUnit, "ActiveState", "failed")
			w.unit(serviceUnit, "Result", "exit-code\nExecMainCode=1\nExecMainStatus=203")
		}, "kyc-agentd.service has failed (exit status 203)", agent.CodeUnavailable},
		"a timeout at each start": {func() {
			restarting()
			w.unit(serviceUnit, "Result", "timeout\nExecMainCode=2\nExecMainStatus=15")
		}, "kyc-agentd.service ends at each start (timeout, signal 15), and systemd starts it again and again", agent.CodeUnavailable},
		"a masked socket": {func() {
			w.unit(socketUnit, "LoadState", "masked")
			w.unit(socketUnit, "Listen", "")
			w.unit(serviceUnit, "ActiveState", "inactive")
		}, "kyc-agentd.socket is masked: it cannot be started", agent.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			w.units = w.wellUnits()
			w.unit(socketUnit, "Listen", w.socket()+" (Stream)")
			c.change()
			w.write("units", w.units, 0o600)
			err := StartError(t.Context(), config.Environ(w.env), w.socket(), unanswered)
			if c.want == "" {
				if err != error(unanswered) {
					t.Errorf("%v", err)
				}
				return
			}
			e, _ := errors.AsType[*agent.Error](err)
			if e == nil || e.Message != c.want || e.Code != c.code || e.Hint == "" || (c.code == agent.CodeUnavailable) != errors.Is(err, io.EOF) {
				t.Errorf("%#v", err)
			}
		})
	}
}
