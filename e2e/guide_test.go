package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestGuideGetAToken runs the blocks of the guide one after the other, as a
// reader would paste them, and hands on what each answer brings.
func TestGuideGetAToken(t *testing.T) {
	for _, tool := range []string{"curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			notRun = append(notRun, "docs/guides/get-a-token.md: no "+tool)
			return
		}
	}
	blocks := blocksOf(t, "../docs/guides/get-a-token.md")
	if len(blocks) != 5 {
		t.Fatalf("the guide has %d blocks; this test knows 5", len(blocks))
	}
	d := startDev(t, "--data", t.TempDir())
	defer d.stop(syscall.SIGINT)
	out, err := exec.Command(binary, "service-account", "create", "orders-api", "--reader-of", "orders", "--json", "--data", d.Data).Output()
	if err != nil {
		t.Fatal(err)
	}
	var reader struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(out, &reader); err != nil {
		t.Fatal(err)
	}
	given := map[string]string{"SECRET": d.Clients[1].Secret, "PASSWORD": d.Users[0].Password, "READER_SECRET": reader.Secret}
	paste := func(n int) map[string]any {
		t.Helper()
		script := "set -e\n" + strings.ReplaceAll(strings.ReplaceAll(blocks[n].text, "http://localhost:8080", d.Issuer), "curl ", "curl -sS ")
		cmd := exec.Command("bash", "-c", script+"\necho\necho \"${V:-}\"")
		cmd.Env = os.Environ()
		for name, value := range given {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("block %d: %v %s", n+1, err, out)
		}
		answer, rest, _ := strings.Cut(string(out), "}")
		var fields map[string]any
		if err := json.Unmarshal([]byte(answer+"}"), &fields); err != nil {
			t.Fatalf("block %d: %v %s", n+1, err, out)
		}
		given["V"] = strings.TrimSpace(rest)
		return fields
	}
	if a := paste(0); a["scope"] != "orders:read" {
		t.Errorf("client_credentials: %v", a)
	}
	given["CODE"], _ = paste(1)["authorization_code"].(string)
	login := paste(2)
	given["AT"], _ = login["access_token"].(string)
	given["RT"], _ = login["refresh_token"].(string)
	if a := paste(3); a["refresh_token"] == nil || a["refresh_token"] == given["RT"] {
		t.Errorf("refresh: %v", a)
	}
	if a := paste(4); a["active"] != false {
		t.Errorf("after the revocation: %v", a)
	}
}
