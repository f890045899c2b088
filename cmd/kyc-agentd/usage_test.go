package main

import (
	"iter"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The help texts are written by hand: each names its command's flags, and no others.
func TestUsageNamesEveryFlag(t *testing.T) {
	for cmd := range everyCommand((&cli{}).root()) {
		if cmd.Hidden || !cmd.HasParent() {
			continue
		}
		named := map[string]bool{"help": true}
		for word := range strings.FieldsSeq(cmd.Long) {
			if name, ok := strings.CutPrefix(strings.Trim(word, "[],."), "--"); ok && name != "" { // -- alone ends the flags
				named[name] = true
			}
		}
		flags := map[string]bool{"help": true}
		visit := func(f *pflag.Flag) {
			if flags[f.Name] = true; !f.Hidden && !named[f.Name] {
				t.Errorf("the help text of %s does not name --%s", cmd.Name(), f.Name)
			}
		}
		cmd.Flags().VisitAll(visit)
		cmd.PersistentFlags().VisitAll(visit)
		cmd.InheritedFlags().VisitAll(visit)
		for name := range named {
			if !flags[name] {
				t.Errorf("the help text of %s names --%s, which it has not", cmd.Name(), name)
			}
		}
	}
}

// everyCommand yields cmd and what is below it.
func everyCommand(cmd *cobra.Command) iter.Seq[*cobra.Command] {
	return func(yield func(*cobra.Command) bool) {
		if !yield(cmd) {
			return
		}
		for _, sub := range cmd.Commands() {
			for c := range everyCommand(sub) {
				if !yield(c) {
					return
				}
			}
		}
	}
}

func TestUsageNamesEveryCommand(t *testing.T) {
	root := (&cli{}).root()
	for _, cmd := range root.Commands() {
		if cmd.Short == "" && !cmd.Hidden {
			t.Errorf("%s has no line for the list and for Tab", cmd.Name())
		}
		if got := strings.Contains(root.Long, "\n  "+cmd.Name()+" "); got == cmd.Hidden {
			t.Errorf("%s: named %t, hidden %t", cmd.Name(), got, cmd.Hidden)
		}
	}
}

func TestUsageFitsATerminal(t *testing.T) {
	root := (&cli{}).root()
	for cmd := range everyCommand(root) {
		for line := range strings.Lines(cmd.Long) {
			if line = strings.TrimRight(line, "\n"); len(line) > 80 || line != strings.TrimRight(line, " ") || strings.Contains(line, "\t") {
				t.Errorf("%s: %q", cmd.Name(), line)
			}
		}
		if cmd != root && !cmd.Hidden && cmd.Parent().Name() != "auth" && !hasSynopsis(cmd) {
			t.Errorf("%s begins %.40q", cmd.Name(), cmd.Long)
		}
	}
}

// hasSynopsis reports whether a line of the synopsis begins with the command.
func hasSynopsis(cmd *cobra.Command) bool {
	synopsis, _, _ := strings.Cut(cmd.Long, "\n\n")
	for line := range strings.Lines(strings.TrimPrefix(synopsis, "Usage: ")) {
		if strings.HasPrefix(strings.TrimLeft(line, " "), cmd.CommandPath()) && strings.HasPrefix(cmd.Long, "Usage: ") {
			return true
		}
	}
	return false
}

// --help is asked for, so it goes to stdout and is a success.
func TestHelp(t *testing.T) {
	root := (&cli{}).root()
	check := func(want *cobra.Command, args ...string) {
		t.Helper()
		if got := (session{}).run(t, args...); got.exit != exitOK || got.out != want.Long || got.errOut != "" {
			t.Errorf("%q: %+v", args, got)
		}
	}
	check(root, "--help")
	check(root, "-h")
	for cmd := range everyCommand(root) {
		if !cmd.Hidden {
			check(cmd, append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
		}
	}
}

// Tab shows what each flag does, and a command that is not listed is not offered.
func TestCompletionsDescribe(t *testing.T) {
	c := &cli{}
	root := c.root()
	c.addCompletions(root)
	for cmd := range everyCommand(root) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" && !f.Hidden && cmd != root && cmd.Name() != "help" {
				t.Errorf("%s --%s has no description", cmd.CommandPath(), f.Name)
			}
		})
	}
	got := session{}.run(t, "__complete", "")
	for line := range strings.Lines(got.out) {
		name, description, described := strings.Cut(strings.TrimSpace(line), "\t")
		if cmd, _, err := root.Find([]string{name}); !strings.HasPrefix(line, ":") && (err != nil || cmd.Hidden || !described || description != cmd.Short) {
			t.Errorf("%q", line)
		}
	}
	if strings.Count(got.out, "\n") < 15 {
		t.Errorf("%+v", got)
	}
}

// A verb that is described alone is the one that was asked for, with the same flags and help.
func TestOneVerbIsEnough(t *testing.T) {
	c := &cli{}
	all := c.root()
	for _, v := range verbs {
		root := c.rootFor([]string{v.name, "--help"})
		got, _, err := root.Find([]string{v.name})
		want, _, _ := all.Find([]string{v.name})
		if err != nil || got.Name() != v.name || got.Long != want.Long || got.Flags().FlagUsages() != want.Flags().FlagUsages() {
			t.Errorf("%s: %v, %v", v.name, got.Name(), err)
		}
		if about := v.name == "help" || v.name == "completion"; about != (len(root.Commands()) > 1) {
			t.Errorf("%s: %d commands", v.name, len(root.Commands()))
		}
	}
	for _, args := range [][]string{nil, {"--help"}, {"lgin"}, {"signin"}, {"--socket", "x", "login"}, {"__complete", ""}} {
		if n := len(c.rootFor(args).Commands()); n < len(verbs) {
			t.Errorf("%q: %d commands, want %d", args, n, len(verbs))
		}
	}
}
