package terminal

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// redrawEvery is how often a line about something that takes long is drawn again.
const redrawEvery = 200 * time.Millisecond

// Spin shows, from after on, that what is being waited for, and for how long, until stop is
// called, which removes the line again. A terminal that cannot go back to the beginning of
// a line (TERM=dumb) gets one line, once.
func (t *Terminal) Spin(what string, after time.Duration, dumb bool) (stop func()) {
	frame := 0
	return t.follow(after, dumb, func(waited time.Duration) string {
		if dumb {
			return what
		}
		frame++
		return fmt.Sprintf("%c %s (%ds)", `|/-\`[frame%4], what, int(waited.Seconds()))
	})
}

// A Transfer is bytes that are on their way. Many goroutines may use it.
type Transfer struct {
	What  string // "upload"
	Total int64  // -1 if it is not known
	Done  atomic.Int64
	Ended atomic.Bool // set at the end, which Total may not tell
}

// Show shows, from after on, how far the transfer is, until stop is called. When all is
// transferred, then is shown in the place of the bar.
func (t *Terminal) Show(tr *Transfer, then string, after time.Duration) (stop func()) {
	return t.follow(after, false, func(waited time.Duration) string {
		if tr.Ended.Load() || tr.Total >= 0 && tr.Done.Load() >= tr.Total {
			return fmt.Sprintf("%s (%ds)", then, int(waited.Seconds()))
		}
		columns, _ := t.size()
		return tr.line(waited, columns)
	})
}

// line is the transfer after a time: a bar as wide as there is room for, bytes, rate, and the
// time that is left.
func (tr *Transfer) line(after time.Duration, columns int) string {
	done := tr.Done.Load()
	rate := float64(done) / max(after.Seconds(), 0.001)
	if tr.Total < 0 {
		return fmt.Sprintf("%s %s, %s/s", tr.What, size(done), size(int64(rate)))
	}
	left := "?"
	if rate > 0 {
		left = (time.Duration(min(float64(tr.Total-done)/rate, 1e6)) * time.Second).String()
	}
	line := fmt.Sprintf("%s %s of %s, %s/s, %s left", tr.What, size(done), size(tr.Total), size(int64(rate)), left)
	if width := min(columns-len(line)-4, 40); width >= 8 {
		full := int(int64(width) * min(done, tr.Total) / max(tr.Total, 1))
		line += " [" + strings.Repeat("=", full) + strings.Repeat(" ", width-full) + "]"
	}
	return line
}

// size writes a number of bytes for a person.
func size(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1000, 0
	for ; value >= 999.95 && unit < len(units)-1; unit++ {
		value /= 1000
	}
	return fmt.Sprintf("%.1f %cB", value, units[unit])
}

// follow draws what text returns on the line of the cursor, again and again. It writes nothing
// while this process is in the background, where the terminal is for others.
func (t *Terminal) follow(after time.Duration, once bool, text func(time.Duration) string) (stop func()) {
	began, stopped, ended := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-stopped:
			return
		case <-time.After(after):
		}
		if once {
			t.Printf("%s", text(time.Since(began)))
			return
		}
		redraw := time.NewTicker(redrawEvery)
		defer redraw.Stop()
		drawn := false
		for {
			if t.inForeground() {
				t.draw(text(time.Since(began)))
				drawn = true
			}
			select {
			case <-stopped:
				if drawn && t.inForeground() {
					t.draw("")
				}
				return
			case <-redraw.C:
			}
		}
	}()
	return sync.OnceFunc(func() { close(stopped); <-ended })
}

// draw replaces the line of the cursor. One that is longer than the terminal is wide would
// leave its beginning behind.
func (t *Terminal) draw(text string) {
	if columns, _ := t.size(); columns > 0 && len(text) >= columns {
		text = text[:columns-1]
	}
	fmt.Fprintf(t.f, "\r%s\x1b[K", text)
	if text == "" {
		fmt.Fprint(t.f, "\r")
	}
}
