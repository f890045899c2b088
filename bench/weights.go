package main

import (
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// weightsPart says what each module adds to kyc-agentd: bytes of the program, and what its
// packages do at each start, before main.
func weightsPart(ctx context.Context, h *harness, _ plan) (section, error) {
	s := section{
		title: "What kyc-agentd is made of",
		about: "Code and data of each module's packages in the program, and what they do at each start before main: times are the median of " +
			strconv.Itoa(traces) + " starts. Modules of one repository are one row.",
		head: []string{"module", "packages", "kB of the program", "before main, ms", "kB", "allocations"},
	}
	groups, err := h.moduleGroups(ctx)
	if err != nil {
		return s, err
	}
	sizes, tables, err := h.packageSizes(ctx)
	if err != nil {
		return s, err
	}
	costs, err := h.initCosts(ctx)
	if err != nil {
		return s, err
	}
	weights := weigh(groups, sizes, costs)
	all := weight{name: "all of them"}
	for i, w := range weights {
		all.add(w)
		if i < listed {
			s.rows = append(s.rows, w.row())
		}
	}
	rest := weight{name: fmt.Sprintf("%d more", max(len(weights)-listed, 0))}
	for _, w := range weights[min(listed, len(weights)):] {
		rest.add(w)
	}
	if rest.packages > 0 {
		s.rows = append(s.rows, rest.row())
	}
	s.rows = append(s.rows, all.row())
	program, err := os.Stat(h.path("bin/kyc-agentd"))
	if err != nil {
		return s, err
	}
	s.notes = append(s.notes, fmt.Sprintf("The program has %d kB: these, %d kB of tables by which the runtime finds functions and lines (gopclntab), "+
		"and %d kB that are of no single package, such as types and texts.", program.Size()/1000, tables/1000, (int(program.Size())-all.bytes-tables)/1000))
	return s, nil
}

const (
	listed = 25 // rows of the table
	traces = 11 // starts of which the median is taken
)

// A weight is what the packages of a module add.
type weight struct {
	name     string
	packages int
	bytes    int
	init     initCost
}

func (w *weight) add(other weight) {
	w.packages, w.bytes = w.packages+other.packages, w.bytes+other.bytes
	w.init.add(other.init)
}

func (w *weight) row() []string {
	return []string{
		w.name, strconv.Itoa(w.packages), strconv.Itoa(w.bytes / 1000), fmt.Sprintf("%.2f", w.init.ms),
		fmt.Sprintf("%.1f", float64(w.init.bytes)/1000), strconv.Itoa(w.init.allocated),
	}
}

// weigh sums sizes and costs of packages by group, the largest first.
func weigh(groups map[string]string, sizes map[string]int, costs []initCost) []weight {
	sums := map[string]*weight{}
	of := func(pkg string) *weight {
		name := groups[pkg]
		if sums[name] == nil {
			sums[name] = &weight{name: name}
		}
		return sums[name]
	}
	for pkg := range groups {
		of(pkg).packages++
	}
	for pkg, size := range sizes {
		of(pkg).bytes += size
	}
	for _, c := range costs {
		of(c.name).init.add(c)
	}
	delete(sums, "")
	var all []weight
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		all = append(all, *sums[name])
	}
	slices.SortStableFunc(all, func(a, b weight) int { return cmp.Compare(b.bytes, a.bytes) })
	return all
}

// moduleGroups returns the repository of each package that is linked into kyc-agentd.
func (h *harness) moduleGroups(ctx context.Context) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{.ImportPath}} {{with .Module}}{{.Path}}{{else}}{{end}}", "./cmd/kyc-agentd")
	cmd.Dir = h.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := output(cmd)
	if err != nil {
		return nil, err
	}
	groups := map[string]string{}
	for line := range strings.Lines(string(out)) {
		pkg, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		groups[pkg] = "the standard library"
		if module != "" {
			parts := strings.Split(module, "/")
			groups[pkg] = strings.Join(parts[:min(3, len(parts))], "/")
		}
	}
	groups["main"] = groups["github.com/legaltalent/kyc-agent/cmd/kyc-agentd"]
	delete(groups, "github.com/legaltalent/kyc-agent/cmd/kyc-agentd")
	return groups, nil
}

// packageSizes returns how many bytes of the program each package has, by the symbols of one that
// is not stripped, and the size of the runtime's tables.
func (h *harness) packageSizes(ctx context.Context) (sizes map[string]int, tables int, err error) {
	path := h.path("kyc-agentd-with-symbols")
	cmd := goBuild(ctx, h.root, path, "./cmd/kyc-agentd")
	cmd.Args[slices.Index(cmd.Args, strippedFlags)] = "-ldflags=-w -buildid="
	if _, err := output(cmd); err != nil {
		return nil, 0, err
	}
	program, err := elf.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer program.Close()
	symbols, err := program.Symbols()
	if err != nil {
		return nil, 0, err
	}
	sizes = map[string]int{}
	for _, symbol := range symbols {
		if i := int(symbol.Section); i < len(program.Sections) && program.Sections[i].Type != elf.SHT_NOBITS {
			sizes[packageOf(symbol.Name)] += int(symbol.Size)
		}
	}
	if s := program.Section(".gopclntab"); s != nil {
		tables = int(s.Size)
	}
	return sizes, tables, nil
}

// packageOf returns the package of a symbol such as "net/http.(*Client).Do" or
// "go:itab.*os.File,io.Reader". In the last part of a path the linker writes %2e for a dot.
func packageOf(symbol string) string {
	for _, prefix := range []string{"type:.eq.", "type:.hash.", "go:itab."} {
		symbol = strings.TrimPrefix(symbol, prefix)
	}
	symbol = strings.TrimLeft(symbol, "*")
	if i := strings.IndexAny(symbol, "[(,"); i >= 0 {
		symbol = symbol[:i]
	}
	slash := strings.LastIndexByte(symbol, '/') + 1
	name, _, _ := strings.Cut(symbol[slash:], ".")
	pkg, err := url.PathUnescape(symbol[:slash] + name)
	if err != nil {
		return symbol
	}
	return pkg
}

// An initCost is what a package does before main.
type initCost struct {
	name      string
	ms        float64
	bytes     int
	allocated int
}

func (c *initCost) add(other initCost) {
	c.ms, c.bytes, c.allocated = c.ms+other.ms, c.bytes+other.bytes, c.allocated+other.allocated
}

// initCosts traces several starts. The time of a package is the median: a single one also has
// what the machine did meanwhile.
func (h *harness) initCosts(ctx context.Context) ([]initCost, error) {
	var last []initCost
	times := map[string][]float64{}
	for range traces {
		cmd := exec.CommandContext(ctx, h.path("bin/kyc-agentd"), "--version")
		cmd.Env = h.environ("GODEBUG=inittrace=1")
		var trace strings.Builder
		cmd.Stderr = &trace
		if err := cmd.Run(); err != nil {
			return nil, err
		}
		costs, err := parseInitTrace(trace.String())
		if err != nil {
			return nil, err
		}
		for _, c := range costs {
			times[c.name] = append(times[c.name], c.ms)
		}
		last = costs
	}
	for i, c := range last {
		last[i].ms = spread(times[c.name]).median()
	}
	return last, nil
}

// parseInitTrace reads lines such as
// "init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs".
func parseInitTrace(trace string) (costs []initCost, err error) {
	for line := range strings.Lines(trace) {
		f := strings.Fields(line)
		if len(f) != 11 || f[0] != "init" {
			continue
		}
		ms, err1 := strconv.ParseFloat(f[4], 64)
		bytes, err2 := strconv.Atoi(f[7])
		allocated, err3 := strconv.Atoi(f[9])
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		costs = append(costs, initCost{f[1], ms, bytes, allocated})
	}
	if costs == nil {
		return nil, errors.New("the runtime told nothing of packages: " + trace)
	}
	return costs, nil
}
