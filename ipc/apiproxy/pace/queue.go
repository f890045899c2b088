package pace

import "container/list"

// A waiter is a request in a queue.
type waiter struct {
	budget  *budget
	client  Client
	held    int
	ready   chan struct{} // closed when granted
	granted bool

	socket, process, element *list.Element // where it is
}

// A fairQueue gives turns to sockets, on each socket to its processes, and within a process
// first to the request that came first. The zero fairQueue is empty.
type fairQueue struct {
	sockets list.List // of *group, whose members are groups; the next one is at the front
	count   int
}

// A group is a socket and its processes, or a process and its waiters.
type group struct {
	socket  string
	pid     int
	members list.List
}

func (q *fairQueue) len() int { return q.count }

// add adds w: at the end of its process's requests or, if it is first, before everything.
func (q *fairQueue) add(w *waiter, first bool) {
	q.count++
	w.socket = find(&q.sockets, func(g *group) bool { return g.socket == w.client.Socket })
	if w.socket == nil {
		w.socket = q.sockets.PushBack(&group{socket: w.client.Socket})
	}
	processes := &groupOf(w.socket).members
	w.process = find(processes, func(g *group) bool { return g.pid == w.client.PID })
	if w.process == nil {
		w.process = processes.PushBack(&group{pid: w.client.PID})
	}
	waiters := &groupOf(w.process).members
	if !first {
		w.element = waiters.PushBack(w)
		return
	}
	w.element = waiters.PushFront(w)
	processes.MoveToFront(w.process)
	q.sockets.MoveToFront(w.socket)
}

func groupOf(e *list.Element) *group { return e.Value.(*group) }

func find(groups *list.List, is func(*group) bool) *list.Element {
	for e := groups.Front(); e != nil; e = e.Next() {
		if is(groupOf(e)) {
			return e
		}
	}
	return nil
}

// remove takes w out.
func (q *fairQueue) remove(w *waiter) {
	q.count--
	processes := &groupOf(w.socket).members
	groupOf(w.process).members.Remove(w.element)
	if groupOf(w.process).members.Len() == 0 {
		processes.Remove(w.process)
	}
	if processes.Len() == 0 {
		q.sockets.Remove(w.socket)
	}
}

// pop takes out the request whose turn it is, or returns nil if may allows no socket that has
// one. Then it is the turn of the next process, on the next socket.
func (q *fairQueue) pop(may func(socket string) bool) *waiter {
	socket := find(&q.sockets, func(g *group) bool { return may(g.socket) })
	if socket == nil {
		return nil
	}
	processes := &groupOf(socket).members
	process := processes.Front()
	w := groupOf(process).members.Front().Value.(*waiter)
	processes.MoveToBack(process)
	q.sockets.MoveToBack(socket)
	q.remove(w)
	return w
}
