package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

const sample = `Building kyc-agentd and kyc-token …
A simulated Cognito is at http://127.0.0.1:%s, a KYC API at http://127.0.0.1:%s1, and kyc-agentd serve runs.

1. Ask for a token.

    $ kyc-token
    eyJhbGci…%sabcd (957 characters)

2. Call the API.

    $ curl -K <(kyc-token -f curl) \
      -d '{}' http://127.0.0.1:%s1/kyc
    {"status":"success","meta":{"request_id":"%s51e49b2-7d42-4c1a-9a86-2e4d1f7b3c60"}}

Both API calls were answered 200.
`

// What differs between two runs of the demo does not differ in the picture.
func TestPictureIsTheSame(t *testing.T) {
	picture := func(digit string) string {
		var b bytes.Buffer
		draw(&b, parse(fixed(strings.ReplaceAll(sample, "%s", digit))))
		return b.String()
	}
	if picture("2") != picture("4") {
		t.Errorf("%s\nand\n%s", picture("2"), picture("4"))
	}
	for _, text := range []string{">$ kyc-token<", ">eyJhbGci…token1 (957 characters)<", "&lt;(kyc-token -f curl) \\<", "http://127.0.0.1:8002/kyc"} {
		if !strings.Contains(picture("2"), text) {
			t.Errorf("%q is not in\n%s", text, picture("2"))
		}
	}
}

// A forge shows the picture as an image: it has to be XML without scripts and references.
func TestRecordingIsAPicture(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testpeer.ModuleRoot(), "docs/recording.svg"))
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && !strings.Contains(" svg title desc style rect g text ", " "+e.Name.Local+" ") {
			t.Errorf("it has an element %s", e.Name.Local)
		}
	}
	for _, part := range []string{"prefers-color-scheme: dark", "prefers-reduced-motion", "kyc-agentd login staging", "HTTP 200"} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("it does not have %q", part)
		}
	}
}
