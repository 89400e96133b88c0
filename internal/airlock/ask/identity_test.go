// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/labguard/labguard/internal/testutil/authority"
)

func TestTheIdentityIsReadAnewAndNeverReplacedByOneThatDoesNotWork(t *testing.T) {
	directory, clock, root := t.TempDir(), clocktesting.NewFakeClock(now), authority.New(t, "root", now)
	identity := &Identity{Directory: directory, ID: operatorID, Clock: clock}
	write := func(certificate, key string) {
		t.Helper()
		clock.Step(time.Minute)
		for name, content := range map[string]string{"tls.crt": certificate, "tls.key": key} {
			if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	fails := func(want string) {
		t.Helper()
		if got, err := identity.Certificate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("got %v, %v; want %q", got, err, want)
		}
	}
	serves := func(leaf authority.Leaf) {
		t.Helper()
		got, err := identity.Certificate()
		if err != nil || !got.Leaf.Equal(leaf.Certificate.Leaf) {
			t.Errorf("not the certificate that is wanted: %v", err)
		}
	}
	first, second := root.Issue(t, now, nil, operatorID), root.Issue(t, now, nil, operatorID)
	other := root.Issue(t, now, nil, lisID)
	fails("tls.crt cannot be read")
	write("", "")
	fails("no pair")
	write(other.Chain, other.KeyText)
	fails("not for " + operatorID)
	write(strings.Repeat("x", maxIdentityFile+1), "")
	fails("too long")
	write(first.Chain, first.KeyText)
	serves(first)
	write(second.Chain, first.KeyText) // in the middle of a change
	serves(first)
	write(second.Chain[:100], second.KeyText)
	serves(first)
	write(second.Chain, second.KeyText)
	serves(second)
	if err := os.Remove(filepath.Join(directory, "tls.crt")); err != nil {
		t.Fatal(err)
	}
	clock.Step(time.Minute)
	serves(second)
	clock.Step(authority.Life)
	fails("cannot be read")
}
