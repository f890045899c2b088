package peer

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sameProcess is how long what was read of a process is said of its next connection as well.
	// It may have become another program in the meantime.
	sameProcess = 100 * time.Millisecond
	// sameParent is the same for the ancestors of the children of one parent. That one lives, or
	// its child would have another.
	sameParent = time.Second
	// maxBrief is how many of each are kept.
	maxBrief = 256
)

// briefs is what Brief has read lately.
var briefs briefCache

type briefCache struct {
	newest    atomic.Pointer[brief] // so that a process which connects again and again needs no map
	mu        sync.Mutex
	processes map[process]*brief
	ancestors map[parentOf]ancestry
}

type process struct{ pid, uid int }

type brief struct {
	of    process
	facts *Facts // which nobody changes
	at    time.Time
}

type parentOf struct {
	pid int
	tty uint64 // of the child: ancestors end where the terminal does
}

type ancestry struct {
	all []Process
	at  time.Time
}

// Brief is Facts for a log that has a line for many connections a second: without the session
// and its leader, and with what was read a moment ago of the same process or the same parent. A
// grant needs Facts. The caller does not change what it gets: the next connection of the same
// process may get it, too.
func (p *Peer) Brief() (*Facts, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.facts != nil:
		return p.facts, nil
	case p.err != nil:
		return nil, p.err
	}
	now := time.Now()
	if facts := briefs.process(process{p.pid, p.uid}, now); facts != nil && facts.Method == p.method {
		return facts, nil
	}
	if err := p.pinLateLocked(); err != nil {
		return nil, err
	}
	var buf [512]byte
	st, err := parseStat(readInto(buf[:], procFile(p.pid, "stat")))
	if st.pid = p.pid; err != nil || st.ended() {
		return nil, ErrEnded
	}
	facts := &Facts{Process: st.process(), UID: p.uid, Method: p.method}
	facts.Unit = unitOf(string(readInto(buf[:], procFile(p.pid, "cgroup"))), p.uid)
	facts.Ancestors = briefs.ancestorsOf(st, now)
	if err := p.check(); err != nil {
		return nil, err
	}
	briefs.keep(facts, now)
	return facts, nil
}

// readInto reads what a file of the kernel's has, as far as buf goes. [os.ReadFile] makes three
// more system calls.
func readInto(buf []byte, path string) []byte {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

// process returns what was read of a process a moment ago, or nil.
func (c *briefCache) process(of process, now time.Time) *Facts {
	b := c.newest.Load()
	if b == nil || b.of != of {
		c.mu.Lock()
		b = c.processes[of]
		c.mu.Unlock()
	}
	if b == nil || now.Sub(b.at) >= sameProcess {
		return nil
	}
	return b.facts
}

// keep remembers what was read, unless the process hides its program: then it is most likely
// kyc-token, which may become another program right after its answer.
func (c *briefCache) keep(facts *Facts, now time.Time) {
	if facts.Process.Exe == "" || facts.Process.Comm == "kyc-token" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.processes == nil || len(c.processes) >= maxBrief {
		c.processes = map[process]*brief{}
	}
	b := &brief{process{facts.Process.PID, facts.UID}, facts, now}
	c.processes[b.of] = b
	c.newest.Store(b)
}

func (c *briefCache) ancestorsOf(child stat, now time.Time) []Process {
	key := parentOf{child.parent, child.tty}
	c.mu.Lock()
	known, ok := c.ancestors[key]
	c.mu.Unlock()
	if ok && now.Sub(known.at) < sameParent {
		return known.all
	}
	all := readAncestors(child)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ancestors == nil || len(c.ancestors) >= maxBrief {
		c.ancestors = map[parentOf]ancestry{}
	}
	c.ancestors[key] = ancestry{all, now}
	return all
}
