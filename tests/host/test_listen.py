from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from torpord.host import listen
from torpord.host.faults import SetupError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user for a moment")

# Another daemon, that answers nobody: it binds, says so, and waits to be killed.
SERVER = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.bind(sys.argv[1])
sock.listen(int(sys.argv[2]))
os.write(1, b"up")
os.read(0, 1)
"""


@contextlib.contextmanager
def another_listens(path: str, backlog: int = 16) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-I", "-c", SERVER, path, str(backlog)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.read(2) == b"up"
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(short_dir: pathlib.Path) -> str:
    return str(short_dir / "torpor.sock")


@pytest.fixture
def listener(path: str) -> Iterator[listen.Listener]:
    made = listen.own(path)
    yield made
    made.close()


def client(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(5)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def refusal(path: str) -> SetupError:
    with pytest.raises(SetupError) as caught:
        listen.own(path)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_an_own_socket_is_private_quiet_and_closed_to_children(listener: listen.Listener, path: str) -> None:
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
    assert not listener.sock.get_inheritable()
    assert listener.sock.gettimeout() == 0
    assert (listener.path, listener.is_inherited, listener.is_still_ours()) == (path, False, True)
    assert listener.accept() is None


def test_the_umask_is_given_back(path: str) -> None:
    before = os.umask(0o022)
    try:
        listen.own(path).close()
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_connections_wait_in_the_backlog_until_they_are_accepted(listener: listen.Listener, path: str) -> None:
    with contextlib.ExitStack() as clients:
        for number in range(300):
            clients.enter_context(client(path)).sendall(b"%d" % number)
        for number in range(300):
            connection = listener.accept()
            assert connection is not None
            with connection:
                assert not connection.get_inheritable()
                assert connection.gettimeout() == 0
                assert connection.recv(9) == b"%d" % number
    assert listener.accept() is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a listener cannot be shut")
def test_who_stands_in_line_when_it_is_shut_is_still_accepted(listener: listen.Listener, path: str) -> None:
    with client(path) as waiting:
        waiting.sendall(b"ask")
        listener.shut()
        with pytest.raises(ConnectionRefusedError):
            client(path)  # the path is there: so it is for who had found it before it was gone
        connection = listener.accept()
        assert connection is not None
        with connection:
            assert connection.recv(9) == b"ask"
            connection.sendall(b"draining")
        assert waiting.recv(9) == b"draining"
    assert listener.accept() is None


def test_an_inherited_listener_is_never_shut(listener: listen.Listener, path: str) -> None:
    listener.is_inherited = True
    listener.shut()
    with client(path):
        connection = listener.accept()
        assert connection is not None
        connection.close()


def test_without_descriptors_the_caller_is_told_and_nobody_is_lost(listener: listen.Listener, path: str) -> None:
    with client(path):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(OSError, match="Too many open files") as caught:
                listener.accept()
            assert caught.value.errno == errno.EMFILE
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        connection = listener.accept()
        assert connection is not None
        connection.close()


def test_a_dead_daemons_leftover_is_cleared_away(path: str) -> None:
    with another_listens(path) as process:
        process.kill()
        process.wait()
    assert os.path.lexists(path)
    made = listen.own(path)
    client(path).close()
    made.close()


def test_a_live_daemons_socket_is_not_touched(path: str) -> None:
    with another_listens(path):
        assert refusal(path).exit_code == 75
        client(path).close()


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog is refused elsewhere")
def test_a_live_daemon_too_busy_to_accept_is_not_touched(path: str) -> None:
    with another_listens(path, backlog=0), contextlib.ExitStack() as clients:
        while True:
            sock = clients.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(0)
            if sock.connect_ex(path) == errno.EAGAIN:
                break
        assert refusal(path).exit_code == 75
    assert os.path.lexists(path)


def test_what_is_no_stream_socket_is_not_touched(short_dir: pathlib.Path, path: str) -> None:
    place = short_dir / "torpor.sock"
    place.write_text("precious")
    assert refusal(path).exit_code == 78
    assert place.read_text() == "precious"
    place.unlink()
    place.symlink_to("nowhere")
    assert refusal(path).exit_code == 78
    assert place.is_symlink()
    place.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(path)
        assert refusal(path).exit_code == 78
        assert place.is_socket()


def test_no_directory_for_it(path: str) -> None:
    assert refusal(path + "/x").exit_code == 78


@needs_root
def test_another_users_socket_and_directory_are_not_touched(short_dir: pathlib.Path, path: str) -> None:
    short_dir.chmod(0o755)
    with another_listens(path):
        os.seteuid(65534)
        try:
            assert refusal(path).exit_code == 77
            assert refusal(str(short_dir / "other.sock")).exit_code == 77
        finally:
            os.seteuid(0)
        client(path).close()


def test_the_longest_path_works_and_one_byte_more_touches_nothing(short_dir: pathlib.Path) -> None:
    limit = 103 if sys.platform == "darwin" else 107
    fits = str(short_dir / "x") + "ä" * 60
    fits = fits.encode()[: limit - 1].decode(errors="ignore")
    fits += "x" * (limit - len(fits.encode()))
    made = listen.own(fits)
    client(fits).close()
    assert made.unlink()
    made.close()
    fault = refusal(fits + "x")
    assert fault.exit_code == 78
    assert str(limit + 1) in str(fault)
    assert list(short_dir.iterdir()) == []


def test_unlinks_its_own_path_once(listener: listen.Listener, path: str) -> None:
    waiting = client(path)
    assert listener.unlink()
    assert not os.path.lexists(path)
    assert not listener.unlink()
    connection = listener.accept()  # who came before the unlink is still there
    assert connection is not None
    connection.close()
    waiting.close()


def test_never_unlinks_a_successors_path(listener: listen.Listener, path: str) -> None:
    assert listener.unlink()
    successor = listen.own(path)
    assert not listener.is_still_ours()
    assert not listener.unlink()
    client(path).close()
    successor.close()
    assert not successor.is_still_ours()
    assert not successor.unlink(), "a closed socket's inode number may be anybody's"
    assert os.path.lexists(path)


def test_closing_an_inherited_socket_keeps_the_backlog_for_the_successor(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as managers:
        managers.bind(path)
        managers.listen(16)
        handed = listen._adopted(os.dup(managers.fileno()))
        assert handed.is_inherited
        assert handed.is_still_ours()
        with client(path) as waiting:
            assert not handed.unlink()
            handed.close()
            successor = listen._adopted(os.dup(managers.fileno()))
            connection = successor.accept()
            assert connection is not None
            connection.sendall(b"hello")
            connection.close()
            assert waiting.recv(9) == b"hello"
            successor.close()


# What a daemon does first, told as JSON. It runs with the socket as descriptor 3, as systemd would have it.
HEIR = """
import fcntl, json, os, subprocess, sys
from torpord.host import listen
try:
    found = listen.inherited(os.environ, os.getpid())
except Exception as error:
    print(json.dumps({"exit_code": error.exit_code, "message": str(error)}))
    sys.exit()
told = {"left": sorted(name for name in os.environ if name.startswith("LISTEN_"))}
if found:
    connection = found.accept()
    connection.sendall(b"from the heir")
    told["path"] = found.path
    told["inheritable"] = found.sock.get_inheritable()
    told["timeout"] = found.sock.gettimeout()
    child = "import os; print(sum(os.path.exists(f'/proc/self/fd/{n}') for n in range(3, 20)))"
    command = [sys.executable, "-I", "-c", child]
    told["in child"] = subprocess.run(command, close_fds=False, capture_output=True, text=True).stdout
print(json.dumps(told))
"""


# Between the fork and the daemon, what a service manager does: the socket as descriptor 3, and whom it is for.
MANAGER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.closerange(4, 100)
for setting in sys.argv[3:]:
    name, value = setting.split("=")
    os.environ[name] = value.replace("OURS", str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2]])
"""


def heir(sock: socket.socket, *settings: str) -> dict[str, object]:
    """Start a daemon's first steps through a real fork and exec, with `sock` as descriptor 3."""
    done = subprocess.run(
        [sys.executable, "-c", MANAGER, str(sock.fileno()), HEIR, *settings],
        pass_fds=(sock.fileno(),),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.fixture
def managers(path: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen(16)
        yield sock


@pytest.mark.skipif(sys.platform != "linux", reason="LISTEN_FDS is systemd's")
def test_takes_the_socket_that_systemd_hands_over(managers: socket.socket, path: str) -> None:
    with client(path) as waiting:
        told = heir(managers, "LISTEN_PID=OURS", "LISTEN_FDS=1", "LISTEN_FDNAMES=torpord.socket")
        assert waiting.recv(20) == b"from the heir"
    assert told == {"left": [], "path": path, "inheritable": False, "timeout": 0, "in child": "0\n"}


@pytest.mark.skipif(sys.platform != "linux", reason="LISTEN_FDS is systemd's")
@pytest.mark.parametrize("settings", ["", "LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_PID=OURS LISTEN_FDS=0", "LISTEN_FDS=1"])
def test_what_is_not_meant_for_us_is_not_taken(managers: socket.socket, settings: str) -> None:
    assert heir(managers, *settings.split()) == {"left": []}


@pytest.mark.skipif(sys.platform != "linux", reason="LISTEN_FDS is systemd's")
def test_two_sockets_are_one_too_many() -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "HOME": "/"}
    with pytest.raises(SetupError, match="2 sockets \\(a:b\\)") as caught:
        listen.inherited(environ, os.getpid())
    assert caught.value.exit_code == 78
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("file", "no socket"),
        ("tcp", "AF_INET"),
        ("datagrams", "SOCK_DGRAM"),
        ("unbound", "does not listen"),
        pytest.param("abstract", "without a path", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux's")),
    ],
)
def test_the_wrong_thing_handed_over_is_named(short_dir: pathlib.Path, kind: str, found: str) -> None:
    with contextlib.ExitStack() as things:
        if kind == "file":
            fd = things.enter_context((short_dir / "x").open("w")).fileno()
        else:
            family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
            sort = socket.SOCK_DGRAM if kind == "datagrams" else socket.SOCK_STREAM
            sock = things.enter_context(socket.socket(family, sort))
            fd = sock.fileno()
            if kind == "abstract":
                sock.bind(f"\0torpor-test-{os.getpid()}")
                sock.listen()
        with pytest.raises(SetupError, match=found) as caught:
            listen._adopted(fd)
        assert caught.value.exit_code == 78
        os.fstat(fd)  # still the service manager's


def test_a_socket_that_cannot_be_looked_at_is_none_to_serve_at(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.lstat

    def fails(name: str) -> os.stat_result:
        if os.access(name, os.F_OK):
            raise OSError(errno.EIO, "Input/output error", name)
        return real(name)

    with monkeypatch.context() as failing:
        failing.setattr(os, "lstat", fails)
        with pytest.raises(SetupError) as caught:
            listen.own(path)
    assert caught.value.exit_code == 75
    listen.own(path).close()
