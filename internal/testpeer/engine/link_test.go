package engine

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An endedConn is a connection whose other end has closed it: each Read returns at once.
type endedConn struct {
	net.Conn
	reads atomic.Int32
}

func (c *endedConn) Read([]byte) (int, error) {
	if c.reads.Add(1) > 1000 {
		return 0, net.ErrClosed // end a loop, which would starve everything else
	}
	return 0, io.EOF
}

// A partition hides that one end has closed the connection, and costs no processor meanwhile.
func TestCutLinkWaits(t *testing.T) {
	for name, end := range map[string]func(*Link){"Restore": (*Link).Restore, "Slow": func(k *Link) { k.Slow(time.Second) }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &Link{conns: map[net.Conn]bool{}}
				k.Cut()
				to, peer := net.Pipe()
				defer peer.Close()
				inner, other := net.Pipe()
				defer other.Close()
				from := &endedConn{Conn: inner}
				done := make(chan struct{})
				go func() {
					k.copy(to, from)
					close(done)
				}()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				select {
				case <-done:
					t.Fatalf("the end was passed on through a cut link, after %d reads", from.reads.Load())
				default:
				}
				if n := from.reads.Load(); n != 1 {
					t.Fatalf("it was read %d times while the link was cut", n)
				}
				k.Cut() // again, as two partitions at a time do
				synctest.Wait()
				select {
				case <-done:
					t.Fatal("a second cut passed the end on")
				default:
				}
				end(k)
				<-done
			})
		})
	}
}
