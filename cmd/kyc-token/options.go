package main

import "strings"

// options are the command line.
type options struct {
	mode        mode
	format      string
	minValid    string
	tokenType   string // "access", or empty for the ID token
	user        string // who must be signed in; empty means anybody
	socket      string
	environment string
	operation   string   // of git and Terraform: "get"
	subject     string   // the host or the URL that Terraform or Go asks about
	command     []string // what exec runs
	help        bool
	version     bool

	words []string // the arguments that are not flags, in order
}

// parse reads the command line. Flags may come before and after the environment, with
// one dash or two, as `-f curl` or `-f=curl`.
//
// It continues after an error and returns the first one, so that it finds -f curl
// anywhere: a usage error has to fail closed, too.
func parse(m mode, args []string) (options, error) {
	o := options{mode: m}
	var first error
	for len(args) > 0 {
		rest, err := o.parseArg(args)
		if first == nil {
			first = err
		}
		args = rest
	}
	if first == nil && !o.help && !o.version {
		first = o.assignWords()
	}
	return o, first
}

// parseArg reads one argument, and the value that follows it if it is a flag with one.
func (o *options) parseArg(args []string) (rest []string, err error) {
	arg, rest := args[0], args[1:]
	switch {
	case arg == "--":
		return nil, o.parseRest(rest)
	case strings.HasPrefix(arg, "-") && arg != "-":
		return o.parseFlag(arg, rest)
	case o.mode == modeToken && len(o.words) == 0 && (arg == verbGet || arg == verbExec):
		o.mode = modeOfVerb(arg)
		return rest, nil
	}
	return rest, o.addWord(arg)
}

// parseFlag reads the flag arg; rest are the arguments after it.
func (o *options) parseFlag(arg string, rest []string) ([]string, error) {
	name, value, inline := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	switch name {
	case "ftoken", "fheader", "fcurl", "fjson", "fenv", "fk8s", "fgoogle", "fclaims", "faws": // without a blank
		name, value, inline = "f", name[1:], true
	}
	if on := o.boolFlag(name); on != nil {
		if inline {
			return rest, usageError("the flag -" + name + " takes no value")
		}
		*on = true
		return rest, nil
	}
	target := o.stringFlag(name)
	if target == nil {
		return rest, usageError("no such flag: " + arg)
	}
	// No value starts with a dash: `-min-valid $UNSET -f curl` must not eat its -f.
	if !inline && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		value, rest = rest[0], rest[1:]
	}
	if value == "" {
		return rest, usageError("the flag -" + name + " needs a value")
	}
	*target = value
	return rest, nil
}

// parseRest reads the arguments after "--": exec's command, or words that are not verbs.
func (o *options) parseRest(args []string) error {
	if o.mode == modeExec {
		o.command = args
		return nil
	}
	for _, arg := range args {
		if err := o.addWord(arg); err != nil {
			return err
		}
	}
	return nil
}

// boolFlag returns the option of a flag without a value, or nil.
func (o *options) boolFlag(name string) *bool {
	switch name {
	case "h", "help":
		return &o.help
	case "v", "version":
		return &o.version
	}
	return nil
}

// stringFlag returns the option of a flag with a value, or nil.
func (o *options) stringFlag(name string) *string {
	switch name {
	case "f", "format", "o":
		return &o.format
	case "e", "env":
		return &o.environment
	case "min-valid":
		return &o.minValid
	case "socket":
		return &o.socket
	case "t", "type":
		return &o.tokenType
	case "user", "username":
		return &o.user
	}
	return nil
}

// addWord keeps an argument. It refuses an empty one, which is most likely an unset
// variable of a script and must not select the default environment.
func (o *options) addWord(arg string) error {
	if arg == "" {
		return usageError("the ENVIRONMENT argument is empty; leave it out for the agent's default")
	}
	o.words = append(o.words, arg)
	return nil
}
