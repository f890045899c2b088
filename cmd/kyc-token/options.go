package main

import "strings"

// options are the command line.
type options struct {
	format      string
	minValid    string
	socket      string
	environment string
	help        bool
	version     bool
}

// parse reads the command line. Flags may stand before and after the environment,
// with one dash or two, as `-f curl` or `-f=curl`.
//
// It goes on after an error and returns the first one: -f curl has to be seen
// wherever it stands, for a usage error must fail closed too.
func parse(args []string) (options, error) {
	var o options
	var first error
	for len(args) > 0 {
		rest, err := o.take(args)
		if first == nil {
			first = err
		}
		args = rest
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
		return rest, o.setEnvironment(arg)
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

// takeAll reads what follows "--".
func (o *options) takeAll(args []string) error {
	for _, arg := range args {
		if err := o.setEnvironment(arg); err != nil {
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

// setEnvironment takes the one argument. An empty one is most likely a script's
// unset variable, and must not turn into the default.
func (o *options) setEnvironment(arg string) error {
	switch {
	case arg == "":
		return usageError("the ENVIRONMENT argument is empty; leave it out for the agent's default")
	case o.environment != "":
		return usageError("one environment at a time, not both " + o.environment + " and " + arg)
	}
	o.environment = arg
	return nil
}
