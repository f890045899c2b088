package peer

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

// Brief says what Facts does, but for the session, from memory as well, and nothing of a process
// that has ended.
func TestBrief(t *testing.T) {
	ln := listen(t)
	conn, _ := client(t, ln, "sh", "-c", `"$0"; :`)
	full := Of(conn)
	defer full.Close()
	want, err := full.Facts()
	if err != nil {
		t.Fatal(err)
	}
	want.Session, want.Leader, want.LeaderUnit = 0, Process{}, Unit{}
	for _, how := range []string{"read", "from memory"} {
		p := Of(conn)
		if got, err := p.Brief(); err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v\nwant %+v", how, got, err, want)
		}
		p.Close()
	}
	if facts := briefs.process(process{want.Process.PID, want.UID}, time.Now().Add(sameProcess)); facts != nil {
		t.Error("a process is remembered for longer than sameProcess")
	}
	ended, stop := client(t, ln)
	p := Of(ended)
	defer p.Close()
	stop()
	if _, err := p.Brief(); !errors.Is(err, ErrEnded) {
		t.Errorf("after its end: %v", err)
	}
}

// kyc-token may have become another program by its next connection.
func TestBriefDoesNotRememberKycToken(t *testing.T) {
	var c briefCache
	for _, p := range []Process{{PID: 1, Comm: "hidden"}, {PID: 2, Comm: "kyc-token", Exe: "/usr/bin/kyc-token"}} {
		c.keep(&Facts{Process: p}, time.Now())
		if facts := c.process(process{p.PID, 0}, time.Now()); facts != nil {
			t.Errorf("%+v is remembered", p)
		}
	}
}
