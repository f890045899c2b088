package ipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// bazelBody answers in the protocol of Bazel's and EngFlow's credential helpers: see
// github.com/EngFlow/credential-helper-spec.
type bazelBody struct {
	Headers map[string][]string `json:"headers"`
	Expires string              `json:"expires,omitempty"` // RFC 3339
}

// bazel answers {"uri": …} with the headers for it.
func (a *api) bazel(q helperRequest) (reply, error) {
	uri, err := bazelURI([]byte(q.body))
	if err != nil {
		return reply{}, err
	}
	t, err := a.tokenTo(uri, q)
	if err != nil {
		return reply{}, err
	}
	return answerWith(t, mediaJSON, string(encode(bazelBody{
		Headers: map[string][]string{"Authorization": {"Bearer " + t.IDToken.Reveal()}},
		Expires: rfc3339(reportedEnd(t, time.Now())),
	}))), nil
}

// bazelURI reads the request. The protocol lets it have more in it than the URI.
func bazelURI(body []byte) (string, error) {
	var uri string
	dec := json.NewDecoder(bytes.NewReader(body))
	err := eachField(dec, func(name string, value json.RawMessage) error {
		if name != "uri" {
			return nil
		}
		return setString(&uri, name, value)
	})
	if err == nil {
		if _, end := dec.Token(); !errors.Is(end, io.EOF) {
			err = usage("there is more in the body than one JSON object")
		}
	}
	switch {
	case err != nil:
		return "", err
	case uri == "":
		return "", usage(`there is no "uri" in what the helper was asked; want {"uri":"https://…"}`)
	}
	return uri, nil
}
