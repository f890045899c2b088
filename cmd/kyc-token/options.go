package main

import "strings"

// options are the command line.
type options struct {
	mode        mode
	format      string
	minValid    string
	socket      string
	environment string
	operation   string   // of git and Terraform: "get"
	about       string   // the host, or the URL, that Terraform and Go ask about
	command     []string // what exec becomes
	help        bool
	version     bool

	words []string // the arguments that are no flags, in order
}

// parse reads the command line. Flags may stand before and after the environment,
// with one dash or two, as `-f curl` or `-f=curl`.
//
// It goes on after an error and returns the first one: -f curl has to be seen
// wherever it stands, for a usage error must fail closed too.
func parse(m mode, args []string) (options, error) {
	o := options{mode: m}
	var first error
	for len(args) > 0 {
		rest, err := o.take(args)
		if first == nil {
			first = err
		}
		args = rest
	}
	if first == nil && !o.help && !o.version {
		first = o.settle()
	}
	return o, first
}

// take reads one argument, and the value that follows it where there is one.
func (o *options) take(args []string) (rest []string, err error) {
	arg, rest := args[0], args[1:]
	if arg == "--" {
		return nil, o.takeAll(rest)
	}
	name, isFlag := strings.CutPrefix(arg, "-")
	if !isFlag || name == "" {
		if o.mode == modeToken && len(o.words) == 0 && (arg == verbGet || arg == verbExec) {
			o.mode = modeOfVerb(arg)
			return rest, nil
		}
		return rest, o.word(arg)
	}
	name = strings.TrimPrefix(name, "-")
	name, value, inline := strings.Cut(name, "=")
	if on := o.toggle(name); on != nil {
		if inline {
			return rest, usageError("the flag -" + name + " takes no value")
		}
		*on = true
		return rest, nil
	}
	target := o.field(name)
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

// takeAll reads what follows "--": exec's command, or words that are no verbs.
func (o *options) takeAll(args []string) error {
	if o.mode == modeExec {
		o.command = args
		return nil
	}
	for _, arg := range args {
		if err := o.word(arg); err != nil {
			return err
		}
	}
	return nil
}

// toggle is where a flag without a value goes.
func (o *options) toggle(name string) *bool {
	switch name {
	case "h", "help":
		return &o.help
	case "version":
		return &o.version
	}
	return nil
}

// field is where a flag's value goes.
func (o *options) field(name string) *string {
	switch name {
	case "f", "format":
		return &o.format
	case "min-valid":
		return &o.minValid
	case "socket":
		return &o.socket
	}
	return nil
}

// word keeps an argument. An empty one is most likely a script's unset variable, and
// must not turn into the default.
func (o *options) word(arg string) error {
	if arg == "" {
		return usageError("the ENVIRONMENT argument is empty; leave it out for the agent's default")
	}
	o.words = append(o.words, arg)
	return nil
}
