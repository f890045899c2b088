package browser

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"strings"
)

// A Page is what the person sees in the browser at the end. It loads nothing and runs nothing.
type Page struct {
	Title string // "Signed in"
	Text  string
	Bad   bool // something went wrong
}

var (
	pageElsewhere = Page{"Not part of a sign-in", "This address is for the end of a sign-in of kyc-agent, and the request did not come from the one that is going on. Nothing was changed. Go back to the terminal.", true}
	pageTwice     = Page{"Already used", "This sign-in has had its answer. Go back to the terminal for how it ended.", true}
	pageNotFound  = Page{"Not found", "There is nothing at this address.", true}
)

// style gives both colour schemes a contrast of at least 7:1 (WCAG 2.2, AAA).
const style = `:root{color-scheme:light dark;--back:#f6f7f9;--card:#fff;--ink:#1b1f24;--line:#d0d7de;--mark:#0a5c2b}
.bad{--mark:#8e1519}
@media(prefers-color-scheme:dark){:root{--back:#0f1216;--card:#1a1f25;--ink:#eef1f4;--line:#3a424c;--mark:#7ee2a0}.bad{--mark:#ffb3ad}}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--back);color:var(--ink);font:1.125rem/1.5 system-ui,sans-serif}
main{box-sizing:border-box;max-width:34rem;margin:1rem;padding:2rem;background:var(--card);border:1px solid var(--line);border-top:.375rem solid var(--mark);border-radius:.5rem;overflow-wrap:anywhere}
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25;color:var(--mark)}p{margin:0}`

// policy allows the style above and nothing else: no script, no other resource, no frame.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// write writes the page. The address has a code in it, so it is neither kept nor told to others.
func (p Page) write(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Connection", "close")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, p.html())
}

func (p Page) html() string {
	class, symbol := "good", "✓"
	if p.Bad {
		class, symbol = "bad", "✗"
	}
	return strings.NewReplacer("{style}", style, "{class}", class, "{symbol}", symbol,
		"{title}", html.EscapeString(p.Title), "{text}", html.EscapeString(p.Text)).Replace(`<!DOCTYPE html>
<html lang="en" class="{class}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>{title} – kyc-agent</title>
<style>{style}</style>
</head>
<body>
<main>
<h1><span aria-hidden="true">{symbol}</span> {title}</h1>
<p role="status">{text}</p>
</main>
</body>
</html>
`)
}
