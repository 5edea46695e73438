package interop_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// A block of a guide that shows a part of a program.
	shown = regexp.MustCompile("(?s)<!-- from (interop/\\S+) (\\S+) -->\n```([a-z]+)\n(.*?)```\n")
	part  = regexp.MustCompile(`(?m)^[ \t]*(?://|#) \[guide: (\S+)\]\n`)
	stop  = regexp.MustCompile(`(?m)^[ \t]*(?://|#) \[end\]`)
)

// TestGuides: what a guide shows is what runs, letter by letter, and every
// part of a program that is meant to be shown is shown.
func TestGuides(t *testing.T) {
	guides, err := filepath.Glob("../docs/guides/*.md")
	if err != nil || len(guides) == 0 {
		t.Fatal("no guides", err)
	}
	seen := map[string]bool{}
	for _, guide := range guides {
		content, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		written := shown.ReplaceAllStringFunc(string(content), func(block string) string {
			m := shown.FindStringSubmatch(block)
			seen[m[1]+" "+m[2]] = true
			code := excerpt(t, "../"+m[1], m[2])
			if code != m[4] && !*update {
				t.Errorf("%s shows another text than %s %s. Write it anew with: make interop UPDATE=-update", guide, m[1], m[2])
			}
			return "<!-- from " + m[1] + " " + m[2] + " -->\n```" + m[3] + "\n" + code + "```\n"
		})
		if strings.Count(string(content), "<!-- from ") != len(shown.FindAllString(string(content), -1)) {
			t.Errorf("%s has a marker without its block", guide)
		}
		if *update && written != string(content) {
			if err := os.WriteFile(guide, []byte(written), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, program := range programs(t) {
		content, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range part.FindAllStringSubmatch(string(content), -1) {
			if name := "interop/" + program + " " + m[1]; !seen[name] {
				t.Errorf("no guide shows %s", name)
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d parts are shown", len(seen))
	}
}

// programs are the source files of all languages.
func programs(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"node/*.mjs", "python/*.py", "php/*.php", "dotnet/*/*.cs", "go/*/*.go", "java/*/src/main/java/*.java", "java/*/src/main/java/com/example/*/*.java"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no programs at %s: %v", pattern, err)
		}
		found = append(found, files...)
	}
	return found
}

// excerpt is a marked part of a program, without the indentation that all its
// lines share.
func excerpt(t *testing.T, path, name string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range part.FindAllStringSubmatchIndex(string(content), -1) {
		if string(content[m[2]:m[3]]) != name {
			continue
		}
		rest := string(content[m[1]:])
		end := stop.FindStringIndex(rest)
		if end == nil {
			t.Fatalf("%s: %s has no end", path, name)
		}
		return dedent(rest[:end[0]])
	}
	t.Fatalf("%s has no part %s", path, name)
	return ""
}

func dedent(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	indent := ""
	for i, line := range lines {
		if own := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.TrimSpace(line) != "" && (i == 0 || len(own) < len(indent)) {
			indent = own
		}
	}
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, indent)
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestVersions: the page that compares the libraries names the versions that
// run.
func TestVersions(t *testing.T) {
	page, err := os.ReadFile(tablePage)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ row, file, pattern string }{
		{"golang-jwt", "go.mod", `golang-jwt/jwt/v5 v(\S+)`},
		{"golang-jwt", "go.mod", `keyfunc/v3 v(\S+)`},
		{"jsonwebtoken", "node/package.json", `"jsonwebtoken": "(.+?)"`},
		{"jsonwebtoken", "node/package.json", `"jwks-rsa": "(.+?)"`},
		{"jose", "node/package.json", `"jose": "(.+?)"`},
		{"PyJWT", "python/requirements.txt", `(?m)^pyjwt==(\S+)`},
		{"joserfc", "python/requirements.txt", `(?m)^joserfc==(\S+)`},
		{"java-jwt", "java/java-jwt/pom.xml", `<artifactId>java-jwt</artifactId>\s*<version>(.+?)<`},
		{"java-jwt", "java/java-jwt/pom.xml", `<artifactId>jwks-rsa</artifactId>\s*<version>(.+?)<`},
		{"firebase/php-jwt", "php/composer.json", `"firebase/php-jwt": "(.+?)"`},
		{"JwtBearer", "dotnet/Orders/Orders.csproj", `JwtBearer" Version="\[(.+?)\]"`},
	} {
		content, err := os.ReadFile(tc.file)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(tc.pattern).FindStringSubmatch(string(content))
		if m == nil {
			t.Errorf("%s does not pin %s", tc.file, tc.row)
			continue
		}
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(tc.row) + `[,|\s].*$`).FindString(string(page))
		if !strings.Contains(row, " "+m[1]+",") && !strings.Contains(row, " "+m[1]+" |") {
			t.Errorf("%s has %s, and %s says %q", tc.file, m[1], tablePage, row)
		}
	}
}

// TestLinks: what the pages of this module link to exists.
func TestLinks(t *testing.T) {
	pages, _ := filepath.Glob("../docs/guides/*-in-*.md")
	for _, page := range append(pages, "../docs/guides/mobile-apps.md", "../docs/guides/single-page-apps.md", tablePage, "../docs/why/0054-other-libraries.md") {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(string(content), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}
