# boot.sh ROOT WORK NOTIFY boots an overlay of ROOT, with systemd as process 1 of new
# namespaces, and ends it when standard input ends. It must be started in a new mount
# namespace, and leaves nothing behind. The first line on standard output is process 1's
# id as seen from outside; NOTIFY is the socket for its READY=1.
set -euo pipefail

outside() {
	root=$1 work=$2 notify=$3
	mount -t tmpfs tmpfs "$work"
	mkdir "$work"/{cgroup,upper,work,root}
	mount -t cgroup2 cgroup2 "$work/cgroup"
	cgroup=$work/cgroup/kyc-machine-$$
	mkdir "$cgroup"
	# unshare starts in that cgroup, which thereby becomes the root of the new cgroup
	# namespace. It must not outlive this script.
	(
		echo "$BASHPID" >"$cgroup/cgroup.procs"
		exec setpriv --pdeathsig KILL \
			unshare --pid --fork --kill-child --mount --propagation private --cgroup --ipc --uts -- \
			bash -euo pipefail -c "$(declare -f inside); inside $(printf '%q ' "$root" "$work" "$notify")"
	) </dev/null &
	cat >/dev/null
	# When process 1 ends, the kernel ends its whole namespace; unshare ends after that.
	# shellcheck disable=SC2046
	kill -KILL $(<"/proc/$!/task/$!/children")
	wait || true
	find "$cgroup" -depth -type d -exec rmdir {} +
}

inside() {
	local id _
	read -r id _ </proc/self/stat # /proc is still the one from outside
	echo "$id"
	mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
	cd "$2/root"
	mount -t proc -o nosuid,nodev,noexec proc proc
	# The network is shared with the outside, so its settings must not be changed, nor
	# may devices.
	mount --bind proc/sys proc/sys
	mount -o remount,bind,ro proc/sys
	mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
	mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
	mount -t tmpfs -o mode=755,nosuid tmpfs dev
	local device
	for device in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
		# shellcheck disable=SC2086
		mknod -m 666 dev/${device%% *} c ${device#* }
	done
	mkdir dev/pts dev/shm
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
	mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
	# Without an id systemd would treat this as a first boot, ask questions and preset units.
	tr -d - <proc/sys/kernel/random/uuid >etc/machine-id
	hostname machine
	mkdir run/old
	pivot_root . run/old
	umount -l /run/old
	rmdir /run/old
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=kyc NOTIFY_SOCKET="$3" \
		setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio /sbin/init >/dev/null 2>&1
}

outside "$@"
