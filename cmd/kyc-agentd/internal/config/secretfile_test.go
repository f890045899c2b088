package config

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/legaltalent/kyc-agent/agent"
)

// secretAt writes text to a new file with mode and returns its path.
func secretAt(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := writeFile(t, name, text)
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSecretFile(t *testing.T) {
	for name, text := range map[string]string{
		"a line": "s3cret\n", "no end of line": "s3cret", "CR LF": "s3cret\r\n",
	} {
		for _, mode := range []os.FileMode{0o600, 0o400} {
			got, stamp, err := (secretFile{path: secretAt(t, "p", text, mode)}).read()
			if err != nil || got.Reveal() != "s3cret" || stamp == "" || strings.Contains(stamp, "s3cret") {
				t.Errorf("%s, mode %o: %q, stamp %q, %v", name, mode, got.Reveal(), stamp, err)
			}
		}
	}
	got, _, err := (secretFile{path: secretAt(t, "p", " with blanks \n", 0o600)}).read()
	if err != nil || got.Reveal() != " with blanks " {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
}

// utf16LE is what Windows calls Unicode.
func utf16LE(s string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return string(b)
}

// What the error says to run makes the file right.
func TestSecretFileConverted(t *testing.T) {
	for name, text := range map[string]string{
		"a byte order mark": "\ufeffs3crét\n", "UTF-16": utf16LE("\ufeffs3crét\r\n"), "UTF-16 without a mark": utf16LE("s3crét\n"), "Latin-1": "s3cr\xe9t\n",
	} {
		path := secretAt(t, "it's a file", text, 0o600)
		_, _, err := (secretFile{path: path}).read()
		if err == nil {
			t.Fatalf("%s is taken", name)
		}
		_, command, _ := strings.Cut(err.Error(), "; run: ")
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %s: %v: %s", name, command, err, out)
		}
		if got, _, err := (secretFile{path: path}).read(); err != nil || got.Reveal() != "s3crét" {
			t.Errorf("%s: %q, %v", name, got.Reveal(), err)
		}
	}
}

func TestSecretFileRefused(t *testing.T) {
	dir := t.TempDir()
	missing, pipe := filepath.Join(dir, "none"), filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name       string
		path       string
		credential bool
		want       string // after the path
	}{
		{"missing", missing, false, ": no such file or directory; make it, readable only by its owner (mode 0600)"},
		{"a folder", dir, false, " is not a regular file"},
		{"a pipe", pipe, false, " is not a regular file"},
		{"open to the group", secretAt(t, "p", "s3cret", 0o640), false, " has mode 0640, but only its owner may read it; run: chmod 600 "},
		{"open to the group, a path with a blank", secretAt(t, "a b", "s3cret", 0o640), false, " has mode 0640, but only its owner may read it; run: chmod 600 '"},
		{"open to everybody", secretAt(t, "p", "s3cret", 0o604), false, " has mode 0604, but only its owner may read it; run: chmod 600 "},
		{"a credential open to everybody", secretAt(t, "p", "s3cret", 0o444), true, " is open to everybody (mode 0444); pass it with LoadCredential="},
		{"empty", secretAt(t, "p", "", 0o600), false, " is empty; write the secret there, in one line"},
		{"an empty line", secretAt(t, "p", "\n", 0o600), false, " is empty; write the secret there, in one line"},
		{"two lines", secretAt(t, "p", "s3cret\nmore\n", 0o600), false, " has more than one line; it may only hold the secret"},
		{"a line after an empty one", secretAt(t, "p", "\ns3cret\n", 0o600), false, " has more than one line; it may only hold the secret"},
		{"not UTF-8", secretAt(t, "p", "s3cret\xff", 0o600), false, " is not UTF-8 (perhaps Latin-1); run: (umask 077 && iconv -f ISO-8859-1 -t UTF-8 <"},
		{"a byte order mark", secretAt(t, "p", "\ufeffs3cret\n", 0o600), false, " begins with a byte order mark (U+FEFF); run: (umask 077 && tail -c +4 <"},
		{"a credential with a byte order mark", secretAt(t, "p", "\ufeffs3cret", 0o400), true,
			" begins with a byte order mark (U+FEFF); pass the file that it was made of through: tail -c +4"},
		{"UTF-16", secretAt(t, "p", utf16LE("\ufeffs3cret\r\n"), 0o600), false, " is UTF-16; run: (umask 077 && iconv -f UTF-16 -t UTF-8 <"},
		{"UTF-16 without a mark", secretAt(t, "p", utf16LE("s3cret\r\n"), 0o600), false, " has NUL bytes in it, as UTF-16 has; run: (umask 077 && iconv -f UTF-16LE "},
		{"UTF-16 in the other order", secretAt(t, "p", "\x00"+utf16LE("s3cret\n"), 0o600), false, " has NUL bytes in it, as UTF-16 has; run: (umask 077 && iconv -f UTF-16BE "},
		{"UTF-32", secretAt(t, "p", "\xff\xfe\x00\x00s\x00\x00\x00", 0o600), false, " is UTF-32; run: "},
		{"too long", secretAt(t, "p", strings.Repeat("s3cret", 1000), 0o600), false, " is longer than 4096 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, stamp, err := (secretFile{path: tt.path, credential: tt.credential}).read()
			if err == nil || !got.IsZero() || stamp != "" {
				t.Fatalf("%q, %q, %v", got.Reveal(), stamp, err)
			}
			_, after, _ := strings.Cut(err.Error(), tt.path)
			if !strings.HasPrefix(after, tt.want) || strings.Contains(after, "s3cret") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q\nwant …%q", err, tt.want)
			}
		})
	}
}

// A file of somebody else may change without us: it is refused, whatever its mode.
func TestSecretFileOfSomebodyElse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := secretAt(t, "p", "s3cret", 0o600)
	if err := os.Chown(path, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (secretFile{path: path}).read(); err == nil || !strings.HasSuffix(err.Error(), path+" belongs to uid 4711; run: chown 0 "+path) {
		t.Error(err)
	}
	// systemd gives credentials to root and lets the user in by an ACL.
	if _, _, err := (secretFile{path: path, credential: true}).read(); err != nil {
		t.Error(err)
	}
}

// The stamp changes with the file, however that is changed, and only then.
func TestSecretFileStamp(t *testing.T) {
	path := secretAt(t, "p", "s3cret", 0o600)
	read := func() string {
		t.Helper()
		_, stamp, err := (secretFile{path: path}).read()
		if err != nil {
			t.Fatal(err)
		}
		return stamp
	}
	seen := map[string]string{read(): "at first"}
	if seen[read()] == "" {
		t.Error("the stamp of a file that is as it was has changed")
	}
	for _, change := range []struct {
		how string
		do  func() error
	}{
		{"written anew", func() error { return os.WriteFile(path, []byte("another"), 0o600) }},
		{"touched", func() error { return os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)) }},
		{"replaced by one of the same size and time", func() error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(path+".new", []byte("yet ano"), 0o600); err != nil {
				return err
			}
			if err := os.Chtimes(path+".new", time.Time{}, info.ModTime()); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}},
	} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		stamp := read()
		if before, there := seen[stamp]; there {
			t.Errorf("%s: the stamp is as it was %s", change.how, before)
		}
		seen[stamp] = change.how
	}
}

const uat = "[environments.uat]\nregion='r-1'\nuser_pool_id='r-1_p'\nclient_id='c'\napi_url='https://x.example.com'\n"

// environmentOf loads text and returns what the agent is told of environment uat.
func environmentOf(t *testing.T, text string, vars ...string) (agent.Environment, error) {
	t.Helper()
	c, _, err := loadText(t, uat+text, vars...)
	if err != nil {
		return agent.Environment{}, err
	}
	a, err := c.AgentConfig(vars)
	for _, e := range a.Environments {
		if e.Name == "uat" {
			return e, nil
		}
	}
	return agent.Environment{}, err
}

func TestConfigSignIn(t *testing.T) {
	secret := secretAt(t, "secret", "0abc+def_9\n", 0o600)
	password := secretAt(t, "password", "correct horse\n", 0o600)
	e, err := environmentOf(t, "auth_flow='srp'\nrefresh_token_validity='1d12h'\nusername='svc@example.com'\n"+
		"client_secret_file='"+secret+"'\npassword_file='"+password+"'\n")
	if err != nil {
		t.Fatal(err)
	}
	if e.AuthFlow != agent.FlowSRP || e.RefreshTokenValidity != 36*time.Hour || e.ClientSecret.Current().Reveal() != "0abc+def_9" {
		t.Errorf("%+v", e)
	}
	wantCredential(t, e, "svc@example.com", "correct horse")
	// It is read afresh each time.
	before, _ := e.Unattended.Credential()
	if err := os.WriteFile(password, []byte("battery staple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantCredential(t, e, "svc@example.com", "battery staple")
	if after, _ := e.Unattended.Credential(); after.Stamp == before.Stamp || strings.Contains(after.Stamp, "staple") {
		t.Errorf("stamps %q and %q", before.Stamp, after.Stamp)
	}
	// Another user is another credential, with the same file.
	other, err := environmentOf(t, "username='bob'\npassword_file='"+password+"'")
	if err != nil {
		t.Fatal(err)
	}
	if a, _ := e.Unattended.Credential(); true {
		if b, _ := other.Unattended.Credential(); a.Stamp == b.Stamp {
			t.Error("two users have one stamp")
		}
	}
}

func wantCredential(t *testing.T, e agent.Environment, user, password string) {
	t.Helper()
	c, err := e.Unattended.Credential()
	if err != nil || c.Username != user || c.Password.Reveal() != password || c.Stamp == "" {
		t.Errorf("%s, %q, %q, %v", c.Username, c.Password.Reveal(), c.Stamp, err)
	}
}

// What is not configured is what Cognito calls the default, and a person signs in.
func TestConfigSignInDefaults(t *testing.T) {
	e, err := environmentOf(t, "")
	if err != nil || e.AuthFlow != "" || e.RefreshTokenValidity != 0 || e.ClientSecret != nil || e.Unattended != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestConfigSignInFromVariables(t *testing.T) {
	home := t.TempDir()
	for name, text := range map[string]string{"secret": "abc", "password": "correct horse"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e, err := environmentOf(t, "", "HOME="+home, "KYC_UAT_AUTH_FLOW=choice", "KYC_UAT_REFRESH_TOKEN_VALIDITY=60m",
		"KYC_UAT_USERNAME=svc", "KYC_UAT_CLIENT_SECRET_FILE=~/secret", "KYC_UAT_PASSWORD_FILE=~/password")
	if err != nil {
		t.Fatal(err)
	}
	if e.AuthFlow != agent.FlowChoice || e.RefreshTokenValidity != time.Hour || e.ClientSecret.Current().Reveal() != "abc" {
		t.Errorf("%+v", e)
	}
	wantCredential(t, e, "svc", "correct horse")
}

// The file of the client secret is read again when Cognito refuses the secret. A file that is no
// good leaves the secret as it is.
func TestConfigClientSecretIsReadAgain(t *testing.T) {
	file := secretAt(t, "secret", "old\n", 0o600)
	e, err := environmentOf(t, "client_secret_file='"+file+"'")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		text, says string
		renewed    bool
		current    string
	}{
		{"old\n", "", false, "old"},
		{"", "client_secret_file: " + file + " is empty", false, "old"},
		{"not a secret\n", "client_secret_file: " + file + " does not hold a client secret", false, "old"},
		{"new\n", "", true, "new"},
	} {
		if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		renewed, err := e.ClientSecret.Renew(e.ClientSecret.Current())
		if renewed != step.renewed || e.ClientSecret.Current().Reveal() != step.current || (err == nil) != (step.says == "") {
			t.Errorf("%q: %v, %v; current %q", step.text, renewed, err, e.ClientSecret.Current().Reveal())
		}
		if err != nil && (!strings.Contains(err.Error(), step.says) || strings.Contains(err.Error(), "not a secret")) {
			t.Errorf("%q: %v", step.text, err)
		}
	}
}

// systemd's credentials are found by the environment's name; a file that is
// configured goes before them.
func TestConfigSystemdCredentials(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"kyc-uat.client-secret": "fromsystemd", "kyc-uat.password": "correct horse\n", "kyc-prod.password": "unused"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o440); err != nil {
			t.Fatal(err)
		}
	}
	e, err := environmentOf(t, "username='svc'", "CREDENTIALS_DIRECTORY="+dir)
	if err != nil {
		t.Fatal(err)
	}
	if e.ClientSecret.Current().Reveal() != "fromsystemd" {
		t.Errorf("secret %q", e.ClientSecret.Current().Reveal())
	}
	wantCredential(t, e, "svc", "correct horse")

	e, err = environmentOf(t, "username='svc'\nclient_secret_file='"+secretAt(t, "s", "fromfile", 0o600)+"'\npassword_file='"+secretAt(t, "p", "battery", 0o600)+"'", "CREDENTIALS_DIRECTORY="+dir)
	if err != nil || e.ClientSecret.Current().Reveal() != "fromfile" {
		t.Errorf("%q, %v", e.ClientSecret.Current().Reveal(), err)
	}
	wantCredential(t, e, "svc", "battery")

	// A password without a user is nothing to sign in with.
	if e, err = environmentOf(t, "", "CREDENTIALS_DIRECTORY="+dir); err != nil || e.Unattended != nil {
		t.Errorf("%+v, %v", e.Unattended, err)
	}
}

func TestConfigSignInErrors(t *testing.T) {
	open := secretAt(t, "s", "s3cret", 0o644)
	odd := secretAt(t, "s", "not a client secret", 0o600)
	empty := t.TempDir()
	tests := []struct {
		name, text string
		vars       []string
		want       string
	}{
		{"flow", "auth_flow = 'magic'", nil, `:6: environments.uat.auth_flow: unknown flow "magic"; want password, srp, choice, custom or browser`},
		{"flow of the wrong kind", "auth_flow = ['srp']", nil, ":6: environments.uat.auth_flow: not a value for this key (array); want text in quotes"},
		{"validity without a unit", "refresh_token_validity = '30'", nil, `:6: environments.uat.refresh_token_validity: bad duration "30"; want one such as "30d" or "12h"`},
		{"validity in words", "refresh_token_validity = '30 days'", nil, `bad duration "30 days"`},
		{"half a day", "refresh_token_validity = '0.5d'", nil, `bad duration "0.5d"`},
		{"days below 0", "refresh_token_validity = '-3d'", nil, `bad duration "-3d"`},
		{"too many days to count", "refresh_token_validity = '99999999d'", nil, `bad duration "99999999d"`},
		{"too short", "refresh_token_validity = '59m'", nil, `bad duration "59m"; want at least 60m and at most 3650d`},
		{"too long", "refresh_token_validity = '3650d1s'", nil, `bad duration "3650d1s"; want at least 60m and at most 3650d`},
		{"a day too long", "refresh_token_validity = '3651d'", nil, "want at least 60m and at most 3650d"},
		{"secret in place of its file", "client_secret_file = 's3cret'", nil, ":6: environments.uat.client_secret_file: not a file's path; want an absolute one, or one that begins with ~/"},
		{"password in place of its file", "username='svc'\npassword_file = 's3cret'", nil, ":7: environments.uat.password_file: not a file's path; want an absolute one, or one that begins with ~/"},
		{"secret in the file", "client_secret = 's3cret'", nil, ":6: unknown key environments.uat.client_secret; a secret goes into a separate file (mode 0600), which is named here: client_secret_file"},
		{"password in the file", "password = 's3cret'", nil, ":6: unknown key environments.uat.password; a secret goes into a separate file (mode 0600), which is named here: password_file"},
		{"secret in the environment", "", []string{"KYC_UAT_CLIENT_SECRET=s3cret"}, "KYC_UAT_CLIENT_SECRET: a secret does not belong in a variable; write it to a file (mode 0600) and name that in KYC_UAT_CLIENT_SECRET_FILE"},
		{"password in the environment", "", []string{"KYC_UAT_PASSWORD=s3cret"}, "KYC_UAT_PASSWORD: a secret does not belong in a variable; write it to a file (mode 0600) and name that in KYC_UAT_PASSWORD_FILE"},
		{"user with a blank", "username = 'a b'", nil, `:6: environments.uat.username: bad user name "a b"; want at most 128 characters, and no blanks`},
		{"password without a user", "password_file = '/x'", nil, "environments.uat: password_file is set and username is not; the agent signs in by itself with both"},
		{"user without a password", "username = 'svc'", nil, "environments.uat: username is set, and there is no password for it; set password_file, or the systemd credential kyc-uat.password"},
		{"user without a credential", "username = 'svc'", []string{"CREDENTIALS_DIRECTORY=" + empty}, "set password_file, or the systemd credential kyc-uat.password"},
		{"secret open to others", "client_secret_file = '" + open + "'", nil, "environments.uat: client_secret_file: " + open + " has mode 0644, but only its owner may read it; run: chmod 600 " + open},
		{"secret missing", "client_secret_file = '/nowhere/s'", nil, "environments.uat: client_secret_file: cannot read /nowhere/s: no such file or directory; make it"},
		{"no client secret", "client_secret_file = '" + odd + "'", nil, "environments.uat: client_secret_file: " + odd + " does not hold a client secret; copy it from the app client's page"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := environmentOf(t, tt.text, tt.vars...)
			if err == nil || !strings.Contains(err.Error(), tt.want) || agent.CodeOf(err) != agent.CodeConfiguration {
				t.Fatalf("got %v\nwant %s", err, tt.want)
			}
			if said := strings.ReplaceAll(err.Error(), open, ""); strings.Contains(said, "s3cret") || strings.Contains(said, "\n") {
				t.Errorf("%q", said)
			}
		})
	}
}

// A password file is first read when it is needed: it may come later than the daemon.
func TestConfigPasswordFileIsReadLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	e, err := environmentOf(t, "username='svc'\npassword_file='"+path+"'")
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Unattended.Credential()
	if want := "uat: password_file: cannot read " + path + ": no such file or directory; make it, readable only by its owner (mode 0600)"; err == nil || err.Error() != want || agent.CodeOf(err) != agent.CodeConfiguration {
		t.Errorf("%v, want %s", err, want)
	}
	if err := os.WriteFile(path, []byte("correct horse"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantCredential(t, e, "svc", "correct horse")
}

func TestParseDays(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"": 0, "30d": 720 * time.Hour, "1d": 24 * time.Hour, "1d12h": 36 * time.Hour, "12h": 12 * time.Hour, "90m": 90 * time.Minute, "1h30m": 90 * time.Minute,
	} {
		if got, err := parseDays(s); got != want || err != nil {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"d", "30", "30D", "1d1d", "1d 1h", " 30d", "+1d", "x", "1dx"} {
		if got, err := parseDays(s); err == nil {
			t.Errorf("%q: %s", s, got)
		}
	}
}
