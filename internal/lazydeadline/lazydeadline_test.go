package lazydeadline

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func newConn(t *testing.T, u *net.UnixConn) *Conn {
	c := &Conn{}
	if err := c.Init(u); err != nil {
		t.Fatal(err)
	}
	return c
}

// pair returns two ends of a connection.
func pair(t *testing.T) (a, b *net.UnixConn) {
	addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"}
	ln, err := net.ListenUnix("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.DialUnix("unix", nil, addr); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.AcceptUnix(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// The deadlines that a call sees while it waits.
const (
	soon  = 30 * time.Millisecond
	later = 90 * time.Millisecond
	never = time.Hour
)

// TestMovedDeadline moves the deadline of a read that waits, and of one to come.
func TestMovedDeadline(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Now().Add(d) }
	for name, test := range map[string]struct {
		before []time.Duration // deadlines from now; 0 lifts it
		during []time.Duration // the same, once the read waits
		want   time.Duration   // when it ends; never: it does not
	}{
		"set before":                    {[]time.Duration{soon}, nil, soon},
		"set while it waits":            {nil, []time.Duration{soon}, soon},
		"brought forward":               {[]time.Duration{never}, []time.Duration{soon}, soon},
		"put off":                       {[]time.Duration{soon}, []time.Duration{later}, later},
		"put off before":                {[]time.Duration{soon, later}, nil, later},
		"lifted":                        {[]time.Duration{soon}, []time.Duration{0}, never},
		"put off, then brought forward": {[]time.Duration{soon}, []time.Duration{never, later}, later},
		"lifted, then set":              {[]time.Duration{soon}, []time.Duration{0, later}, later},
		"over":                          {nil, []time.Duration{-time.Second}, 0},
		"over before":                   {[]time.Duration{-time.Second}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t)
			defer b.Close()
			c := newConn(t, a)
			defer c.Close()
			set := func(all []time.Duration) {
				for _, d := range all {
					if d == 0 {
						_ = c.SetReadDeadline(time.Time{})
					} else {
						_ = c.SetReadDeadline(at(d))
					}
				}
			}
			started := time.Now()
			set(test.before)
			ended := make(chan error, 1)
			go func() {
				_, err := c.Read(make([]byte, 1))
				ended <- err
			}()
			time.Sleep(soon / 3)
			set(test.during)
			select {
			case err := <-ended:
				if took := time.Since(started); !errors.Is(err, os.ErrDeadlineExceeded) || took < test.want {
					t.Errorf("ended after %v with %v, want %v", took, err, test.want)
				}
			case <-time.After(3 * later):
				if test.want != never {
					t.Fatal("it still waits")
				}
				_, _ = b.Write([]byte("x"))
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestNoTimerForWhatIsThere is what the package is for: a deadline reaches the connection when
// something waits.
func TestNoTimerForWhatIsThere(t *testing.T) {
	a, b := pair(t)
	defer b.Close()
	c := newConn(t, a)
	defer c.Close()
	_, _ = b.Write([]byte("xy"))
	buf := make([]byte, 1)
	_ = c.SetDeadline(time.Now().Add(never))
	if _, err := c.Read(buf); err != nil || !c.read.inForce.IsZero() {
		t.Errorf("a deadline %v is in force, %v", c.read.inForce, err)
	}
	if _, err := c.Write(buf); err != nil || !c.write.inForce.IsZero() {
		t.Errorf("a deadline %v is in force, %v", c.write.inForce, err)
	}
	// net/http ends the read in the background this way, and it has to end at once.
	_ = c.SetReadDeadline(time.Unix(1, 0))
	if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after a deadline long ago: %v", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(never))
	if n, err := c.Read(buf); n != 1 || err != nil {
		t.Errorf("after that deadline was replaced: %d, %v", n, err)
	}
}

// TestErrors compares errors with those of a net.UnixConn.
func TestErrors(t *testing.T) {
	for name, fail := range map[string]func(c net.Conn, peer *net.UnixConn) error{
		"closed here":    func(c net.Conn, _ *net.UnixConn) error { _ = c.Close(); _, err := c.Read(make([]byte, 1)); return err },
		"write, closed":  func(c net.Conn, _ *net.UnixConn) error { _ = c.Close(); _, err := c.Write([]byte("x")); return err },
		"write, hung up": func(c net.Conn, p *net.UnixConn) error { _ = p.Close(); _, err := c.Write([]byte("x")); return err },
		"read, hung up":  func(c net.Conn, p *net.UnixConn) error { _ = p.Close(); _, err := c.Read(make([]byte, 1)); return err },
		"unread at the hang-up": func(c net.Conn, p *net.UnixConn) error {
			_, _ = c.Write([]byte("x"))
			_ = p.Close()
			_, err := c.Read(make([]byte, 1))
			return err
		},
		"too late": func(c net.Conn, _ *net.UnixConn) error {
			_ = c.SetReadDeadline(time.Unix(1, 0))
			_, err := c.Read(make([]byte, 1))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			plain, peer := pair(t)
			defer peer.Close()
			want := fail(plain, peer)
			u, peer := pair(t)
			defer peer.Close()
			got := fail(newConn(t, u), peer)
			if want == io.EOF && got == io.EOF {
				return
			}
			g, ok := errors.AsType[*net.OpError](got)
			w, _ := errors.AsType[*net.OpError](want)
			if !ok || g.Op != w.Op || g.Net != w.Net || g.Err.Error() != w.Err.Error() || g.Timeout() != w.Timeout() {
				t.Errorf("got  %#v\nwant %#v", got, want)
			}
		})
	}
}
