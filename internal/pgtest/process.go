package pgtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// watchdog waits until the process that holds the other end of its standard
// input is gone, kills what is recorded in the folder, and removes the folder.
const watchdog = `
cat >/dev/null
for file in "$1"/pids/*; do
	pid=${file##*/}
	case $pid in *[!0-9]*) continue;; esac
	kill -STOP "$pid" 2>/dev/null
	children=$(grep -ls "^PPid:[[:space:]]*$pid\$" /proc/[0-9]*/status)
	kill -KILL "$pid" 2>/dev/null
	for child in $children; do
		child=${child#/proc/}
		kill -KILL "${child%/status}" 2>/dev/null
	done
done
for round in 1 2 3 4 5; do rm -rf "$1" 2>/dev/null && exit 0; sleep 0.2; done
`

// home is the folder of everything that this process starts, with its watchdog.
var home = sync.OnceValues(func() (string, error) {
	base := os.TempDir()
	if len(base) > 40 { // the path of a socket has at most 107 bytes
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "ghpg")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", err
	}
	if err := os.Mkdir(filepath.Join(dir, "pids"), 0o700); err != nil {
		return "", err
	}
	guard := exec.Command("/bin/sh", "-c", watchdog, "sh", dir)
	guard.Dir = "/"
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	if _, err := guard.StdinPipe(); err != nil {            // the kernel closes it when we end
		return "", err
	}
	if err := guard.Start(); err != nil {
		return "", fmt.Errorf("start the watchdog: %w", err)
	}
	go guard.Wait() // it holds on to the pipe
	return dir, nil
})

// account is who runs the servers: PostgreSQL refuses to run as root.
var account = sync.OnceValues(func() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("no user that is not root: PostgreSQL refuses to run as root")
})

// folder makes a folder that belongs to who runs the servers.
func folder() (string, error) {
	root, err := home()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(root, "")
	if err != nil {
		return "", err
	}
	return dir, give(dir)
}

// give makes a file or folder that of who runs the servers.
func give(path string) error {
	credential, err := account()
	if err != nil || credential == nil {
		return err
	}
	return os.Chown(path, int(credential.Uid), int(credential.Gid))
}

// command is a program as who runs the servers, without our environment: PGHOST
// and its like would send it elsewhere.
func command(dir, name string, args ...string) (*exec.Cmd, error) {
	credential, err := account()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Setpgid: true}
	return cmd, nil
}

// patience is how long a command may take: a server may be paused or gone.
const patience = 2 * time.Minute

// run is a command that ends by itself.
func run(dir, stdin, name string, args ...string) (string, error) {
	cmd, err := command(dir, name, args...)
	if err != nil {
		return "", err
	}
	var out, fault bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &fault
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start %s: %w", filepath.Base(name), err)
	}
	limit := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer limit.Stop()
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("%s: %w: %s%s", filepath.Base(name), err, fault.String(), out.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// process is a server that runs, with its children.
type process struct {
	pid   int
	ended chan struct{} // closed when it is gone
}

// start runs a server, whose output is appended to the log.
func start(dir, log, name string, args ...string) (*process, error) {
	root, err := home()
	if err != nil {
		return nil, err
	}
	cmd, err := command(dir, name, args...)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(name), err)
	}
	p := &process{pid: cmd.Process.Pid, ended: make(chan struct{})}
	record := filepath.Join(root, "pids", strconv.Itoa(p.pid))
	if err := os.WriteFile(record, nil, 0o600); err != nil {
		cmd.Process.Kill()
		return nil, err
	}
	go func() {
		cmd.Wait()
		os.Remove(record)
		close(p.ended)
	}()
	return p, nil
}

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait reports whether the process is gone in time.
func (p *process) wait(limit time.Duration) bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(limit):
		return false
	}
}

// kill ends the process and its children, without a chance to do anything.
func (p *process) kill() error {
	if !p.alive() {
		return nil
	}
	syscall.Kill(p.pid, syscall.SIGSTOP) // it starts no more children
	children := p.children()
	syscall.Kill(p.pid, syscall.SIGKILL)
	for _, child := range children {
		syscall.Kill(child, syscall.SIGKILL)
	}
	if !p.wait(10 * time.Second) {
		return fmt.Errorf("process %d does not die", p.pid)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left := 0
		for _, child := range children {
			if running(child) {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d children of %d do not die", left, p.pid)
		}
	}
}

// signal sends a signal to the process and its children.
func (p *process) signal(s syscall.Signal) {
	syscall.Kill(p.pid, s)
	for _, child := range p.children() {
		syscall.Kill(child, s)
	}
}

// children are the processes whose parent this is. The children of PostgreSQL
// have sessions of their own: the group does not reach them.
func (p *process) children() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			if _, parent := state(pid); parent == p.pid {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// running reports whether a process still does something: a zombie does not.
func running(pid int) bool {
	s, _ := state(pid)
	return s != 0 && s != 'Z' && s != 'X'
}

// state reads the state and the parent of a process; zero when it is gone.
func state(pid int) (state byte, parent int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	end := bytes.LastIndexByte(stat, ')') // the name before may hold anything
	if end < 0 {
		return 0, 0
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 2 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0][0], parent
}

// freePort is a port of an address that nobody has, below those that the kernel
// gives to outgoing connections: a server that is down must find it free again.
func freePort(host string) (int, error) {
	for range 100 {
		port := 18000 + rand.IntN(14000)
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		l.Close()
		return port, nil
	}
	return 0, fmt.Errorf("no free port on %s", host)
}
