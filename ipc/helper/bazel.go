package helper

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/legaltalent/kyc-agent/ipc/format"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// bazelBody answers in the protocol of Bazel's and EngFlow's credential helpers: see
// github.com/EngFlow/credential-helper-spec.
type bazelBody struct {
	Headers map[string][]string `json:"headers"`
	Expires string              `json:"expires,omitempty"` // RFC 3339
}

// answerBazel answers {"uri": …} with the headers for it.
func answerBazel(c *call) (Answer, error) {
	uri, err := bazelURI([]byte(c.body))
	if err != nil {
		return Answer{}, err
	}
	t, err := c.tokenFor(uri)
	if err != nil {
		return Answer{}, err
	}
	return answerWith(t, wire.MediaJSON, string(wire.Encode(bazelBody{
		Headers: map[string][]string{"Authorization": {"Bearer " + t.IDToken.Reveal()}},
		Expires: wire.RFC3339(format.ReportedEnd(t, time.Now())),
	}))), nil
}

// bazelURI reads the request. The protocol allows other fields beside the URI.
func bazelURI(body []byte) (string, error) {
	var uri string
	dec := json.NewDecoder(bytes.NewReader(body))
	err := wire.EachField(dec, func(name string, value json.RawMessage) error {
		if name != "uri" {
			return nil
		}
		return wire.SetString(&uri, name, value)
	})
	if err == nil {
		if _, end := dec.Token(); !errors.Is(end, io.EOF) {
			err = wire.UsageError("there is more in the body than one JSON object")
		}
	}
	switch {
	case err != nil:
		return "", err
	case uri == "":
		return "", wire.UsageError(`the request has no "uri"; want {"uri":"https://…"}`)
	}
	return uri, nil
}
