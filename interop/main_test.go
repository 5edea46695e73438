package interop_test

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the tables into the docs")

// cache is where everything goes that is built or fetched; git ignores it.
var cache, _ = filepath.Abs(".cache")

// notRun are languages and tools that this machine lacks, each with the reason.
var notRun = struct {
	sync.Mutex
	lines []string
}{}

func TestMain(m *testing.M) {
	flag.Parse()
	build := exec.Command("go", "build", "-o", gatehouse(), "./cmd/gatehouse")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build gatehouse: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	if len(notRun.lines) > 0 {
		slices.Sort(notRun.lines)
		fmt.Println("NOT RUN on this machine:")
		for _, line := range slices.Compact(notRun.lines) {
			fmt.Println("  " + line)
		}
	}
	os.Exit(code)
}

func gatehouse() string { return filepath.Join(cache, "gatehouse") }

// lacking is why a language cannot be run here. It is no failure of the
// program, and never a success.
type lacking struct{ reason string }

func (l lacking) Error() string { return l.reason }

// must are the languages whose toolchains and packages CI reaches: there,
// lacking them is a failure.
var must = []string{"go", "node", "python", "java"}

// ready prepares a language once, and tells whether it can be run.
func ready(t *testing.T, language string) bool {
	t.Helper()
	err := prepared(language)()
	var lack lacking
	switch {
	case err == nil:
		return true
	case !errors.As(err, &lack):
		t.Fatalf("prepare %s: %v", language, err)
	case os.Getenv("CI") != "" && slices.Contains(must, language):
		t.Fatalf("%s has to run in CI: %v", language, err)
	}
	absent(fmt.Sprintf("%s: %v", language, err))
	return false
}

func absent(line string) {
	notRun.Lock()
	defer notRun.Unlock()
	notRun.lines = append(notRun.lines, line)
}

var (
	preparing sync.Mutex
	results   = map[string]func() error{}
)

func prepared(language string) func() error {
	preparing.Lock()
	defer preparing.Unlock()
	if results[language] == nil {
		results[language] = sync.OnceValue(map[string]func() error{"go": prepareGo, "node": prepareNode, "python": preparePython, "java": prepareJava, "php": preparePHP, "dotnet": prepareDotnet}[language])
	}
	return results[language]
}

func prepareGo() error {
	if out, err := exec.Command("go", "build", "-o", filepath.Join(cache, "bin")+"/", "./go/...").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func prepareNode() error {
	return install("node", "node/node_modules/.stamp", []string{"node", "npm"}, []string{"node/package.json", "node/package-lock.json"},
		step{"node", []string{"npm", "ci", "--no-progress", "--ignore-scripts"}})
}

func preparePython() error {
	venv := filepath.Join(cache, "python")
	return install("python", filepath.Join(venv, ".stamp"), []string{"python3"}, []string{"python/requirements.txt"},
		step{"python", []string{"python3", "-m", "venv", "--clear", venv}},
		step{"python", []string{filepath.Join(venv, "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", "requirements.txt"}})
}

func prepareJava() error {
	maven := []string{"mvn", "-B", "-q", "-Dmaven.repo.local=" + filepath.Join(cache, "m2"), "package"}
	for _, dir := range []string{"java/java-jwt", "java/spring"} {
		sources, err := filepath.Glob(dir + "/src/main/*/*")
		if err != nil {
			return err
		}
		more, _ := filepath.Glob(dir + "/src/main/java/com/example/*/*")
		if err := install("java", dir+"/target/.stamp", []string{"java", "mvn"}, append([]string{dir + "/pom.xml"}, append(sources, more...)...), step{dir, maven}); err != nil {
			return err
		}
	}
	return nil
}

func preparePHP() error {
	return install("php", "php/vendor/.stamp", []string{"php", "composer"}, []string{"php/composer.json"},
		step{"php", []string{"composer", "install", "--no-interaction", "--no-progress", "--quiet", "--prefer-dist"}})
}

func prepareDotnet() error {
	sources, err := filepath.Glob("dotnet/*/*.cs*")
	if err != nil {
		return err
	}
	return install("dotnet", "dotnet/Orders/bin/.stamp", []string{"dotnet"}, sources,
		step{"dotnet/Orders", []string{"dotnet", "build", "--nologo", "--configuration", "Release"}},
		step{"dotnet/Login", []string{"dotnet", "build", "--nologo", "--configuration", "Release"}})
}

// step is a command run in a folder.
type step struct {
	dir     string
	command []string
}

// unreachable are what package clients say when they do not get a package.
var unreachable = []string{"Could not transfer", "Could not resolve", "Non-resolvable", "ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "E403", "E404", "No matching distribution",
	"could not be fully loaded", "curl error", "could not be downloaded", "NU1301", "NU1101"}

// install runs the steps unless they succeeded before with the same inputs.
func install(language, stamp string, tools, inputs []string, steps ...step) error {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return lacking{"no " + tool}
		}
	}
	sum := sha256.New()
	for _, input := range inputs {
		content, err := os.ReadFile(input)
		if info, statErr := os.Stat(input); statErr == nil && info.IsDir() {
			continue
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n%s", input, len(content), content)
	}
	want := fmt.Sprintf("%x", sum.Sum(nil))
	if got, err := os.ReadFile(stamp); err == nil && string(got) == want {
		return nil
	}
	for _, s := range steps {
		out, err := bounded(s.dir, nil, s.command...)
		if err == nil {
			continue
		}
		if slices.ContainsFunc(unreachable, func(sign string) bool { return strings.Contains(out, sign) }) {
			return lacking{fmt.Sprintf("%s did not get the packages", s.command[0])}
		}
		return fmt.Errorf("%s: %w\n%s", strings.Join(s.command, " "), err, out)
	}
	return os.WriteFile(stamp, []byte(want), 0o644)
}
