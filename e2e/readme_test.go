package e2e_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// block is a fenced block of a document.
type block struct{ language, text string }

func blocksOf(t *testing.T, path string) []block {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(string(content), -1) {
		blocks = append(blocks, block{m[1], m[2]})
	}
	return blocks
}

// TestREADME runs what the README says: the first command in a shell, the
// lines it prints, its Go program against it. `make test` is what runs this
// test, so it is only checked to be there.
func TestREADME(t *testing.T) {
	for _, port := range []string{"8080", "8081", "8090"} {
		l, err := net.Listen("tcp4", "127.0.0.1:"+port)
		if err != nil {
			t.Fatalf("the README uses port %s, which another program holds: %v", port, err)
		}
		l.Close()
	}
	var screen, program string
	var shell []string
	for _, b := range blocksOf(t, "../README.md") {
		switch b.language {
		case "sh":
			shell = append(shell, strings.TrimSpace(b.text))
		case "go":
			program = b.text
		case "":
			screen = b.text
		}
	}
	if len(shell) != 3 || shell[0] != "go run ./cmd/gatehouse dev" || !strings.HasPrefix(shell[1], "gatehouse gateway ") || shell[2] != "make test" || program == "" || screen == "" {
		t.Fatalf("the README has other blocks than this test knows: %q", shell)
	}
	if out, err := exec.Command("make", "-C", "..", "-n", "test").CombinedOutput(); err != nil {
		t.Errorf("make test: %v %s", err, out)
	}
	dev := startShell(t, shell[0])
	got := dev.until("Ctrl-C")
	if normal(got) != normal(screen) {
		t.Errorf("the README shows\n%s\nand the command prints\n%s", screen, got)
	}
	pasteLines(t, got)
	runProgram(t, program, got)
	runGateway(t, shell[1], got)
	dev.interrupt()
	if folder := folderOf(got); exists(folder) {
		t.Errorf("%s is still there after Ctrl-C", folder)
	}
}

// runGateway starts the README's line before an API that checks nothing, with
// the issuer and the audience of dev.
func runGateway(t *testing.T, line, screen string) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("orders")) }))
	defer api.Close()
	own := strings.NewReplacer("http://127.0.0.1:3000", api.URL, "https://auth.example.com", "http://localhost:8080", "https://api.example.com", "http://localhost:8081").Replace(line)
	if own == line {
		t.Fatalf("the README's line has other addresses than this test knows: %s", line)
	}
	url, _, stop, _ := startGateway(t, strings.Fields(own)[2:]...)
	defer stop()
	header, err := os.ReadFile(filepath.Join(folderOf(screen), "ada"))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(strings.TrimPrefix(string(header), "Authorization: Bearer "))
	for name, tc := range map[string]struct {
		token string
		want  int
	}{"nobody": {"", 401}, "ada": {token, 200}, "a token that was changed": {token[:len(token)-8] + "AAAAAAAA", 401}} {
		if status, _, _ := call(t, "GET", url+"/orders", tc.token); status != tc.want {
			t.Errorf("%s through the gateway: %d, want %d", name, status, tc.want)
		}
	}
}

func folderOf(screen string) string {
	return regexp.MustCompile(`D=(\S+)`).FindStringSubmatch(screen)[1]
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// shellRun is a command started in a shell, as a group that Ctrl-C reaches.
type shellRun struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startShell(t *testing.T, command string) *shellRun {
	t.Helper()
	cmd := exec.Command("bash", "-c", "exec "+command)
	cmd.Dir = ".."
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	return &shellRun{t: t, cmd: cmd, lines: bufio.NewScanner(out)}
}

func (s *shellRun) until(last string) string {
	s.t.Helper()
	timer := time.AfterFunc(5*time.Minute, func() { syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	var b strings.Builder
	for s.lines.Scan() {
		fmt.Fprintln(&b, s.lines.Text())
		if strings.HasPrefix(s.lines.Text(), last) {
			return b.String()
		}
	}
	s.t.Fatalf("the command ended after:\n%s", b.String())
	return ""
}

// interrupt is Ctrl-C. The go command reports an interrupt as its own failure
// whatever the program answers; that gatehouse ends with 0 is tested without it.
func (s *shellRun) interrupt() {
	s.t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT); err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Wait()
}

// normal replaces what differs from start to start.
func normal(screen string) string {
	for _, r := range [][2]string{
		{`[a-z]{5}(-[a-z]{5}){4}`, "PASSWORD"}, {`D=\S+`, "D=FOLDER"}, {`localhost:\d+/report *`, "localhost:PORT/report "},
		{`Gateway   http://localhost:\d+ *`, "Gateway   http://localhost:PORT "},
	} {
		screen = regexp.MustCompile(r[0]).ReplaceAllString(screen, r[1])
	}
	return strings.TrimSpace(screen)
}

// pasteLines runs each printed curl line in one shell, and compares the status
// with the one after the #.
func pasteLines(t *testing.T, screen string) {
	if _, err := exec.LookPath("curl"); err != nil {
		notRun = append(notRun, "the printed lines of `gatehouse dev`: no curl")
		return
	}
	setup, lines := "", 0
	for _, line := range strings.Split(screen, "\n") {
		if strings.HasPrefix(line, "D=") {
			setup = line
		}
		command, want, found := strings.Cut(line, "#")
		if !strings.HasPrefix(line, "curl ") || !found {
			continue
		}
		lines++
		script := setup + "\n" + strings.Replace(command, "curl ", "curl -s -o /dev/null -w '%{http_code}' ", 1)
		out, err := exec.Command("bash", "-c", script).CombinedOutput()
		if err != nil || string(out) != strings.Fields(want)[0] {
			t.Errorf("%s\ngot %s %v", line, out, err)
		}
	}
	if lines != 8 {
		t.Errorf("%d lines to paste", lines)
	}
}

// runProgram builds the README's Go program in a module of its own and calls
// it with a token of the running dev.
func runProgram(t *testing.T, program, screen string) {
	dir := t.TempDir()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"main.go": program,
		"go.mod":  "module example\n\ngo 1.26.0\n\nrequire github.com/gatehouse-auth/gatehouse v0.0.0\n\nreplace github.com/gatehouse-auth/gatehouse => " + root + "\n",
		"go.sum":  string(sum),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-mod=mod", "-o", "api", ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the README's program: %v\n%s", err, out)
	}
	api := exec.Command(filepath.Join(dir, "api"))
	if err := api.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { api.Process.Kill(); api.Wait() }()
	eventually(t, "the README's program answers", func() bool {
		response, err := http.Get("http://localhost:8090/orders")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == 401
	})
	status, body, _ := call(t, "GET", "http://localhost:8090/orders", tokenOf(t, filepath.Join(folderOf(screen), "ada")))
	if status != 200 || !strings.HasPrefix(body, "hello, usr_") {
		t.Errorf("%d %s", status, body)
	}
}
