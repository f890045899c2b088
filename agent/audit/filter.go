package audit

import (
	"slices"
	"strings"
)

func (f Filter) match(l Line) bool {
	switch {
	case !f.Since.IsZero() && l.Time.Before(f.Since),
		!f.Until.IsZero() && !l.Time.Before(f.Until),
		f.Environment != "" && l.What.Environment != f.Environment,
		f.User != "" && l.What.User != f.User,
		len(f.Events) > 0 && !slices.Contains(f.Events, l.Event):
		return false
	}
	return f.Program == "" || l.Who.runs(f.Program)
}

// runs reports whether the program, or one that started it, has part in its path or its name.
func (w Who) runs(part string) bool {
	if w.Peer == nil {
		return false
	}
	names := []string{w.Exe, w.Comm, w.Unit}
	for _, p := range w.Parents {
		names = append(names, p.Exe)
	}
	return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, part) })
}
