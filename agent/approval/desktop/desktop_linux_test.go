package desktop

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// A notification is what a server was asked to show.
type notification struct {
	app, summary, body string
	replaces           uint32
	actions            []string
}

// A server takes notifications.
type server struct{ shown chan notification }

// Notify is the method of the specification.
func (s server) Notify(app string, replaces uint32, _, summary, body string, actions []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	s.shown <- notification{app, summary, body, replaces, actions}
	return 1, nil
}

func TestAnnounce(t *testing.T) {
	address := testpeer.SessionBus(t)
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := server{make(chan notification, 1)}
	if err := conn.Export(s, objectPath, busName); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(busName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	a := New(func(name string) string { return map[string]string{"DBUS_SESSION_BUS_ADDRESS": address}[name] })
	a.Announce("A program asks\x1b[2J", "<b>bold</b> & "+strings.Repeat("x", 1000))
	got := <-s.shown
	if got.app != "kyc-agentd" || got.summary != "A program asks?[2J" || len(got.actions) != 0 || got.replaces != 0 {
		t.Errorf("%+v", got)
	}
	if !strings.HasPrefix(got.body, "&lt;b&gt;bold&lt;/b&gt; &amp; xxx") || len(got.body) > maxText+40 {
		t.Errorf("the body is %q", got.body)
	}
}

// Without a bus, or a server on it, nothing happens and nothing waits.
func TestNobodyToTell(t *testing.T) {
	address := testpeer.SessionBus(t)
	dir := testsocket.ShortDir(t)
	for name, vars := range map[string]map[string]string{
		"no bus":            {},
		"no server":         {"DBUS_SESSION_BUS_ADDRESS": address},
		"a bus that is not": {"XDG_RUNTIME_DIR": dir},
		"starts a program":  {"DBUS_SESSION_BUS_ADDRESS": "unixexec:path=/bin/touch,argv1=" + filepath.Join(dir, "started")},
		"autolaunch":        {"DBUS_SESSION_BUS_ADDRESS": "autolaunch:"},
	} {
		a := New(func(name string) string { return vars[name] })
		began := time.Now()
		a.Announce("x", "y")
		a.slots <- struct{}{} // it has ended
		if took := time.Since(began); took > timeout+time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 0 {
		t.Errorf("%v", files)
	}
}

// A bus that hangs holds up one notification, and no caller.
func TestBusHangs(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "bus")
	ln, err := net.Listen("unix", path) // it accepts nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a := New(func(name string) string {
		return map[string]string{"DBUS_SESSION_BUS_ADDRESS": "unix:path=" + path}[name]
	})
	began := time.Now()
	for range 100 {
		a.Announce("x", "y")
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("callers waited %s", took)
	}
	select {
	case a.slots <- struct{}{}:
	case <-time.After(timeout + 3*time.Second):
		t.Error("it hangs for longer than its time")
	}
}
