// Command sbom prints the software bill of materials of built Go programs: the modules
// that they are linked with, as CycloneDX JSON (ECMA-424).
//
//	SOURCE_DATE_EPOCH=1767323045 go run ./packaging/sbom 1.0.0 bin/kyc-agentd bin/kyc-token
//
// It reads the information that the Go toolchain writes into programs and that
// `go version -m` shows. The same programs give the same bytes.
package main

import (
	"debug/buildinfo"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

const module = "github.com/legaltalent/kyc-agent"

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: sbom VERSION PROGRAM...")
		os.Exit(64)
	}
	if err := write(os.Stdout, os.Args[1], os.Args[2:], os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// write writes the bill of materials of programs. epoch is the time of the release in
// seconds since 1970, or empty.
func write(w io.Writer, version string, programs []string, epoch string) error {
	linked := map[string]cyclonedx.Component{}
	for _, path := range programs {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return err
		}
		goVersion, _, _ := strings.Cut(info.GoVersion, " ") // a list of experiments may follow
		add(linked, "std", strings.TrimPrefix(goVersion, "go"))
		for _, dep := range info.Deps {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			add(linked, dep.Path, dep.Version)
		}
	}
	bill, err := billOf(version, epoch, linked)
	if err != nil {
		return err
	}
	return cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bill, cyclonedx.SpecVersion1_6)
}

// add adds a module by its package URL, in which the standard library is called "std".
func add(linked map[string]cyclonedx.Component, path, version string) {
	c := component(cyclonedx.ComponentTypeLibrary, path, version)
	linked[c.BOMRef] = c
}

func component(kind cyclonedx.ComponentType, path, version string) cyclonedx.Component {
	url := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cyclonedx.Component{Type: kind, BOMRef: url, PackageURL: url, Name: path, Version: version}
}

func billOf(version, epoch string, linked map[string]cyclonedx.Component) (*cyclonedx.BOM, error) {
	product := component(cyclonedx.ComponentTypeApplication, module, version)
	product.Licenses = &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}}
	refs := slices.Sorted(maps.Keys(linked))
	components := make([]cyclonedx.Component, 0, len(refs))
	for _, ref := range refs {
		components = append(components, linked[ref])
	}
	bill := cyclonedx.NewBOM()
	bill.Metadata = &cyclonedx.Metadata{Component: &product}
	bill.Components = &components
	bill.Dependencies = &[]cyclonedx.Dependency{{Ref: product.BOMRef, Dependencies: &refs}}
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		bill.Metadata.Timestamp = time.Unix(seconds, 0).UTC().Format(time.RFC3339)
	}
	return bill, nil
}
