package config_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/config"
)

// settingsOf are the names of all settings that the file may have.
func settingsOf(t reflect.Type, prefix string) []string {
	var names []string
	for i := range t.NumField() {
		field := t.Field(i)
		name := field.Tag.Get("yaml")
		if name == "" {
			continue
		}
		// A list of key sources, and a prefix of addresses, are one setting.
		if field.Type.Kind() != reflect.Struct {
			names = append(names, prefix+name)
			continue
		}
		names = append(names, settingsOf(field.Type, prefix+name+".")...)
	}
	return names
}

func TestThePageHasEverySetting(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, m[1])
	}
	settings := settingsOf(reflect.TypeFor[config.Config](), "")
	for _, name := range settings {
		if !slices.Contains(documented, name) {
			t.Errorf("%s is not on the page", name)
		}
	}
	for _, name := range documented {
		parent := slices.ContainsFunc(settings, func(s string) bool { return strings.HasPrefix(s, name+".") })
		if !parent && !slices.Contains(settings, name) {
			t.Errorf("the page has %s, which is no setting", name)
		}
	}
}

func TestTheConfigurationsOfTheGuidesAreAccepted(t *testing.T) {
	blocks := 0
	for _, path := range []string{"../../docs/reference/configuration.md", "../../docs/start/deploy.md"} {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
			blocks++
			if _, err := config.Parse("/etc/gatehouse/gatehouse.yaml", []byte(m[1]), none); err != nil {
				t.Errorf("%s: %v\n%s", path, err, m[1])
			}
		}
	}
	if blocks != 4 {
		t.Errorf("%d configurations were found, want 4", blocks)
	}
}
