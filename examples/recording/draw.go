package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// Sizes in pixels, and times in seconds.
const (
	charWidth  = 7.23 // of a character, at 12 px; textLength makes every font that wide
	lineHeight = 18
	margin     = 16
	titleSpace = 58

	typing  = 1.2 // between what is typed and its output
	reading = 4.0 // at least, for a step
	perLine = 0.5 // more for each line
)

const style = `<style>
  .page { fill: #ffffff; stroke: #d1d9e0; }
  .title { font: 600 15px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1f2328; }
  .line { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; fill: #59636e; white-space: pre; }
  .typed { fill: #0550ae; font-weight: 600; }
  .bar { fill: #d1d9e0; }
  .done { fill: #0969da; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d; }
    .title { fill: #f0f6fc; }
    .line { fill: #b7bdc8; }
    .typed { fill: #79c0ff; }
    .bar { fill: #3d444d; }
    .done { fill: #4493f8; }
  }
`

// draw writes the picture. Every step is a group that is visible for its share of the time;
// without motion the first one is.
func draw(w io.Writer, steps []step) {
	height, total := 0, 0.0
	for _, s := range steps {
		height = max(height, titleSpace+len(s.lines)*lineHeight+margin)
		total += s.seconds()
	}
	width := int(math.Ceil(columns*charWidth)) + 2*margin
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc">`+"\n",
		width, height, width, height)
	fmt.Fprintf(w, "<title id=\"title\">make demo</title>\n<desc id=\"desc\">%s</desc>\n%s", escape(titles(steps)), style)
	start := 0.0
	for i, s := range steps {
		visible(w, fmt.Sprintf("s%d", i), start, start+s.seconds(), total, i == 0)
		visible(w, fmt.Sprintf("o%d", i), start+typing, start+s.seconds(), total, i == 0)
		start += s.seconds()
	}
	fmt.Fprintf(w, "  @media (prefers-reduced-motion: reduce) { g { animation: none !important; } }\n</style>\n")
	fmt.Fprintf(w, `<rect class="page" x=".5" y=".5" width="%d" height="%d" rx="6"/>`+"\n", width-1, height-1)
	for i, s := range steps {
		s.draw(w, i, len(steps), width)
	}
	fmt.Fprintln(w, "</svg>")
}

func (s step) seconds() float64 { return reading + perLine*float64(len(s.lines)) }

func titles(steps []step) string {
	var all []string
	for _, s := range steps {
		all = append(all, s.title)
	}
	return strings.Join(all, " ")
}

// visible writes the rule that shows a group from one second to another, again and again.
func visible(w io.Writer, id string, from, to, total float64, still bool) {
	at := func(seconds float64) float64 { return 100 * seconds / total }
	opacity := 0
	if still {
		opacity = 1
	}
	fmt.Fprintf(w, "  #%s { opacity: %d; animation: %s %.1fs step-end infinite; }\n", id, opacity, id, total)
	fmt.Fprintf(w, "  @keyframes %s { 0%% { opacity: 0; } %.2f%% { opacity: 1; } %.2f%% { opacity: 0; } 100%% { opacity: 0; } }\n", id, at(from), at(to))
}

// draw writes a step: its title, how far the demo is, what is typed, and the output.
func (s step) draw(w io.Writer, i, n, width int) {
	fmt.Fprintf(w, `<g id="s%d">`+"\n", i)
	fmt.Fprintf(w, `<text class="title" x="%d" y="28">%s</text>`+"\n", margin, escape(s.title))
	space := width - 2*margin
	fmt.Fprintf(w, `<rect class="bar" x="%d" y="38" width="%d" height="2"/><rect class="done" x="%d" y="38" width="%d" height="2"/>`+"\n",
		margin, space, margin, space*(i+1)/n)
	output := false // what follows the first command's output waits with it
	for j, l := range s.lines {
		if !l.typed && !output {
			output = true
			fmt.Fprintf(w, `<g id="o%d">`+"\n", i)
		}
		class := "line"
		if l.typed {
			class = "line typed"
		}
		if l.text != "" {
			fmt.Fprintf(w, `<text class="%s" xml:space="preserve" x="%d" y="%d" textLength="%.1f" lengthAdjust="spacingAndGlyphs">%s</text>`+"\n",
				class, margin, titleSpace+(j+1)*lineHeight-6, charWidth*float64(len([]rune(l.text))), escape(l.text))
		}
	}
	if output {
		fmt.Fprintln(w, "</g>")
	}
	fmt.Fprintln(w, "</g>")
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
