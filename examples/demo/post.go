package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// post does the same as the curl command, on a machine without curl.
func (d *demo) post(url, body string) error {
	fmt.Fprintln(d.out, "    (curl is not installed: the demo sends the request itself)")
	token, err := d.typed("kyc-token", "")
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(d.ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	fmt.Fprintf(d.out, "    POST %s\n    %s\n    %s\n", url, res.Status, strings.TrimSpace(string(answer)))
	return err
}
