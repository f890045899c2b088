// Command go checks a name against the lists: the KYC API from a Go program.
//
//	go run ./examples/go [NAME]
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/legaltalent/kyc-agent/ipc/tokensource"
)

func main() {
	name := "Jane Roe"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	if err := check(context.Background(), name); err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

func check(ctx context.Context, name string) error {
	transport := new(tokensource.Transport) // for $KYC_ENV, else the agent's default
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	api, err := transport.APIURL(ctx)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"subject": map[string]string{"full_name": name}, "list_name": "ofac"})
	if err != nil {
		return err
	}
	resp, err := client.Post(api+"/kyc", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("POST /kyc: %s: %s", resp.Status, text)
	}
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}
