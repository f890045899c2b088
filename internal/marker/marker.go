// Package marker notes in small files that something is in progress, for the next process to
// find if this one is killed.
//
// [New] names the folder; Begin and End write and remove a note in the background, and Begun
// reads one that an earlier process left. Notes are best effort: no error is reported, and no
// call takes longer than 200 ms, whatever the file system does. A note contains a time and
// nothing else.
package marker

import (
	"os"
	"path/filepath"
	"sync"
	"time"
)

// limit is how long a caller waits for the file system.
const limit = 200 * time.Millisecond

// suffix ends the name of a note. No file of a store ends like that.
const suffix = ".refreshing"

// A Dir is a folder of notes. It implements agent.Markers, and is safe for concurrent use.
type Dir struct {
	path string

	mu    sync.Mutex
	notes map[string]*note
	idle  *sync.Cond // broadcast when a note is as it should be
}

// A note is what one file is to be. One goroutine at a time makes it so, and the newest wish
// counts, so that a file system that hangs collects no goroutines.
type note struct {
	began   time.Time // zero if there is to be no file
	pending bool      // the file may be something else
	running bool
}

// New returns the notes in the folder path, which is made when it is needed. If path is empty,
// nothing is noted.
func New(path string) *Dir {
	d := &Dir{path: path, notes: make(map[string]*note)}
	d.idle = sync.NewCond(&d.mu)
	return d
}

// Begin notes, in the background, that something began now.
func (d *Dir) Begin(name string) { d.set(name, time.Now()) }

// End removes the note of name in the background.
func (d *Dir) End(name string) { d.set(name, time.Time{}) }

func (d *Dir) set(name string, began time.Time) {
	if d.path == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.notes[name]
	if n == nil {
		n = new(note)
		d.notes[name] = n
	}
	n.began, n.pending = began, true
	if !n.running {
		n.running = true
		go d.apply(d.file(name), n)
	}
}

// apply makes the file what the note says, until it is.
func (d *Dir) apply(file string, n *note) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n.pending {
		began := n.began
		n.pending = false
		d.mu.Unlock()
		if began.IsZero() {
			_ = os.Remove(file)
		} else {
			_ = write(file, began)
		}
		d.mu.Lock()
	}
	n.running = false
	d.idle.Broadcast()
}

// write makes the file, and makes it outlive a power cut.
func write(file string, began time.Time) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(began.UTC().Format(time.RFC3339Nano) + "\n"); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// Begun returns when that began whose note an earlier process left.
func (d *Dir) Begun(name string) (began time.Time, ok bool) {
	if d.path == "" {
		return time.Time{}, false
	}
	found := make(chan time.Time, 1)
	go func() { found <- read(d.file(name)) }()
	select {
	case began = <-found:
	case <-time.After(limit):
	}
	return began, !began.IsZero()
}

// read returns the time in a note, or when a note that was cut off was written, or zero.
func read(file string) time.Time {
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 100 {
		return time.Time{}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return time.Time{}
	}
	if began, err := time.Parse(time.RFC3339Nano+"\n", string(data)); err == nil {
		return began
	}
	return info.ModTime()
}

// Flush waits until the files are as the calls before it said.
func (d *Dir) Flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	late := false
	timer := time.AfterFunc(limit, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		late = true
		d.idle.Broadcast()
	})
	defer timer.Stop()
	for !late && d.anyRunning() {
		d.idle.Wait()
	}
}

func (d *Dir) anyRunning() bool {
	for _, n := range d.notes {
		if n.running {
			return true
		}
	}
	return false
}

func (d *Dir) file(name string) string { return filepath.Join(d.path, filepath.Base(name)+suffix) }
