package peer

import "testing"

func TestUnitOf(t *testing.T) {
	nightly := Unit{Name: "nightly.service", User: true}
	for _, test := range []struct {
		name, cgroups string
		want          Unit
	}{
		{"a user unit", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/nightly.service\n", nightly},
		{"a subgroup of it", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/nightly.service/x.service/y\n", nightly},
		{"one of another user's manager", "0::/user.slice/user-1001.slice/user@1001.service/app.slice/nightly.service\n", Unit{Name: "user@1001.service"}},
		{"the manager itself", "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", Unit{Name: "init.scope", User: true}},
		{"a group that is no unit", "0::/user.slice/user-1000.slice/user@1000.service/mine\n", Unit{Name: "user@1000.service"}},
		{"a system unit", "0::/system.slice/nightly.service\n", Unit{Name: "nightly.service"}},
		{"an instance", "0::/system.slice/system-backup.slice/backup@db.service\n", Unit{Name: "backup@db.service"}},
		{"a system unit that delegates", "0::/system.slice/ci.service/user@1000.service/app.slice/nightly.service\n", Unit{Name: "ci.service"}},
		{"a login", "0::/user.slice/user-1000.slice/session-3.scope\n", Unit{Name: "session-3.scope"}},
		{"an app", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-code-1.scope\n", Unit{Name: "app-gnome-code-1.scope", User: true}},
		{"both versions", "4:memory:/x.service\n1:name=systemd:/user.slice/user-1000.slice/user@1000.service/app.slice/nightly.service\n0::/\n", nightly},
		{"an escaped name", "0::/system.slice/_cgroup.service\n", Unit{Name: "cgroup.service"}},
		{"another name space", "0::/../../nightly.service\n", Unit{}},
		{"a container", "0::/\n", Unit{}},
		{"a controller named like a line", "1:x0::/system.slice/nightly.service:/\n", Unit{}},
		{"nothing", "", Unit{}},
		{"control characters", "0::/system.slice/a\x1b[2Jb.service\n", Unit{Name: "a?[2Jb.service"}},
	} {
		if got := unitOf(test.cgroups, 1000); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
