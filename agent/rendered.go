package agent

import "sync/atomic"

// Rendered keeps what was written with one token, such as a line of a curl configuration: the
// same programs ask for the same token again and again. The agent drops it together with the
// token, so that no text with the token in it outlives a refresh, a logout or a lock. Nil keeps
// nothing.
type Rendered struct {
	texts         atomic.Pointer[[]renderedText]
	authorization atomic.Pointer[[]string]
}

type renderedText struct {
	format string
	text   []byte
}

// Text returns the text in a format, or nil if none is kept. The caller does not change it.
func (r *Rendered) Text(format string) []byte {
	for _, t := range r.all() {
		if t.format == format {
			return t.text
		}
	}
	return nil
}

// Keep keeps the text in a format, which has to be the same at any time. It may keep none, if
// another one is added at the same moment.
func (r *Rendered) Keep(format string, text []byte) {
	if r == nil {
		return
	}
	before := r.texts.Load()
	all := append([]renderedText{{format, text}}, r.all()...)
	r.texts.CompareAndSwap(before, &all)
}

// Authorization returns the value of the Authorization header with the token, or nil if none is
// kept. The caller does not change it.
func (r *Rendered) Authorization() []string {
	if r == nil {
		return nil
	}
	if value := r.authorization.Load(); value != nil {
		return *value
	}
	return nil
}

// KeepAuthorization keeps the value of the Authorization header.
func (r *Rendered) KeepAuthorization(value []string) {
	if r != nil {
		r.authorization.Store(&value)
	}
}

// Empty reports whether no text is kept. It is about Text.
func (r *Rendered) Empty() bool { return len(r.all()) == 0 }

func (r *Rendered) all() []renderedText {
	if r == nil {
		return nil
	}
	if all := r.texts.Load(); all != nil {
		return *all
	}
	return nil
}
