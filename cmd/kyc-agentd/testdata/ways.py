"""Tries each way to a token that a command of `run --api-only` could take, and prints the
names of those that lead to one. ways.json says what the test has put where."""
import ctypes
import glob
import json
import os
import socket
import subprocess
import time
import urllib.request

ways, world = {}, json.load(open('ways.json'))
libc = ctypes.CDLL(None, use_errno=True)
secrets = [s.encode() for s in world['secrets']]


def way(f):
    ways[f.__name__.replace('_', '-')] = f
    return f


def found(data):
    return any(s in data for s in secrets)


def ask(family_path):
    """What a socket answers to somebody who wants a token."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(family_path)
        s.sendall(b'GET /v1/token?env=staging HTTP/1.1\r\nHost: kyc-agent\r\nConnection: close\r\n\r\n')
        data = b''
        while chunk := s.recv(65536):
            data += chunk
        return data


def any_of(candidates, f):
    for c in candidates:
        try:
            if f(c):
                return True
        except (OSError, subprocess.SubprocessError):
            pass
    return False


def others():
    return [int(p) for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]


@way
def agent_socket():
    return found(ask(world['agent']))


@way
def extra_socket():
    return any_of(world['extra'], lambda p: found(ask(p)))


@way
def socket_through_proc():
    return any_of([f'/proc/{p}/root{s}' for p in others() for s in [world['agent']]], lambda p: found(ask(p)))


@way
def own_environment():
    return found(json.dumps(dict(os.environ)).encode())


@way
def environment_of_others():
    return any_of(glob.glob('/proc/[0-9]*/environ'), lambda p: found(open(p, 'rb').read()))


@way
def inherited_descriptor():
    return any_of([f'/proc/self/fd/{n}' for n in range(3, 64)], lambda p: found(open(p, 'rb').read(1 << 16)))


@way
def descriptors_of_others():
    names = [n for p in others() for n in glob.glob(f'/proc/{p}/fd/*') if os.path.isfile(n)]
    return any_of(names, lambda p: found(open(p, 'rb').read(1 << 16)))


@way
def debugger():
    pid = world['victim']
    if libc.ptrace(16, pid, None, None) != 0:  # PTRACE_ATTACH
        return False
    os.waitpid(pid, 0)
    libc.ptrace(17, pid, None, None)
    return True


@way
def agents_memory():
    return any_of([f'/proc/{p}/mem' for p in [world['daemon']]], lambda p: open(p, 'rb') and True)


@way
def signals():
    return any_of([world['victim']], lambda pid: os.kill(pid, 0) is None)


def looted(path, *commands):
    """Whether one of the commands makes a program outside copy a token to path."""
    for command in commands:
        subprocess.run(command, capture_output=True, timeout=20)
        for _ in range(40):
            if os.path.exists(path) and found(open(path, 'rb').read()):
                return True
            time.sleep(0.05)
    return False


@way
def session_bus():
    start = ['--print-reply', '--reply-timeout=2000', '--dest=org.freedesktop.DBus', '/', 'org.freedesktop.DBus.StartServiceByName', 'string:kyc.Thief', 'uint32:0']
    return looted(world['loot'], *[['dbus-send', '--bus=' + address, *start] for address in world['bus']])


@way
def service_manager():
    return found(ask(world['systemd']))


@way
def abstract_socket():
    return found(ask('\0' + world['abstract']))


@way
def tmux():
    path = world['loot'] + '-of-tmux'
    return looted(path, ['tmux', '-S', world['tmux'], 'new-session', '-d', f'cp {world["sink"]} {path}'])


@way
def ssh_agent():
    return found(ask(world['ssh_agent']))


@way
def socket_in_home():
    return any_of(world['home_sockets'], lambda p: found(ask(p)))


@way
def port_of_another():
    return found(urllib.request.urlopen(world['port'], timeout=5).read())


@way
def token_file():
    return found(open(world['sink'], 'rb').read())


@way
def files():
    for top in world['folders']:
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and name != 'ways.json' and any_of([path], lambda p: found(open(p, 'rb').read(1 << 20))):
                    return True
    return False


@way
def start_up_files():
    return any_of(world['start_up'], lambda p: open(p, 'a') and True)


@way
def new_unit():
    return any_of([world['unit']], lambda p: open(p, 'w') and True)


@way
def shared_memory():
    return any_of([world['shm']], lambda p: found(open(p, 'rb').read()))


@way
def kernel_keyring():
    keyctl = {'x86_64': 250, 'aarch64': 219}[os.uname().machine]
    key = libc.syscall(keyctl, 10, ctypes.c_int(-3), b'user', b'kyc-way', 0)  # KEYCTL_SEARCH in the session keyring
    buf = ctypes.create_string_buffer(4096)
    return key > 0 and libc.syscall(keyctl, 11, key, buf, 4096) > 0 and found(buf.raw)


@way
def kyc_token():
    return found(subprocess.run([world['kyc_token'], 'staging'], capture_output=True, timeout=20).stdout)


@way
def new_name_space():
    script = 'umount -l /run /tmp "$1" "$2"; cat "$3"; %s staging' % world['kyc_token']
    args = [world['folders'][0], os.path.dirname(world['agent']), world['sink']]
    return found(subprocess.run(['unshare', '-Urm', 'sh', '-c', script, 'sh', *args], capture_output=True, timeout=20).stdout)


for name, f in ways.items():
    try:
        if f():
            print('way', name)
    except (OSError, subprocess.SubprocessError):
        pass
print('tried', len(ways))
request = urllib.request.Request(os.environ['KYC_API_URL'] + '/kyc', b'{}', {'Authorization': 'Bearer ' + os.environ['KYC_TOKEN']})
print(urllib.request.urlopen(request, timeout=20).read().decode().strip())
