package tomledit

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"
)

// A document is a TOML text and where its keys are.
type document struct {
	text   []byte
	pairs  []pair
	tables []table
}

// A pair is `key = value`. Offsets are in bytes.
type pair struct {
	path       []string // from the root: table, then what is left of '='
	table      []string // that of the [header] above it
	start, end int
	value      int  // where the value begins
	inline     bool // within { }
	braces     bool // the value is { }
}

// A table is a [header], or [[header]] if it is one of an array.
type table struct {
	path  []string
	start int
	end   int // of its last name, before the brackets that close it
	array bool
}

// scan finds the keys of text, which has no byte order mark.
func scan(text []byte) (*document, error) {
	// The parser tells the place of a slice by its capacity.
	d := &document{text: slices.Clip(text)}
	var p unstable.Parser
	p.Reset(d.text)
	var header []string
	arrays := map[string]int{}
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			path, start, end := names(e.Key())
			t := table{path: path, start: lineStart(d.text, start), end: end, array: e.Kind == unstable.ArrayTable}
			d.tables = append(d.tables, t)
			if header = path; t.array { // a key in the second [[sinks]] is sinks.2.…
				arrays[Key(path)]++
				header = append(slices.Clone(path), strconv.Itoa(arrays[Key(path)]))
			}
		case unstable.KeyValue:
			d.add(e, header, header, false)
		}
	}
	return d, p.Error()
}

// add adds the pair e and, if its value is { }, those within.
func (d *document) add(e *unstable.Node, above, header []string, inline bool) {
	key, start, end := names(e.Key())
	value := end + bytes.IndexByte(d.text[end:], '=') + 1
	value += len(d.text[value:]) - len(bytes.TrimLeft(d.text[value:], " \t"))
	p := pair{
		path: slices.Concat(above, key), table: header, start: start, end: int(e.Raw.Offset + e.Raw.Length), value: value,
		inline: inline, braces: e.Value().Kind == unstable.InlineTable,
	}
	d.pairs = append(d.pairs, p)
	if !p.braces {
		return
	}
	for it := e.Value().Children(); it.Next(); {
		if child := it.Node(); child.Kind == unstable.KeyValue {
			d.add(child, p.path, header, true)
		}
	}
}

// names returns the parts of a key, and where it begins and ends.
func names(it unstable.Iterator) (parts []string, start, end int) {
	start = -1
	for it.Next() {
		n := it.Node()
		if start < 0 {
			start = int(n.Raw.Offset)
		}
		parts, end = append(parts, string(n.Data)), int(n.Raw.Offset+n.Raw.Length)
	}
	return parts, start, end
}

func (d *document) find(key []string) (pair, bool) {
	for _, p := range d.pairs {
		if slices.Equal(p.path, key) {
			return p, true
		}
	}
	return pair{}, false
}

// set returns the text with key set: in its place, within braces, below a key of the same
// table, below the table's header, or in a new table at the end.
func (d *document) set(key []string, value string) []byte {
	if p, ok := d.find(key); ok {
		return d.splice(p.value, p.end, value)
	}
	if edited := d.addWithinBraces(key, value); edited != nil {
		return edited
	}
	parent := key[:len(key)-1]
	for _, p := range slices.Backward(d.pairs) {
		if !p.inline && hasPrefix(p.path, parent) && hasPrefix(parent, p.table) {
			indent := d.text[lineStart(d.text, p.start):p.start]
			return d.addLine(p.end, string(indent)+Key(key[len(p.table):])+" = "+value)
		}
	}
	if len(parent) == 0 {
		return d.addFirst(Key(key) + " = " + value)
	}
	for _, t := range d.tables {
		if slices.Equal(t.path, parent) && !t.array {
			return d.addLine(t.end, Key(key[len(parent):])+" = "+value)
		}
	}
	return d.addTable(parent, Key(key[len(parent):])+" = "+value)
}

// addWithinBraces adds key to the innermost { } that it belongs to, or returns nil.
func (d *document) addWithinBraces(key []string, value string) []byte {
	var outer *pair
	for i, p := range d.pairs {
		if p.braces && hasPrefix(key, p.path) {
			outer = &d.pairs[i] // what is within comes later
		}
	}
	if outer == nil {
		return nil
	}
	added := Key(key[len(outer.path):]) + " = " + value
	last := 0
	for _, p := range d.pairs {
		if p.start > outer.value && p.end < outer.end && len(p.path) > len(outer.path) {
			last = max(last, p.end)
		}
	}
	if last == 0 {
		return d.splice(outer.value+1, outer.value+1, " "+added+" ")
	}
	return d.splice(last, last, ", "+added)
}

// addFirst adds a line for a key of the root, which has none: above the first table and the
// comment that belongs to it.
func (d *document) addFirst(line string) []byte {
	if len(d.tables) == 0 {
		return d.addLine(len(d.text), line)
	}
	at := d.tables[0].start
	for at > 0 {
		above := lineStart(d.text, at-1)
		if !bytes.HasPrefix(bytes.TrimLeft(d.text[above:at], " \t"), []byte("#")) {
			break
		}
		at = above
	}
	return d.splice(at, at, line+d.newline()+d.newline())
}

// addTable adds a table at the end.
func (d *document) addTable(path []string, line string) []byte {
	text, gap := d.splice(len(d.text), len(d.text), ""), ""
	if len(text) > 0 {
		if gap = d.newline(); text[len(text)-1] != '\n' {
			gap += d.newline()
		}
	}
	return append(text, gap+"["+Key(path)+"]"+d.newline()+line+d.newline()...)
}

// addLine adds a line below the one in which offset is.
func (d *document) addLine(offset int, line string) []byte {
	end := bytes.IndexByte(d.text[offset:], '\n')
	if end >= 0 {
		return d.splice(offset+end+1, offset+end+1, line+d.newline())
	}
	if end = len(d.text); end > 0 && d.text[end-1] != '\n' {
		line = d.newline() + line
	}
	return d.splice(end, end, line+d.newline())
}

// splice returns a new text with what is from start to end replaced.
func (d *document) splice(start, end int, by string) []byte {
	return slices.Concat(d.text[:start], []byte(by), d.text[end:])
}

// newline returns what ends the lines of the text.
func (d *document) newline() string {
	if line, _, ok := bytes.Cut(d.text, []byte("\n")); ok && bytes.HasSuffix(line, []byte("\r")) {
		return "\r\n"
	}
	return "\n"
}

// lineStart returns where the line of offset begins.
func lineStart(text []byte, offset int) int {
	return bytes.LastIndexByte(text[:offset], '\n') + 1
}
