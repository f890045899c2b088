package statustext

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// A Table is a list that lays itself out for a terminal. The first column names the row.
type Table struct {
	Header []string
	Rows   [][]string
}

// Write writes t. If width is not 0 and t is wider, each row becomes a block of lines, without
// the cells that say nothing.
func (t Table) Write(w io.Writer, width int) error {
	var b bytes.Buffer
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	_ = table.Flush()
	text := b.String()
	for line := range strings.Lines(text) {
		if width > 0 && utf8.RuneCountInString(line)-1 > width {
			text = t.blocks(width)
			break
		}
	}
	_, err := io.WriteString(w, text)
	return err
}

func (t Table) blocks(width int) string {
	var b strings.Builder
	label := 0
	for _, name := range t.Header[1:] {
		label = max(label, utf8.RuneCountInString(name))
	}
	for _, row := range t.Rows {
		fmt.Fprintln(&b, row[0])
		for i, cell := range row[1:] {
			if cell != "-" && cell != "" {
				fmt.Fprintln(&b, Wrap(fmt.Sprintf("  %-*s  %s", label, strings.ToLower(t.Header[i+1]), cell), width, label+4))
			}
		}
	}
	return b.String()
}

// Lines are labels with a value each, in two columns.
type Lines [][2]string

// Write writes l. A value that is too long for width, if that is not 0, goes on below itself,
// or under its label if one of its words is too long for that.
func (l Lines) Write(w io.Writer, width int) error {
	label := 0
	for _, line := range l {
		label = max(label, utf8.RuneCountInString(line[0]))
	}
	var b strings.Builder
	for _, line := range l {
		indent := label + 2
		for word := range strings.FieldsSeq(line[1]) {
			if indent+utf8.RuneCountInString(word) > width {
				indent = 2
			}
		}
		fmt.Fprintln(&b, Wrap(fmt.Sprintf("%-*s  %s", label, line[0], line[1]), width, indent))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Wrap breaks a line at spaces so that none is longer than width, if that is not 0; what
// follows is indented. A command to type ("run: …") is never broken: a line break in what is
// copied would end it early, while the terminal's own break is not copied.
func Wrap(line string, width, indent int) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	text := strings.TrimLeft(line, " ")
	first := line[:len(line)-len(text)]
	text, command, hasCommand := strings.Cut(text, "run: ")
	words := strings.SplitAfter(text, " ")
	if hasCommand {
		words = append(words, "run: "+command)
	}
	var b strings.Builder
	b.WriteString(first)
	column, filled := len(first), false // filled: there is a word on this line
	for _, word := range words {
		length := utf8.RuneCountInString(strings.TrimRight(word, " "))
		if filled && column+length > width {
			trimmed := strings.TrimRight(b.String(), " ")
			b.Reset()
			b.WriteString(trimmed + "\n" + strings.Repeat(" ", indent))
			column, filled = indent, false
		}
		b.WriteString(word)
		column += utf8.RuneCountInString(word)
		filled = filled || length > 0
	}
	return strings.TrimRight(b.String(), " ")
}

// Wrapped returns a writer that wraps lines by [Wrap]. It writes whole lines only.
func Wrapped(w io.Writer, width int) io.Writer { return &wrapper{w: w, width: width} }

type wrapper struct {
	w     io.Writer
	width int
	rest  []byte
}

// Write implements [io.Writer].
func (r *wrapper) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		if _, err := io.WriteString(r.w, Wrap(string(line), r.width, 2)+"\n"); err != nil {
			return 0, err
		}
		r.rest = rest
	}
}
