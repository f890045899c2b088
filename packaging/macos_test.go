package packaging_test

import (
	"encoding/xml"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// These tests check that the files are right for macOS. Nothing has been run there.

func TestBuildsForMacOS(t *testing.T) {
	m := newMakeEnv(t)
	bin := t.TempDir()
	m.mustRun("build", "BIN="+bin, "GOOS=darwin", "GOARCH=arm64")
	for _, name := range []string{"kyc-agentd", "kyc-token"} {
		head := make([]byte, 8)
		f, err := os.Open(filepath.Join(bin, name))
		if err == nil {
			_, err = io.ReadFull(f, head)
		}
		// Mach-O of 64 bits, for arm64 (mach-o/loader.h, mach/machine.h).
		if want := "\xcf\xfa\xed\xfe\x0c\x00\x00\x01"; err != nil || string(head) != want {
			t.Errorf("%s begins with % x, %v; want % x", name, head, err, want)
		}
	}
	vet := exec.CommandContext(t.Context(), "go", "vet", "./cmd/...", "./ipc/...", "./agent/...", "./store/...")
	vet.Dir = testpeer.ModuleRoot()
	vet.Env = append(os.Environ(), "GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}

// TestLaunchd reads the property list as launchd.plist(5) describes it: keys and values
// alternate.
func TestLaunchd(t *testing.T) {
	f, err := os.Open("launchd/ai.legaltalent.kyc-agentd.plist")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list struct {
		XMLName xml.Name `xml:"plist"`
		Dict    struct {
			Elements []struct {
				XMLName  xml.Name
				Text     string   `xml:",chardata"`
				Elements []string `xml:"string"`
			} `xml:",any"`
		} `xml:"dict"`
	}
	d := xml.NewDecoder(f)
	if err := d.Decode(&list); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Token(); err != io.EOF && err != nil {
		t.Fatal(err)
	}
	got, elements := map[string]string{}, list.Dict.Elements
	if len(elements)%2 != 0 {
		t.Fatalf("%d elements are no pairs", len(elements))
	}
	for pair := range slices.Chunk(elements, 2) {
		key, value := pair[0], pair[1]
		if key.XMLName.Local != "key" {
			t.Errorf("<%s> is where a key should be", key.XMLName.Local)
		}
		got[key.Text] = value.XMLName.Local + strings.TrimSpace(value.Text) + strings.Join(value.Elements, " ")
	}
	for key, want := range map[string]string{
		"Label":            "stringai.legaltalent.kyc-agentd", // and the file's name
		"ProgramArguments": "array/usr/local/bin/kyc-agentd serve",
		"RunAtLoad":        "true", "KeepAlive": "true",
		"Umask": "integer63",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

// TestFormula checks the formula's syntax with Ruby, and that it makes the same links as
// make install.
func TestFormula(t *testing.T) {
	const formula = "homebrew/kyc-agent.rb"
	ruby := testpeer.Program(t, "ruby", "ruby")
	if out, err := exec.CommandContext(t.Context(), ruby, "-wc", formula).CombinedOutput(); err != nil || string(out) != "Syntax OK\n" {
		t.Errorf("ruby -wc: %v\n%s", err, out)
	}
	text, err := os.ReadFile(formula)
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`%w\[(.*)\]`).FindSubmatch(text)
	if links == nil {
		t.Fatal("the formula makes no links")
	}
	m := newMakeEnv(t)
	m.mustRun("install")
	installed := files(t, filepath.Join(m.home, ".local/bin"))
	maps.DeleteFunc(installed, func(_ string, mode os.FileMode) bool { return mode.IsRegular() })
	if got, want := strings.Fields(string(links[1])), slices.Sorted(maps.Keys(installed)); !slices.Equal(got, want) {
		t.Errorf("the formula links %q, make install links %q", got, want)
	}
}
