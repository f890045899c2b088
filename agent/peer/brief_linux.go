package peer

import (
	"sync"
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
	mu        sync.Mutex
	processes map[process]brief
	ancestors map[parentOf]ancestry
}

type process struct{ pid, uid int }

type brief struct {
	facts Facts
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
// grant needs Facts.
func (p *Peer) Brief() (Facts, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.read {
		return p.facts, nil
	}
	known := Facts{Process: Process{PID: p.pid}, UID: p.uid, Method: p.method}
	if p.err != nil {
		return known, p.err
	}
	now := time.Now()
	if facts, ok := briefs.process(process{p.pid, p.uid}, now); ok {
		facts.Method = p.method
		return facts, nil
	}
	if err := p.pinLateLocked(); err != nil {
		return known, err
	}
	var buf [512]byte
	st, err := parseStat(readInto(buf[:], procFile(p.pid, "stat")))
	if st.pid = p.pid; err != nil || st.ended() {
		return known, ErrEnded
	}
	facts := Facts{Process: st.process(), UID: p.uid, Method: p.method}
	facts.Unit = unitOf(string(readInto(buf[:], procFile(p.pid, "cgroup"))), p.uid)
	facts.Ancestors = briefs.ancestorsOf(st, now)
	if err := p.check(); err != nil {
		return known, err
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

func (c *briefCache) process(key process, now time.Time) (Facts, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.processes[key]
	return b.facts, ok && now.Sub(b.at) < sameProcess
}

// keep remembers what was read, unless the process hides its program: then it is most likely
// kyc-token, which may become another program right after its answer.
func (c *briefCache) keep(facts Facts, now time.Time) {
	if facts.Process.Exe == "" || facts.Process.Comm == "kyc-token" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.processes == nil || len(c.processes) >= maxBrief {
		c.processes = map[process]brief{}
	}
	c.processes[process{facts.Process.PID, facts.UID}] = brief{facts, now}
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
