// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
)

func TestAddressesThatNobodyMeansAreRefused(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1": "loopback", "127.255.0.9": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback",
		"169.254.169.254": "link-local", "::ffff:169.254.169.254": "link-local", "fe80::1": "link-local", "fe80::1%eth0": "link-local",
		"fec0::1": "link-local", "64:ff9b::a9fe:a9fe": "link-local", "64:ff9b:1::a9fe:a9fe": "link-local", "2002:a9fe:a9fe::1": "link-local",
		"2002:7f00:1::": "loopback", "::127.0.0.1": "loopback", "0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified",
		"224.0.0.1": "multicast", "ff02::1": "multicast", "255.255.255.255": "multicast",
		"fd00:ec2::254": "metadata", "100.100.100.200": "metadata", "168.63.129.16": "metadata", "192.0.0.192": "metadata", "fd20:ce::254": "metadata",
		"10.0.0.1": "", "192.168.1.1": "", "172.16.0.1": "", "8.8.8.8": "", "2001:db8::1": "", "fd00::1": "", "100.100.100.201": "", "64:ff9b::808:808": "",
	} {
		got := refusedKind(netip.MustParseAddr(address))
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	if refusedKind(netip.Addr{}) == "" {
		t.Error("no address at all is not refused")
	}
}

func TestAnAllowanceIsForOneHostAndItsAddresses(t *testing.T) {
	all, err := newSites([]RegistryConfig{
		{Host: "Registry.Lab.example:5000", AllowedAddresses: loopback[:1]}, {Host: "docker.io", AllowedAddresses: loopback[:1]},
		{Host: "plain.example", Insecure: true, AllowedAddresses: loopback[:1]}, {Host: "[::1]", AllowedAddresses: loopback},
	})
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(all)
	for _, test := range []struct {
		target, address string
		want            bool
	}{
		{"registry.lab.example:5000", "127.0.0.1:5000", true},
		{"REGISTRY.lab.example:5000", "127.0.0.1:5000", true},
		{"registry.lab.example:5000", "[::ffff:127.0.0.1]:5000", true},
		{"registry.lab.example:5000", "[::1]:5000", false},
		{"registry.lab.example:5000", "169.254.169.254:5000", false},
		{"registry.lab.example:5001", "127.0.0.1:5001", false},
		{"other.example:443", "127.0.0.1:443", false},
		{"other.example:443", "192.0.2.7:443", true},
		{"index.docker.io:443", "127.0.0.1:443", true},
		{"plain.example:80", "127.0.0.1:80", true},
		{"[::1]:443", "[::1]:443", true},
		{"other.example:443", "nonsense", false},
	} {
		if err := g.check(test.target, test.address); (err == nil) != test.want {
			t.Errorf("%s at %s: %v, want allowed %t", test.target, test.address, err, test.want)
		}
	}
}

func TestAWrongConfigurationIsRefusedAtTheStart(t *testing.T) {
	broken := writeFile(t, "<"+password)
	for name, test := range map[string]struct {
		registries []RegistryConfig
		want       string
	}{
		"no host":             {[]RegistryConfig{{}}, "host"},
		"a URL":               {[]RegistryConfig{{Host: "https://lab.example"}}, "without scheme"},
		"twice":               {[]RegistryConfig{{Host: "docker.io"}, {Host: "index.docker.io"}}, "twice"},
		"a mirror URL":        {[]RegistryConfig{{Host: "lab.example", Mirrors: []string{"/path"}}}, "mirror"},
		"an absent CA":        {[]RegistryConfig{{Host: "lab.example", CAFile: "/nonexistent/ca"}}, "caFile"},
		"a CA that is none":   {[]RegistryConfig{{Host: "lab.example", CA: "x"}}, "no PEM certificate"},
		"half a login":        {[]RegistryConfig{{Host: "lab.example", Username: "u"}}, "belong together"},
		"two logins":          {[]RegistryConfig{{Host: "lab.example", Username: "u", PasswordFile: broken, DockerConfigFile: broken}}, "not both"},
		"absent password":     {[]RegistryConfig{{Host: "lab.example", Username: "u", PasswordFile: "/nonexistent/p"}}, "passwordFile"},
		"absent config":       {[]RegistryConfig{{Host: "lab.example", DockerConfigFile: "/nonexistent/p"}}, "dockerConfigFile"},
		"a config of nothing": {[]RegistryConfig{{Host: "lab.example", DockerConfigFile: broken}}, "not valid JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Registries: test.registries}, nil, fakeClock())
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), password) {
				t.Errorf("%v, want %q and no secret", err, test.want)
			}
		})
	}
}

func TestCredentialsMatchAsTheKubeletMatchesThem(t *testing.T) {
	config := object{}
	for _, pattern := range []string{
		"lab.example", "lab.example/team", "https://lab.example:5000/v2/", "*.cloud.example", "https://index.docker.io/v1/", "lab.example/team/lis",
	} {
		config[pattern] = object{"username": pattern, "password": "p"}
	}
	config["encoded.example"] = object{"auth": "dTpw"}
	config["broken.example"] = object{"auth": "!"}
	config["empty.example"] = object{}
	var ring keyring
	if err := ring.add(encode(object{"auths": config})); err == nil || strings.Contains(err.Error(), "broken") {
		t.Errorf("an entry that cannot be read is told without its content: %v", err)
	}
	for repository, want := range map[string][]string{
		"lab.example/x":           {"lab.example"},
		"lab.example/team/lis":    {"lab.example/team/lis", "lab.example/team", "lab.example"},
		"lab.example/team/other":  {"lab.example/team", "lab.example"},
		"lab.example:5000/x":      {"https://lab.example:5000/v2/"},
		"eu.cloud.example/x":      {"*.cloud.example"},
		"cloud.example/x":         nil,
		"a.b.cloud.example/x":     nil,
		"evil-lab.example/x":      nil,
		"lab.example.evil.test/x": nil,
		"nginx":                   {"https://index.docker.io/v1/"},
		"encoded.example/x":       {"u"},
		"broken.example/x":        nil,
		"empty.example/x":         nil,
	} {
		parsed, err := name.NewRepository(repository)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, auth := range ring.match(parsed) {
			got = append(got, auth.Username)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", repository, diff)
		}
	}
}

func TestTheNumberOfCredentialsIsBounded(t *testing.T) {
	var ring keyring
	for _, user := range []string{"a", "b", "c", "d", "e", "f", "g", "a"} {
		if err := ring.add(dockerConfigFor("lab.example", user, "p")); err != nil {
			t.Fatal(err)
		}
	}
	repository, err := name.NewRepository("lab.example/x")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(ring.match(repository)); got != maxCredentials {
		t.Errorf("%d credentials, want %d", got, maxCredentials)
	}
}

func TestAHugeCredentialsFileIsNotReadWhole(t *testing.T) {
	file := writeFile(t, "")
	if err := os.Truncate(file, 1<<30); err != nil {
		t.Fatal(err)
	}
	content, err := readBounded(file)
	if err != nil || len(content) != maxSecretFileBytes {
		t.Errorf("%d bytes, %v", len(content), err)
	}
}
