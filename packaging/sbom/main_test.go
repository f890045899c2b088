package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testpeer.Cleanup()
	os.Exit(code)
}

// schema is the published schema of CycloneDX 1.6, which comes with the library.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	const at = "http://cyclonedx.org/schema/"
	compiler := jsonschema.NewCompiler()
	for name, file := range map[string]string{
		"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		f, err := os.Open(filepath.Join(strings.TrimSpace(string(out)), "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		document, err := jsonschema.UnmarshalJSON(f)
		if err == nil {
			err = compiler.AddResource(at+name, document)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	compiled, err := compiler.Compile(at + "bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestBill(t *testing.T) {
	testpeer.Slow(t)
	programs := []string{testpeer.Build(t, "kyc-agentd"), testpeer.Build(t, "kyc-token")}
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		if err := write(w, "1.0.0+2.g0123456", programs, "1767323045"); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("a second run gives other bytes")
	}
	document, err := jsonschema.UnmarshalJSON(&second)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema(t).Validate(document); err != nil {
		t.Errorf("%v", err)
	}
	document.(map[string]any)["components"].([]any)[0].(map[string]any)["type"] = "novel"
	if schema(t).Validate(document) == nil {
		t.Error("the schema accepts an unknown type of component, so it proves nothing")
	}

	var bill struct {
		Metadata   struct{ Timestamp string }
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(first.Bytes(), &bill); err != nil {
		t.Fatal(err)
	}
	if bill.Metadata.Timestamp != "2026-01-02T03:04:05Z" {
		t.Errorf("timestamp %q", bill.Metadata.Timestamp)
	}
	listed := map[string]bool{}
	for _, c := range bill.Components {
		listed[c.Name+" "+c.Version] = true
	}
	linked := 0
	for _, program := range programs {
		out, err := exec.CommandContext(t.Context(), "go", "version", "-m", program).Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) >= 3 && f[0] == "dep" {
				linked++
				if !listed[f[1]+" "+f[2]] {
					t.Errorf("%s %s is linked and not listed", f[1], f[2])
				}
			}
		}
	}
	if linked == 0 || len(listed) > linked+1 {
		t.Errorf("%d modules are linked and %d listed", linked, len(listed))
	}
}

func TestNoBill(t *testing.T) {
	program := testpeer.Build(t, "kyc-token")
	for name, err := range map[string]error{
		"no program": write(&bytes.Buffer{}, "1", []string{"main.go"}, ""),
		"no time":    write(&bytes.Buffer{}, "1", []string{program}, "yesterday"),
	} {
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
