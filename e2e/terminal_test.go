package e2e_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal runs a command on a pseudo terminal, as a person at a keyboard.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	file *os.File
	seen *syncBuffer
	done chan struct{}
}

func openTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	term := &terminal{t: t, cmd: exec.Command(binary, args...), seen: &syncBuffer{}, done: make(chan struct{})}
	var err error
	if term.file, err = pty.Start(term.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { term.cmd.Process.Kill(); term.file.Close() })
	go func() {
		defer close(term.done)
		io.Copy(term.seen, term.file)
	}()
	return term
}

// expect waits until the screen shows a text, and types an answer.
func (term *terminal) expect(text, answer string) {
	term.t.Helper()
	eventually(term.t, "the terminal shows "+text, func() bool { return strings.Contains(term.seen.String(), text) })
	time.Sleep(50 * time.Millisecond) // the prompt is written before echo is off
	io.WriteString(term.file, answer+"\r")
}

func (term *terminal) end() (string, error) {
	err := term.cmd.Wait()
	<-term.done
	return term.seen.String(), err
}

func TestUserCreateOnATerminal(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	d := startDev(t, "--data", data)
	defer d.stop(syscall.SIGINT)

	term := openTerminal(t, "user", "create", "carol", "--data", data)
	term.expect("Password for carol", "short")
	term.expect("it needs at least 15", "lantern drawbridge moat")
	term.expect("The same again: ", "something else entirely")
	term.expect("The two differ", "lantern drawbridge moat")
	eventually(t, "asked again", func() bool { return strings.Count(term.seen.String(), "The same again") == 2 })
	time.Sleep(50 * time.Millisecond)
	io.WriteString(term.file, "lantern drawbridge moat\r")
	screen, err := term.end()
	if err != nil || !strings.Contains(screen, "usr_") {
		t.Fatalf("%v\n%s", err, screen)
	}
	if strings.Contains(screen, "lantern") || strings.Contains(screen, "entirely") {
		t.Errorf("the password was echoed:\n%s", screen)
	}

	term = openTerminal(t, "user", "create", "dora", "--data", data)
	term.expect("Enter for a generated passphrase", "")
	screen, err = term.end()
	if err != nil || !strings.Contains(screen, "shown once") {
		t.Errorf("%v\n%s", err, screen)
	}

	term = openTerminal(t, "user", "delete", "dora", "--data", data)
	term.expect("Type dora to delete it", "carol")
	if screen, err := term.end(); err == nil || !strings.Contains(screen, "not deleted") {
		t.Errorf("%v\n%s", err, screen)
	}
	term = openTerminal(t, "user", "delete", "dora", "--data", data)
	term.expect("Type dora to delete it", "dora")
	if screen, err := term.end(); err != nil || !strings.Contains(screen, "dora deleted") {
		t.Errorf("%v\n%s", err, screen)
	}
}
