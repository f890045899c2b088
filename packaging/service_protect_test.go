package packaging_test

import (
	"os"
	"path/filepath"
	"strings"
)

// testProtectedUnits runs the clients in units that hide things from their programs. They get
// a token, or one line says which setting of the unit is in the way and what to add.
func testProtectedUnits(s *service) {
	s.login()
	folder := filepath.Dir(socketPath())
	hidden := socketPath() + " is hidden from this unit by ProtectHome=; add to it: ProtectHome=tmpfs and BindPaths=" + folder
	const noSockets = "; a unit needs RestrictAddressFamilies=AF_UNIX and SystemCallFilter=@network-io"
	// ProtectHome= hides ~/.local/bin as well.
	programs := s.t.TempDir()
	for _, program := range []string{"kyc-token", "kyc-agentd"} {
		s.must("cp", "--", atHome(".local/bin/"+program), programs)
	}
	s.must("chmod", "-R", "a+rX", programs, filepath.Dir(programs))
	for _, test := range []struct {
		settings string // a user unit needs PrivateUsers= for those that mount something
		fails    string // "" if the clients work
	}{
		{"PrivateUsers=yes", ""},
		{"PrivateUsers=yes PrivateNetwork=yes ProtectSystem=strict", ""},
		{"PrivateUsers=yes ProtectHome=read-only", ""},
		{"PrivateUsers=yes ProtectHome=yes", hidden},
		{"PrivateUsers=yes ProtectHome=tmpfs", hidden},
		{"PrivateUsers=yes ProtectHome=yes ProcSubset=pid ProtectProc=invisible", hidden},
		{"PrivateUsers=yes TemporaryFileSystem=/run/user", hidden},
		{"PrivateUsers=yes InaccessiblePaths=/run/user", hidden},
		{"PrivateUsers=yes InaccessiblePaths=/run", hidden},
		// What the line says, and half of it.
		{"PrivateUsers=yes ProtectHome=tmpfs BindPaths=" + folder, ""},
		{"PrivateUsers=yes ProtectHome=tmpfs BindReadOnlyPaths=" + folder, ""},
		{"PrivateUsers=yes ProtectHome=yes BindPaths=" + folder, hidden},
		{"RestrictAddressFamilies=AF_INET", "cannot make a socket: address family not supported by protocol" + noSockets},
		{"RestrictAddressFamilies=AF_INET RestrictAddressFamilies=AF_UNIX", ""},
		{"SystemCallFilter=~@network-io SystemCallErrorNumber=EPERM", "cannot make a socket: operation not permitted" + noSockets},
	} {
		for _, command := range []string{"kyc-token", "kyc-agentd whoami", "kyc-agentd start"} {
			name, _, _ := strings.Cut(command, " ")
			got, want := s.inUnit(test.settings, filepath.Join(programs, command)), name+": "+test.fails+"\n"
			if test.fails == "" && got.exit != 0 || test.fails != "" && (got.exit != 69 || got.err != want || got.out != "") {
				s.t.Errorf("%s: %s: %+v\nwant %q", test.settings, command, got, want)
			}
		}
	}
	// The user manager, which sees the socket, reads a credential. In a user unit it keeps it in
	// /run/user, too, where ProtectHome=yes hides it.
	show := filepath.Join(programs, "show")
	if err := os.WriteFile(show, []byte(`cat "$CREDENTIALS_DIRECTORY/kyc-token.staging"`), 0o644); err != nil {
		s.t.Fatal(err)
	}
	for settings, works := range map[string]bool{
		"ProtectHome=tmpfs": true, "ProtectHome=read-only": true, "InaccessiblePaths=" + folder: true, "ProtectHome=yes": false,
	} {
		got := s.inUnit("PrivateUsers=yes LoadCredential=kyc-token.staging:"+socketPath()+" "+settings, "/bin/sh "+show)
		if strings.HasPrefix(got.out, "eyJ") != works {
			s.t.Errorf("LoadCredential= with %s: %+v", settings, got)
		}
	}
}

// inUnit runs a command in a unit with these settings.
func (s *service) inUnit(settings, command string) outcome {
	s.t.Helper()
	args := []string{"--user", "--wait", "--pipe", "--quiet", "--collect"}
	for setting := range strings.FieldsSeq(settings) {
		args = append(args, "--property="+setting)
	}
	return s.run("", "systemd-run", append(args, strings.Fields(command)...)...)
}
